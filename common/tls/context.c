#include "common/tls/context.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/tls/context_inside.h"
#include "common/tls/keys_inside.h"
#include "common/tls/library.h"
#include "common/tls/trust_inside.h"

enum { VERIFY_DEPTH = 9, TICKET_LIFETIME_S = 3600, CERTIFICATES_MAX_BYTES = 100 * 1024 };

/* What no listener offers: keys signs and does not decrypt (kRSA), and signs elliptic curves only in TLS 1.2. */
static const char never_server[] = ":!kRSA:!kDHE:!aNULL:!PSK:!SRP";
static const char never_client[] = ":!PSK:!SRP";

/* Server: SHA-1 is gone (RFC 9155). */
static const char server_signatures[] =
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"
    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

/* ---- what OpenSSL asks during a handshake ---- */

/* Puts the certificates of the name in place that the client sent, or ours for a server that asks for one. */
static int
on_certificates_wanted(SSL *ssl, void *context)
{
	struct tls_context *c = context;
	unsigned use = c->side == TLS_SERVER ? IDENTITY_SERVER : IDENTITY_CLIENT;
	const struct identity_set *set = NULL;
	const char *name = c->side == TLS_SERVER ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;

	if (c->side == TLS_CLIENT && !c->client_identity)
		return 1;
	if (name)
		set = keys_find(c->keys, c->section, use, span_of(name));
	if (!set)
		set = keys_find(c->keys, c->section, use, span_of(""));
	if (!set)
		return c->side == TLS_CLIENT;
	SSL_certs_clear(ssl);
	for (size_t i = 0; i < set->count; i++)
		if (SSL_use_cert_and_key(
			ssl, set->members[i].leaf, set->members[i].key, set->members[i].chain, 1) != 1)
			return 0;
	return 1;
}

/* RFC 6066, 3: the name is acknowledged if there are certificates for it; for others the default ones are shown. */
static int
on_name(SSL *ssl, int *alert, void *context)
{
	struct tls_context *c = context;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	if (!name || !*name || !keys_find(c->keys, c->section, IDENTITY_SERVER, span_of(name)))
		return SSL_TLSEXT_ERR_NOACK;
	session_name_known(session_of(ssl));
	return SSL_TLSEXT_ERR_OK;
}

/*
 * RFC 7301: a client that wants to speak something else has been led astray (ALPACA); SMTP itself needs no name, and
 * where it is given one it is "smtp".
 */
static int
on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
    unsigned in_len, void *context)
{
	static const unsigned char smtp[] = {'s', 'm', 't', 'p'};

	(void)ssl;
	(void)context;
	for (unsigned i = 0; i < in_len && i + in[i] < in_len; i += 1U + in[i])
		if (in[i] == sizeof(smtp) && memcmp(in + i + 1, smtp, sizeof(smtp)) == 0) {
			*out = in + i + 1;
			*out_len = sizeof(smtp);
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The chain's verdict is a fact for whoever asked, not the end of the handshake: opportunistic mail goes on. */
static int
on_chain(X509_STORE_CTX *chain, void *context)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());

	(void)context;
	if (X509_verify_cert(chain) != 1 || X509_STORE_CTX_get_error(chain) != X509_V_OK) {
		if (X509_STORE_CTX_get_error(chain) == X509_V_OK)
			X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED);
		session_untrusted(session_of(ssl), X509_STORE_CTX_get_error(chain),
		    X509_STORE_CTX_get_error_depth(chain), X509_STORE_CTX_get_current_cert(chain));
	}
	ERR_clear_error();
	return 1;
}

static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	session_ticket_came(session_of(ssl), session);
	return 0;
}

/* ---- making one ---- */

