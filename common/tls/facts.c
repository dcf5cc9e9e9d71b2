#include "common/tls/facts.h"

#include <openssl/err.h>
#include <openssl/objects.h>

#include "common/base/text.h"
#include "common/tls/match.h"
#include "common/tls/session_inside.h"

enum { TEXT_MAX = 300 };

const char *
tls_standing_name(enum tls_standing standing)
{
	static const char *const names[] = {"Anonymous", "Untrusted", "Trusted", "Verified"};

	return names[standing];
}

static const char *
text_or_none(const char *text)
{
	return text ? text : "";
}

/* Strangers' text, made printable, with the session. */
static const char *
keep(struct tls_session *t, struct span text)
{
	struct buf printable;
	const char *kept;

	if (text.len == 0)
		return "";
	buf_init(&printable, 4 * TEXT_MAX);
	text_append_printable(&printable, text, TEXT_MAX);
	kept = arena_copy(t->arena, buf_span(&printable));
	buf_free(&printable);
	return text_or_none(kept);
}

/* ---- how: keys and signatures ---- */

static const char *
group_of(struct tls_session *t, EVP_PKEY *key)
{
	char group[64];
	size_t len;

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1)
		return "";
	return keep(t, span_make(group, len));
}

static void
key_exchange(struct tls_session *t, struct tls_facts *f)
{
	EVP_PKEY *key = NULL;

	if (SSL_get_peer_tmp_key(t->ssl, &key) != 1 || !key)
		return;
	if (EVP_PKEY_is_a(key, "DH")) {
		f->key_exchange = "DHE";
		f->key_exchange_detail =
		    text_or_none(arena_printf(t->arena, "%d bits", EVP_PKEY_get_bits(key)));
	} else if (EVP_PKEY_is_a(key, "EC")) {
		f->key_exchange = "ECDHE";
		f->key_exchange_detail = group_of(t, key);
	} else
		f->key_exchange = keep(t, span_of(EVP_PKEY_get0_type_name(key)));
	EVP_PKEY_free(key);
}

static void
signature(struct tls_session *t, X509 *certificate, bool pss, const char **name, const char **detail)
{
	EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;

	if (!key)
		return;
	if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) {
		*name = pss ? "RSA-PSS" : "RSA";
		*detail = text_or_none(arena_printf(t->arena, "%d bits", EVP_PKEY_get_bits(key)));
	} else if (EVP_PKEY_is_a(key, "EC")) {
		*name = "ECDSA";
		*detail = group_of(t, key);
	} else
		*name = keep(t, span_of(EVP_PKEY_get0_type_name(key)));
}

static const char *
digest_name(int nid)
{
	return nid == NID_undef ? "" : text_or_none(OBJ_nid2sn(nid));
}

/* Ours and the peer's, as far as this handshake had any: a resumed one has none. */
static void
signatures(struct tls_session *t, struct tls_facts *f, X509 *peer)
{
	bool server = t->context->side == TLS_SERVER;
	const char **name[2] = {&f->server_signature, &f->client_signature};
	const char **detail[2] = {&f->server_signature_detail, &f->client_signature_detail};
	const char **digest[2] = {&f->server_digest, &f->client_digest};
	int type = NID_undef, nid = NID_undef, ours = server ? 0 : 1, theirs = 1 - ours;

	if (SSL_get_signature_type_nid(t->ssl, &type) == 1 && type != NID_undef &&
	    SSL_get_signature_nid(t->ssl, &nid) == 1) {
		signature(t, SSL_get_certificate(t->ssl), type == NID_rsassaPss, name[ours], detail[ours]);
		*digest[ours] = digest_name(nid);
	}
	type = nid = NID_undef;
	if (SSL_get_peer_signature_type_nid(t->ssl, &type) == 1 && type != NID_undef &&
	    SSL_get_peer_signature_nid(t->ssl, &nid) == 1) {
		signature(t, peer, type == NID_rsassaPss, name[theirs], detail[theirs]);
		*digest[theirs] = digest_name(nid);
	}
}

/* ---- who: the peer's certificate ---- */

