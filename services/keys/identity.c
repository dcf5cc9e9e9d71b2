#include "services/keys/identity.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static void
identity_clear(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	for (size_t i = 0; i < identity->certificate_count; i++)
		X509_free(identity->certificates[i]);
	free(identity->path);
	free(identity->key_path);
	*identity = (struct identity){0};
}

struct identity_list *
identity_list_ref(struct identity_list *list)
{
	list->references++;
	return list;
}

void
identity_list_free(struct identity_list **list)
{
	struct identity_list *l = *list;

	*list = NULL;
	if (l == NULL || --l->references > 0)
		return;
	for (size_t i = 0; i < l->count; i++)
		identity_clear(&l->items[i]);
	free(l);
}

/* ---- one block of PEM ---- */

enum block_kind { BLOCK_END, BLOCK_KEY, BLOCK_CERTIFICATE, BLOCK_OTHER, BLOCK_BAD };

struct block {
	char *name;
	char *header;
	unsigned char *bytes;
	long len;
};

/* Blocks are kept where OpenSSL keeps secrets: they may be keys. */
static void
block_free(struct block *b)
{
	OPENSSL_secure_free(b->name);
	OPENSSL_secure_free(b->header);
	OPENSSL_secure_clear_free(b->bytes, (size_t)b->len);
	*b = (struct block){0};
}

static enum block_kind
kind_of(const char *name)
{
	size_t len = strlen(name);

	if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0)
		return BLOCK_CERTIFICATE;
	if (len >= 11 && strcmp(name + len - 11, "PRIVATE KEY") == 0)
		return BLOCK_KEY;
	/* Parameters of curves and of Diffie-Hellman often stand beside keys. */
	return BLOCK_OTHER;
}

/* The next one. BLOCK_END: no more of them; BLOCK_BAD: what begins as one is none. */
static enum block_kind
next_block(BIO *bio, struct block *b)
{
	ERR_clear_error();
	if (PEM_read_bio_ex(bio, &b->name, &b->header, &b->bytes, &b->len, PEM_FLAG_SECURE) == 1)
		return kind_of(b->name);
	unsigned long code = ERR_peek_last_error();
	*b = (struct block){0};
	ERR_clear_error();
	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE ? BLOCK_END
											       : BLOCK_BAD;
}

/* Texts that OpenSSL made of what it could not read may hold some of it: none of them is told. */
static EVP_PKEY *
key_of(const struct block *b, const char *path, struct error *err)
{
	const unsigned char *at = b->bytes;
	EVP_PKEY *key;

	if (strcmp(b->name, PEM_STRING_PKCS8) == 0 || strstr(b->header, "ENCRYPTED") != NULL) {
		error_set(err,
		    "%s: the private key is encrypted, and nobody is there to type its passphrase: store it "
		    "without "
		    "one (openssl pkey -in OLD -out NEW), readable by root alone",
		    path);
		return NULL;
	}
	key = d2i_AutoPrivateKey(NULL, &at, b->len);
	ERR_clear_error();
	if (key == NULL)
		error_set(err, "%s: the private key cannot be read", path);
	return key;
}

static X509 *
certificate_of(const struct block *b, const char *path, struct error *err)
{
	const unsigned char *at = b->bytes;
	X509 *certificate = d2i_X509(NULL, &at, b->len);

	ERR_clear_error();
	if (certificate == NULL)
		error_set(err, "%s: a certificate in it cannot be read", path);
	return certificate;
}

/* ---- files ---- */

/* What is being read. */
struct reading {
	struct identity_list *list;
	struct identity *at; /* the one whose chain is being read; NULL: none yet */
	bool keys_inside;
	/* Of each of the list: where its key and its certificate are. */
	const char *key_paths[IDENTITIES_MAX], *chain_paths[IDENTITIES_MAX];
};

static int
key_without_certificate(const char *path, struct error *err)
{
	return error_set(
	    err, "%s: a private key without its certificate behind it: the order is key, chain", path);
}

static int
take_key(struct reading *r, const struct block *b, const char *path, struct error *err)
{
	if (!r->keys_inside)
		return 0; /* The file holds a key too, and the key of the configuration is in another. */
	if (r->at && r->at->certificate_count == 0)
		return error_set(err,
		    "%s: a private key without its certificate behind it: the order is key, chain", path);
	if (r->list->count == IDENTITIES_MAX)
		return error_set(err, "%s: more than %d private keys", path, IDENTITIES_MAX);
	r->key_paths[r->list->count] = r->chain_paths[r->list->count] = path;
	r->at = &r->list->items[r->list->count++];
	r->at->key = key_of(b, path, err);
	return r->at->key ? 0 : -1;
}

static int
take_certificate(struct reading *r, const struct block *b, const char *path, struct error *err)
{
	X509 *certificate;

	if (r->at == NULL)
		return error_set(
		    err, "%s: a certificate without its private key in front: the order is key, chain", path);
	if (r->at->certificate_count == IDENTITY_CHAIN_MAX)
		return error_set(err, "%s: more than %d certificates in a chain", path, IDENTITY_CHAIN_MAX);
	certificate = certificate_of(b, path, err);
	if (certificate == NULL)
		return -1;
	if (r->at->certificate_count == 0)
		r->chain_paths[r->list->count - 1] = path;
	r->at->certificates[r->at->certificate_count++] = certificate;
	return 0;
}

