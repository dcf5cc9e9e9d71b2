/*
 * identity: a private key with its certificate and the certificates above it, read from PEM.
 *
 * Two layouts, as Postfix has them: files in which each key is directly followed by its chain, one or several
 * (smtpd_tls_chain_files), or a file with a chain beside one with the key (smtpd_tls_cert_file).
 */
#ifndef POSTERN_KEYS_IDENTITY_H
#define POSTERN_KEYS_IDENTITY_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

/*
 * IDENTITIES_MAX: of one list of files: one each algorithm is usual. CHAIN_MAX: certificates above each other. FILE_MAX:
 * octets of PEM. CHAIN_OCTETS_MAX: what IDENTITY carries.
 */
enum {
	KEY_ID_LEN = 32,
	IDENTITIES_MAX = 8,
	IDENTITY_CHAIN_MAX = 16,
	IDENTITY_FILE_MAX = 256 << 10,
	IDENTITY_CHAIN_OCTETS_MAX = 60000
};

struct buf;

struct identity {
	unsigned char id[KEY_ID_LEN]; /* SHA-256 of the SubjectPublicKeyInfo */
	EVP_PKEY *key;
	X509 *certificates[IDENTITY_CHAIN_MAX]; /* the leaf first */
	size_t certificate_count;
	char *path; /* of the file with the first of them */
	char *key_path; /* of the file with the key */
};

/* Counted: several listeners often have the same. */
struct identity_list {
	unsigned references;
	struct identity items[IDENTITIES_MAX];
	size_t count;
};

/* The text of a file. path is for errors. */
struct pem_text {
	const char *path;
	struct span text;
};

struct identity_list *identity_list_ref(struct identity_list *list);
void identity_list_free(struct identity_list **list);

/*
 * Reads the chains' files in their order. key: where the key of the one chain is; NULL: keys and chains are in the files
 * together. NULL with err, which names the file and says what is to be done.
 */
struct identity_list *identity_list_read(
    const struct pem_text *chains, size_t count, const struct pem_text *key, struct error *err);

/* Appends the chain as IDENTITY.chain: DER, each behind a length of three octets. -1 if it does not fit. */
int identity_chain(const struct identity *identity, struct buf *out);

#endif
