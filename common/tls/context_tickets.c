/*
 * Session tickets (RFC 5077; RFC 8446, 4.6.1) under the keys that all smtpd processes have from keys: what one issued,
 * any other takes. What is in them is not kept here.
 *
 * A client should use a ticket of TLS 1.3 once (RFC 8446, C.4), and those of OpenSSL do: each resumption comes with a new one.
 * However often a session goes on in that way, it ends when its lifetime has passed since its full handshake.
 */
#include <openssl/core_names.h>
#include <openssl/rand.h>
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

/* The moment of the full handshake lies in the ticket, and in those that follow it. */
static int
on_ticket_made(SSL *ssl, void *context)
{
	int64_t now = time(NULL);

	(void)context;
	return SSL_session_reused(ssl) ||
	       SSL_SESSION_set1_ticket_appdata(SSL_get0_session(ssl), &now, sizeof(now));
}

static bool
is_young(SSL *ssl, SSL_SESSION *session)
{
	int64_t began, age;
	void *data;
	size_t len;

	if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len != sizeof(began))
		return false;
	memcpy(&began, data, sizeof(began));
	age = time(NULL) - began;
	return age >= 0 && age <= SSL_CTX_get_timeout(SSL_get_SSL_CTX(ssl));
}

static SSL_TICKET_RETURN
on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
    SSL_TICKET_STATUS status, void *context)
{
	bool opened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;

	(void)name;
	(void)name_len;
	(void)context;
	if (!opened || !is_young(ssl, session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (status == SSL_TICKET_SUCCESS_RENEW || SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION)
		return SSL_TICKET_RETURN_USE_RENEW;
	return SSL_TICKET_RETURN_USE;
}

void
context_use_tickets(struct tls_context *c)
{
	SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, on_ticket);
	SSL_CTX_set_session_ticket_cb(c->ssl, on_ticket_made, on_ticket_opened, NULL);
	/* A client that delivers mail has one connection at a time to resume. */
	SSL_CTX_set_num_tickets(c->ssl, 1);
}
