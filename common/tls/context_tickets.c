/*
 * Session tickets (RFC 5077; RFC 8446, 4.6.1) under the keys that all smtpd processes have from keys: what one issued,
 * any other takes. What is in them is not kept here.
 *
 * A client should use a ticket of TLS 1.3 once (RFC 8446, C.4), and those of OpenSSL do: each resumption comes with a new one.
 * However often a session goes on in that way, it ends when its lifetime has passed since its full handshake.
 */
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "common/tls/context_inside.h"
#include "common/tls/keys_inside.h"

static int
set_keys(const struct ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
    int encrypt)
{
	OSSL_PARAM params[3];
	char digest[] = "SHA256";

	params[0] = OSSL_PARAM_construct_octet_string(
	    OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->hmac, sizeof(key->hmac));
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
	params[2] = OSSL_PARAM_construct_end();
	if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, encrypt) != 1 ||
	    EVP_MAC_CTX_set_params(mac, params) != 1)
		return -1;
	return 1;
}

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb(3) wants it: 0 no ticket, 1 this key, 2 this key, but a new ticket is due. */
static int
on_ticket(
    SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_key *current = keys_ticket_current(c->keys);
	const struct ticket_key *previous = keys_ticket_previous(c->keys);

	if (!current)
		return 0;
	if (encrypt) {
		memcpy(name, current->name, TICKET_NAME_SIZE);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			return -1;
		return set_keys(current, iv, cipher, mac, 1);
	}
	if (memcmp(name, current->name, TICKET_NAME_SIZE) == 0)
		return set_keys(current, iv, cipher, mac, 0);
	if (previous && memcmp(name, previous->name, TICKET_NAME_SIZE) == 0)
		return set_keys(previous, iv, cipher, mac, 0) == 1 ? 2 : -1;
	return 0;
}

/*
 * In the ticket, and in those that follow it: the moment of the full handshake, and the name that the client asked for
 * then. OpenSSL itself keeps only names that were acknowledged, and resumes TLS 1.2 under any.
 */
struct remembered {
	int64_t began;
	char name[TLSEXT_MAXLEN_host_name];
};

enum { REMEMBERED_MIN = offsetof(struct remembered, name) };

static int
on_ticket_made(SSL *ssl, void *context)
{
	struct remembered r = {.began = time(NULL)};
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	size_t len = name ? strlen(name) : 0;

	(void)context;
	if (SSL_session_reused(ssl))
		return 1;
	if (len > sizeof(r.name))
		return 0;
	if (len)
		memcpy(r.name, name, len);
	return SSL_SESSION_set1_ticket_appdata(SSL_get0_session(ssl), &r, REMEMBERED_MIN + len);
}

/* RFC 6066, 3: a list of one name, of the only type there is. What has another form fails in OpenSSL. */
static struct span
name_in_hello(SSL *ssl)
{
	enum { BEFORE_NAME = 5 };
	const unsigned char *list;
	size_t len;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &list, &len) != 1 || len < BEFORE_NAME ||
	    len - BEFORE_NAME > TLSEXT_MAXLEN_host_name ||
	    (size_t)(list[3] << 8 | list[4]) != len - BEFORE_NAME)
		return (struct span){0};
	return span_make((const char *)list + BEFORE_NAME, len - BEFORE_NAME);
}

/* Tickets are opened before OpenSSL knows the name. */
static int
on_hello(SSL *ssl, int *alert, void *context)
{
	const unsigned char *ticket;
	size_t len;

	(void)alert;
	(void)context;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_session_ticket, &ticket, &len) == 1 && len)
		session_name_asked(session_of(ssl), name_in_hello(ssl));
	return SSL_CLIENT_HELLO_SUCCESS;
}

static bool
is_young(SSL *ssl, int64_t began)
{
	int64_t age = time(NULL) - began;

	return age >= 0 && age <= SSL_CTX_get_timeout(SSL_get_SSL_CTX(ssl));
}

/*
 * RFC 6066, 3: no session goes on under another name; that of a full handshake may have another certificate. In TLS 1.3
 * the name belongs to the connection and not to the session (RFC 8446, 4.6.1).
 */
static bool
is_good(SSL *ssl, SSL_SESSION *session)
{
	struct remembered r;
	void *data;
	size_t len;

	if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len < REMEMBERED_MIN ||
	    len > sizeof(r))
		return false;
	memcpy(&r, data, len);
	return is_young(ssl, r.began) &&
	       (SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION ||
		   session_is_name_asked(session_of(ssl), span_make(r.name, len - REMEMBERED_MIN)));
}

static SSL_TICKET_RETURN
on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
    SSL_TICKET_STATUS status, void *context)
{
	bool opened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;

	(void)name;
	(void)name_len;
	(void)context;
	if (!opened || !is_good(ssl, session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (status == SSL_TICKET_SUCCESS_RENEW || SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION)
		return SSL_TICKET_RETURN_USE_RENEW;
	return SSL_TICKET_RETURN_USE;
}

void
context_use_tickets(struct tls_context *c)
{
	SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, on_ticket);
	SSL_CTX_set_client_hello_cb(c->ssl, on_hello, NULL);
	SSL_CTX_set_session_ticket_cb(c->ssl, on_ticket_made, on_ticket_opened, NULL);
	/* A client that delivers mail has one connection at a time to resume. */
	SSL_CTX_set_num_tickets(c->ssl, 1);
}
