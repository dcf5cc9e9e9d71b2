/*
 * Session tickets (RFC 5077; RFC 8446, 4.6.1) under the keys that all smtpd processes have from keys: what one issued,
 * any other takes. What is in them is not kept here.
 */
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <string.h>

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

void
context_use_tickets(struct tls_context *c)
{
	SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, on_ticket);
	/* A client that delivers mail has one connection at a time to resume. */
	SSL_CTX_set_num_tickets(c->ssl, 1);
}
