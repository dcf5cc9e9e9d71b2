#include "common/sasl/scram_slow.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct scram_slow {
	EVP_MAC_CTX *mac;
	size_t size;
	uint32_t left;
	uint8_t last[SCRAM_HASH_MAX], sum[SCRAM_HASH_MAX];
};

static EVP_MAC_CTX *
mac_new(enum scram_hash hash, struct span key)
{
	char digest[] = "SHA256", old[] = "SHA1";
	const OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash == SCRAM_SHA_1 ? old : digest, 0),
	    OSSL_PARAM_construct_end()};
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;

	EVP_MAC_free(hmac);
	if (mac && EVP_MAC_init(mac, (const unsigned char *)(key.len ? key.ptr : ""), key.len, params) != 1) {
		EVP_MAC_CTX_free(mac);
		return NULL;
	}
	return mac;
}

struct scram_slow *
scram_slow_begin(enum scram_hash hash, struct span password, struct span salt, uint32_t iterations)
{
	static const unsigned char one[4] = {0, 0, 0, 1};
	struct scram_slow *s;
	size_t len = 0;

	if (iterations == 0 || salt.len > SCRAM_SALT_MAX)
		return NULL;
	s = mem_alloc(sizeof(*s));
	s->size = scram_hash_size(hash);
	s->left = iterations - 1;
	s->mac = mac_new(hash, password);
	if (!s->mac || EVP_MAC_update(s->mac, (const unsigned char *)salt.ptr, salt.len) != 1 ||
	    EVP_MAC_update(s->mac, one, sizeof(one)) != 1 ||
	    EVP_MAC_final(s->mac, s->last, &len, sizeof(s->last)) != 1 || len != s->size) {
		scram_slow_free(&s);
		return NULL;
	}
	memcpy(s->sum, s->last, sizeof(s->sum));
	return s;
}

int
scram_slow_run(struct scram_slow *s, uint32_t rounds)
{
	size_t len;

	for (; s->left > 0 && rounds > 0; s->left--, rounds--) {
		/* Without a key: once more with the same. */
		if (EVP_MAC_init(s->mac, NULL, 0, NULL) != 1 ||
		    EVP_MAC_update(s->mac, s->last, s->size) != 1 ||
		    EVP_MAC_final(s->mac, s->last, &len, sizeof(s->last)) != 1)
			return -1;
		for (size_t i = 0; i < s->size; i++)
			s->sum[i] ^= s->last[i];
	}
	return s->left == 0;
}

const uint8_t *
scram_slow_result(const struct scram_slow *s)
{
	return s->sum;
}

void
scram_slow_free(struct scram_slow **slow)
{
	struct scram_slow *s = *slow;

	*slow = NULL;
	if (!s)
		return;
	EVP_MAC_CTX_free(s->mac);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
}