static const char *
fingerprint(struct tls_session *t, const unsigned char *digest, unsigned len)
{
	struct buf out;
	const char *kept;

	buf_init(&out, 3 * EVP_MAX_MD_SIZE + 1);
	for (unsigned i = 0; i < len; i++)
		buf_printf(&out, "%s%02X", i ? ":" : "", digest[i]);
	kept = arena_copy(t->arena, buf_span(&out));
	buf_free(&out);
	return text_or_none(kept);
}

static const char *
name_entry(struct tls_session *t, const X509_NAME *name, int nid)
{
	struct buf out;
	const char *kept;

	buf_init(&out, TEXT_MAX);
	match_name_entry(name, nid, &out);
	kept = keep(t, buf_span(&out));
	buf_free(&out);
	return kept;
}

struct first_name {
	struct tls_session *t;
	const char *name;
};

static bool
on_first_name(void *context, struct span name)
{
	struct first_name *first = context;

	first->name = keep(first->t, name);
	return false;
}

static void
peer_facts(struct tls_session *t, struct tls_facts *f, X509 *peer)
{
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	struct first_name first = {t, ""};
	unsigned len = 0;
	int der_len;

	f->subject_common_name = name_entry(t, X509_get_subject_name(peer), NID_commonName);
	f->issuer_common_name = name_entry(t, X509_get_issuer_name(peer), NID_commonName);
	if (!*f->issuer_common_name)
		f->issuer_common_name = name_entry(t, X509_get_issuer_name(peer), NID_organizationName);
	match_each_name(peer, on_first_name, &first);
	f->peer_name = *f->subject_common_name ? f->subject_common_name : first.name;
	if (X509_digest(peer, t->context->digest, digest, &len) == 1)
		f->certificate_fingerprint = fingerprint(t, digest, len);
	der_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(peer), &der);
	if (der_len > 0 && EVP_Digest(der, (size_t)der_len, digest, &len, t->context->digest, NULL) == 1)
		f->key_fingerprint = fingerprint(t, digest, len);
	OPENSSL_free(der);
}

void
session_gather_facts(struct tls_session *t)
{
	struct tls_facts *f = arena_alloc(t->arena, sizeof(*f));
	const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
	X509 *peer = SSL_get0_peer_certificate(t->ssl);

	if (!f || !cipher)
		return;
	f->key_exchange = f->key_exchange_detail = f->server_signature = f->server_signature_detail =
	    f->server_digest = f->client_signature = f->client_signature_detail = f->client_digest = f->name =
		f->matched_name = f->why_untrusted = f->peer_name = f->subject_common_name =
		    f->issuer_common_name = f->certificate_fingerprint = f->key_fingerprint = "";
	f->protocol = SSL_get_version(t->ssl);
	f->cipher = SSL_CIPHER_get_name(cipher);
	f->bits_used = SSL_CIPHER_get_bits(cipher, &f->bits_algorithm);
	f->resumed = SSL_session_reused(t->ssl) == 1;
	if (t->name_known)
		f->name = keep(t, span_of(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)));
	if (SSL_version(t->ssl) >= TLS1_3_VERSION) {
		key_exchange(t, f);
		signatures(t, f, peer);
	}
	if (peer)
		peer_facts(t, f, peer);
	session_verdict(t, f, peer);
	ERR_clear_error();
	t->facts = f;
}

/* ---- for others ---- */

const struct tls_facts *
tls_facts(const struct stream *s)
{
	const struct tls_session *t = session_on(s);

	return t ? t->facts : NULL;
}

static void
append_signature(struct buf *out, const char *whose, const char *name, const char *detail, const char *digest)
{
	if (!*name)
		return;
	buf_printf(out, " %s-signature %s", whose, name);
	if (*detail)
		buf_printf(out, " (%s)", detail);
	if (*digest)
		buf_printf(out, " %s-digest %s", whose, digest);
}

void
tls_facts_summary(const struct tls_facts *f, struct buf *out)
{
	buf_printf(
	    out, "%s with cipher %s (%d/%d bits)", f->protocol, f->cipher, f->bits_used, f->bits_algorithm);
	if (*f->key_exchange)
		buf_printf(out, " key-exchange %s", f->key_exchange);
	if (*f->key_exchange && *f->key_exchange_detail)
		buf_printf(out, " (%s)", f->key_exchange_detail);
	append_signature(out, "server", f->server_signature, f->server_signature_detail, f->server_digest);
	append_signature(out, "client", f->client_signature, f->client_signature_detail, f->client_digest);
}