static int
read_text(struct reading *r, const struct pem_text *file, struct error *err)
{
	BIO *bio =
	    file->text.len <= IDENTITY_FILE_MAX ? BIO_new_mem_buf(file->text.ptr, (int)file->text.len) : NULL;
	struct block b = {0};
	enum block_kind kind = BLOCK_OTHER;
	int result = 0;

	if (bio == NULL)
		return error_set(err, "%s: longer than %d octets", file->path, IDENTITY_FILE_MAX);
	while (result == 0 && (kind = next_block(bio, &b)) != BLOCK_END && kind != BLOCK_BAD) {
		if (kind == BLOCK_KEY)
			result = take_key(r, &b, file->path, err);
		else if (kind == BLOCK_CERTIFICATE)
			result = take_certificate(r, &b, file->path, err);
		block_free(&b);
	}
	BIO_free(bio);
	if (kind == BLOCK_BAD)
		return error_set(err, "%s: malformed PEM", file->path);
	return result;
}

/* The first key of a file. */
static EVP_PKEY *
read_key(const struct pem_text *file, struct error *err)
{
	BIO *bio =
	    file->text.len <= IDENTITY_FILE_MAX ? BIO_new_mem_buf(file->text.ptr, (int)file->text.len) : NULL;
	enum block_kind kind = BLOCK_BAD;
	struct block b = {0};
	EVP_PKEY *key = NULL;

	while (bio && (kind = next_block(bio, &b)) != BLOCK_KEY && kind != BLOCK_END && kind != BLOCK_BAD)
		block_free(&b);
	if (kind == BLOCK_KEY)
		key = key_of(&b, file->path, err);
	else if (kind == BLOCK_BAD)
		error_set(err, "%s: malformed PEM", file->path);
	else
		error_set(err, "%s: no private key in it", file->path);
	block_free(&b);
	BIO_free(bio);
	return key;
}

/* ---- what was read ---- */

static int
set_id(struct identity *identity)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(identity->key, &der);
	int ok = len > 0 && EVP_Digest(der, (size_t)len, identity->id, NULL, EVP_sha256(), NULL);

	OPENSSL_free(der);
	ERR_clear_error();
	return ok ? 0 : -1;
}

/* What can sign in TLS. */
static bool
is_known_kind(const EVP_PKEY *key)
{
	static const int kinds[] = {
	    EVP_PKEY_RSA, EVP_PKEY_RSA_PSS, EVP_PKEY_EC, EVP_PKEY_ED25519, EVP_PKEY_ED448};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (EVP_PKEY_get_base_id(key) == kinds[i])
			return true;
	}
	return false;
}

/* Peers are told of it in one message. */
static bool
chain_fits(const struct identity *identity)
{
	struct buf chain;
	bool fits;

	buf_init(&chain, IDENTITY_CHAIN_OCTETS_MAX);
	fits = identity_chain(identity, &chain) == 0;
	buf_free(&chain);
	return fits;
}

static int
finish(struct identity *identity, const char *key_path, const char *chain_path, struct error *err)
{
	int matches;

	if (identity->certificate_count == 0 && chain_path == key_path)
		return key_without_certificate(key_path, err);
	if (identity->certificate_count == 0)
		return error_set(err, "%s: no certificate in it", chain_path);
	if (!is_known_kind(identity->key))
		return error_set(
		    err, "%s: keys of this kind cannot sign: RSA, ECDSA and EdDSA can", key_path);
	if (!chain_fits(identity))
		return error_set(
		    err, "%s: a chain of more than %d octets", chain_path, IDENTITY_CHAIN_OCTETS_MAX);
	matches = X509_check_private_key(identity->certificates[0], identity->key);
	ERR_clear_error();
	if (matches != 1 && strcmp(chain_path, key_path) == 0)
		return error_set(
		    err, "%s: the private key does not belong to the certificate behind it", key_path);
	if (matches != 1)
		return error_set(err, "%s: the private key does not belong to the certificate in %s",
		    key_path, chain_path);
	identity->path = mem_strdup(chain_path);
	identity->key_path = mem_strdup(key_path);
	return set_id(identity) == 0 ? 0 : error_set(err, "%s: the private key cannot be used", key_path);
}

static int
finish_all(struct reading *r, const char *path, struct error *err)
{
	if (r->list->count == 0)
		return error_set(err, "%s: no private key in it: the order is key, chain", path);
	for (size_t i = 0; i < r->list->count; i++) {
		if (finish(&r->list->items[i], r->key_paths[i], r->chain_paths[i], err) < 0)
			return -1;
	}
	return 0;
}

struct identity_list *
identity_list_read(const struct pem_text *chains, size_t count, const struct pem_text *key, struct error *err)
{
	struct reading r = {.list = mem_alloc(sizeof(*r.list)), .keys_inside = key == NULL};
	int result = 0;

	r.list->references = 1;
	if (key) {
		r.key_paths[0] = key->path;
		r.chain_paths[0] = chains[0].path;
		r.at = &r.list->items[r.list->count++];
		r.at->key = read_key(key, err);
		result = r.at->key ? 0 : -1;
	}
	for (size_t i = 0; result == 0 && i < count; i++)
		result = read_text(&r, &chains[i], err);
	if (result == 0)
		result = finish_all(&r, chains[0].path, err);
	if (result < 0)
		identity_list_free(&r.list);
	return r.list;
}

int
identity_chain(const struct identity *identity, struct buf *out)
{
	for (size_t i = 0; i < identity->certificate_count; i++) {
		unsigned char *der = NULL;
		int len = i2d_X509(identity->certificates[i], &der);
		const unsigned char length[3] = {
		    (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len};
		int result = len > 0 ? buf_append(out, length, sizeof(length)) : -1;

		if (result == 0)
			result = buf_append(out, der, (size_t)len);
		OPENSSL_free(der);
		if (result < 0)
			return -1;
	}
	return 0;
}