static int
set_protocols(struct tls_context *c, const struct tls_protocols *protocols, struct error *err)
{
	int floor = protocols->floor;

	if (c->side == TLS_SERVER && floor < TLS1_2_VERSION)
		floor = TLS1_2_VERSION;
	if (SSL_CTX_set_min_proto_version(c->ssl, floor) != 1 ||
	    SSL_CTX_set_max_proto_version(c->ssl, protocols->ceiling) != 1)
		return tls_error_set(err, "TLS protocols that OpenSSL does not know");
	SSL_CTX_set_options(c->ssl, protocols->excluded);
	return 0;
}

static void
set_options(struct tls_context *c, const struct tls_settings *settings)
{
	/* What was read may be a password: it does not stay in OpenSSL's buffers. */
	uint64_t options =
	    settings->options | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT;

	if (!settings->no_workarounds)
		options |= SSL_OP_ALL;
	if (settings->server_preference)
		options |= SSL_OP_CIPHER_SERVER_PREFERENCE;
	if (!settings->tickets)
		options |= SSL_OP_NO_TICKET;
	SSL_CTX_set_options(c->ssl, options);
	SSL_CTX_clear_options(c->ssl, SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
	SSL_CTX_set_mode(c->ssl,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_max_cert_list(c->ssl, CERTIFICATES_MAX_BYTES);
	/* Postfix's base for opportunistic mail; verification raises it again per session. */
	SSL_CTX_set_security_level(c->ssl, c->side == TLS_SERVER ? 1 : 0);
}

static int
set_ciphers(struct tls_context *c, const struct tls_settings *settings, struct error *err)
{
	struct buf list;
	int result = 0;

	buf_init(&list, 16 * 1024);
	buf_append_text(&list, settings->ciphers ? settings->ciphers : "DEFAULT");
	buf_append_text(&list, c->side == TLS_SERVER ? never_server : never_client);
	if (list.full || SSL_CTX_set_cipher_list(c->ssl, buf_text(&list)) != 1)
		result = tls_error_set(err, "no usable cipher in \"%.300s\"", buf_text(&list));
	buf_free(&list);
	if (result == 0 && settings->ciphersuites &&
	    SSL_CTX_set_ciphersuites(c->ssl, settings->ciphersuites) != 1)
		result = tls_error_set(err, "bad list of ciphersuites \"%.300s\"", settings->ciphersuites);
	if (result == 0 && settings->groups && SSL_CTX_set1_groups_list(c->ssl, settings->groups) != 1)
		result = tls_error_set(err, "bad list of groups \"%.300s\"", settings->groups);
	if (result == 0 && c->side == TLS_SERVER && SSL_CTX_set1_sigalgs_list(c->ssl, server_signatures) != 1)
		result = tls_error_set(err, "OpenSSL lacks signature algorithms");
	return result;
}

static void
set_verification(struct tls_context *c, const struct tls_settings *settings)
{
	int mode = SSL_VERIFY_PEER;

	if (c->side == TLS_SERVER && settings->ask == TLS_ASK_NOTHING)
		mode = SSL_VERIFY_NONE;
	else if (c->side == TLS_SERVER)
		mode |= SSL_VERIFY_CLIENT_ONCE;
	if (c->side == TLS_SERVER && settings->ask == TLS_REQUIRE_CERTIFICATE)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(c->ssl, mode, NULL);
	SSL_CTX_set_verify_depth(c->ssl, settings->verify_depth ? (int)settings->verify_depth : VERIFY_DEPTH);
	SSL_CTX_set_cert_verify_callback(c->ssl, on_chain, NULL);
	if (c->trust) {
		SSL_CTX_set1_cert_store(c->ssl, c->trust->store);
		if (c->side == TLS_SERVER && mode != SSL_VERIFY_NONE)
			SSL_CTX_set_client_CA_list(c->ssl, SSL_dup_CA_list(c->trust->names));
	}
}

/*
 * What a session is good for: the listener that issued it (RFC 8446, 4.6.1), and the same demands on the client's
 * certificate, for the verdict on it comes back with the session.
 */
static int
set_session_context(struct tls_context *c, enum tls_ask ask, struct error *err)
{
	unsigned char id[EVP_MAX_MD_SIZE], asked = (unsigned char)ask;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned len = 0;
	bool ok;

	ok = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(digest, c->section, strlen(c->section) + 1) == 1 &&
	     EVP_DigestUpdate(digest, &asked, sizeof(asked)) == 1 &&
	     (!c->trust || ask == TLS_ASK_NOTHING ||
		 EVP_DigestUpdate(digest, c->trust->sum, sizeof(c->trust->sum)) == 1) &&
	     EVP_DigestFinal_ex(digest, id, &len) == 1 &&
	     SSL_CTX_set_session_id_context(c->ssl, id, len) == 1;
	EVP_MD_CTX_free(digest);
	return ok ? 0 : tls_error_set(err, "the listener's context of sessions");
}

/* No cache here: tickets hold what is needed. */
static int
set_sessions(struct tls_context *c, const struct tls_settings *settings, struct error *err)
{
	SSL_CTX_set_timeout(
	    c->ssl, settings->ticket_lifetime_s ? (long)settings->ticket_lifetime_s : TICKET_LIFETIME_S);
	if (c->side == TLS_CLIENT) {
		SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		if (c->tickets)
			SSL_CTX_sess_set_new_cb(c->ssl, on_new_session);
		return 0;
	}
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	if (c->tickets)
		context_use_tickets(c);
	else
		SSL_CTX_set_num_tickets(c->ssl, 0); /* TLS 1.3 would name sessions that nobody keeps */
	return set_session_context(c, settings->ask, err);
}

static int
configure(struct tls_context *c, const struct tls_settings *settings, struct error *err)
{
	const char *digest = settings->digest && *settings->digest ? settings->digest : "sha256";

	if (!c->ssl)
		return tls_error_set(err, "OpenSSL makes no context");
	if (!(c->digest = EVP_get_digestbyname(digest)))
		return error_set(err, "unknown digest \"%s\"", digest);
	SSL_CTX_set_app_data(c->ssl, c);
	set_options(c, settings);
	if (set_protocols(c, &settings->protocols, err) < 0 || set_ciphers(c, settings, err) < 0 ||
	    set_sessions(c, settings, err) < 0)
		return -1;
	set_verification(c, settings);
	SSL_CTX_set_cert_cb(c->ssl, on_certificates_wanted, c);
	if (c->side == TLS_SERVER) {
		SSL_CTX_set_tlsext_servername_callback(c->ssl, on_name);
		SSL_CTX_set_tlsext_servername_arg(c->ssl, c);
		SSL_CTX_set_alpn_select_cb(c->ssl, on_protocols, NULL);
		SSL_CTX_set_dh_auto(c->ssl, 1);
	}
	return 0;
}

struct tls_context *
tls_context_new(const struct tls_settings *settings, struct tls_keys *keys, struct error *err)
{
	struct tls_context *c = mem_alloc(sizeof(*c));

	c->references = 1;
	c->side = settings->side;
	c->keys = keys;
	c->trust = tls_trust_ref(settings->trust);
	c->section = mem_strdup(settings->section ? settings->section : "");
	c->tickets = settings->tickets;
	c->client_identity = settings->client_identity;
	c->ssl = SSL_CTX_new(c->side == TLS_SERVER ? TLS_server_method() : TLS_client_method());
	if (configure(c, settings, err) < 0)
		tls_context_free(&c);
	ERR_clear_error();
	return c;
}

struct tls_context *
tls_context_ref(struct tls_context *c)
{
	if (c)
		c->references++;
	return c;
}

void
tls_context_free(struct tls_context **context)
{
	struct tls_context *c = *context;

	*context = NULL;
	if (!c || --c->references > 0)
		return;
	SSL_CTX_free(c->ssl);
	tls_trust_free(&c->trust);
	free(c->section);
	free(c);
}
