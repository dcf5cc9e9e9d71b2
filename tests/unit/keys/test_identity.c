/* Keys and certificates in PEM: layouts, what is wrong with them, and that the words for it hold nothing of a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/base/buf.h"
#include "services/keys/certificate.h"
#include "services/keys/identity.h"

enum { TEXT_MAX = 20000, DAY = 86400 };

static char key_a[TEXT_MAX], key_b[TEXT_MAX], key_rsa[TEXT_MAX], key_x[TEXT_MAX], key_locked[TEXT_MAX],
    key_locked_old[TEXT_MAX], cert_a[TEXT_MAX], cert_b[TEXT_MAX], cert_rsa[TEXT_MAX],
    parameters[] = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";

static void
take(BIO *bio, char text[TEXT_MAX])
{
	int len = BIO_read(bio, text, TEXT_MAX - 1);

	assert_true(len > 0);
	text[len] = '\0';
	BIO_free(bio);
}

static void
write_key(EVP_PKEY *key, char text[TEXT_MAX], const char *passphrase, bool old)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const EVP_CIPHER *cipher = passphrase ? EVP_aes_128_cbc() : NULL;
	const unsigned char *word = (const unsigned char *)passphrase;
	int len = passphrase ? (int)strlen(passphrase) : 0;

	if (old)
		assert_int_equal(
		    PEM_write_bio_PrivateKey_traditional(bio, key, cipher, word, len, NULL, NULL), 1);
	else
		assert_int_equal(PEM_write_bio_PrivateKey(bio, key, cipher, word, len, NULL, NULL), 1);
	take(bio, text);
}

static void
write_certificate(EVP_PKEY *key, const char *name, char text[TEXT_MAX])
{
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());

	X509_set_version(certificate, 2);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 10 * DAY);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(
	    X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
	X509_free(certificate);
	take(bio, text);
}

static int
make_texts(void **state)
{
	EVP_PKEY *a = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	EVP_PKEY *b = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	EVP_PKEY *x = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");

	(void)state;
	write_key(a, key_a, NULL, false);
	write_key(b, key_b, NULL, true);
	write_key(rsa, key_rsa, NULL, true);
	write_key(x, key_x, NULL, false);
	write_key(a, key_locked, "word", false);
	write_key(rsa, key_locked_old, "word", true);
	write_certificate(a, "a.test", cert_a);
	write_certificate(b, "b.test", cert_b);
	write_certificate(rsa, "rsa.test", cert_rsa);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(x);
	return 0;
}

/* Texts of the files, each the concatenation of up to four pieces. */
struct file {
	const char *path;
	const char *pieces[5];
};

static struct pem_text
text_of(const struct file *f, struct buf *b)
{
	buf_init(b, (size_t)1 << 20);
	for (size_t i = 0; f->pieces[i]; i++)
		buf_append_text(b, f->pieces[i]);
	return (struct pem_text){f->path, buf_span(b)};
}

/* Not one line of a key, and not one of a certificate, is in what is said. */
static void
tells_no_key(const char *text)
{
	const char *const secrets[] = {key_a, key_b, key_rsa, key_x, key_locked, key_locked_old};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		struct span rest = span_of(secrets[i]), line;

		while (span_next_line(&rest, &line)) {
			char copy[100];

			if (line.len > 16 && line.ptr[0] != '-' && span_copy(line, copy, sizeof(copy)))
				assert_null(strstr(text, copy));
		}
	}
}

static void
files_are_read(void **state)
{
	static const struct {
		const char *name;
		struct file chains[3];
		struct file key; /* without a path: keys are in the chains' files */
		size_t count; /* identities; 0: an error with this text */
		size_t first_chain; /* certificates of the first */
		const char *error;
	} rows[] = {
	    {"key, certificate", {{"/p", {key_a, cert_a}}}, {0}, 1, 1, NULL},
	    {"with its chain", {{"/p", {key_a, cert_a, cert_b, cert_rsa}}}, {0}, 1, 3, NULL},
	    {"two algorithms in a file", {{"/p", {key_a, cert_a, key_rsa, cert_rsa}}}, {0}, 2, 1, NULL},
	    {"two algorithms in two", {{"/p", {key_a, cert_a}}, {"/q", {key_rsa, cert_rsa}}}, {0}, 2, 1,
		NULL},
	    {"the key in a file in front", {{"/k", {key_a}}, {"/c", {cert_a}}}, {0}, 1, 1, NULL},
	    {"parameters beside a key", {{"/p", {parameters, key_a, cert_a}}}, {0}, 1, 1, NULL},
	    {"words around", {{"/p", {"Bag Attributes\n", key_a, "subject=x\n", cert_a, "\n\n"}}}, {0}, 1, 1,
		NULL},
	    {"the older pair", {{"/c", {cert_a}}}, {"/k", {key_a}}, 1, 1, NULL},
	    {"the older pair with a chain", {{"/c", {cert_a, cert_b}}}, {"/k", {key_a}}, 1, 2, NULL},
	    {"the older pair in one file", {{"/c", {cert_a, key_a}}}, {"/c", {cert_a, key_a}}, 1, 1, NULL},
	    {"the key behind its chain", {{"/p", {cert_a, key_a}}}, {0}, 0, 0,
		"/p: a certificate without its private key in front: the order is key, chain"},
	    {"no certificate", {{"/p", {key_a}}}, {0}, 0, 0,
		"/p: a private key without its certificate behind it: the order is key, chain"},
	    {"two keys, one certificate", {{"/p", {key_a, key_b, cert_b}}}, {0}, 0, 0,
		"/p: a private key without its certificate behind it: the order is key, chain"},
	    {"no certificate in the second", {{"/p", {key_a, cert_a}}, {"/q", {key_b}}}, {0}, 0, 0,
		"/q: a private key without its certificate behind it: the order is key, chain"},
	    {"another's certificate", {{"/p", {key_a, cert_b}}}, {0}, 0, 0,
		"/p: the private key does not belong to the certificate behind it"},
	    {"another's certificate, in files", {{"/c", {cert_b}}}, {"/k", {key_a}}, 0, 0,
		"/k: the private key does not belong to the certificate in /c"},
	    {"another kind's certificate", {{"/c", {cert_rsa}}}, {"/k", {key_a}}, 0, 0,
		"/k: the private key does not belong to the certificate in /c"},
	    {"an empty file", {{"/p", {""}}}, {0}, 0, 0, "/p: no private key in it: the order is key, chain"},
	    {"an empty file of certificates", {{"/c", {""}}}, {"/k", {key_a}}, 0, 0,
		"/c: no certificate in it"},
	    {"an empty file of keys", {{"/c", {cert_a}}}, {"/k", {""}}, 0, 0, "/k: no private key in it"},
	    {"files exchanged", {{"/c", {key_a}}}, {"/k", {cert_a}}, 0, 0, "/k: no private key in it"},
	    {"a key that cannot sign", {{"/p", {key_x, cert_a}}}, {0}, 0, 0,
		"/p: keys of this kind cannot sign: RSA, ECDSA and EdDSA can"},
	    {"a passphrase", {{"/p", {key_locked, cert_a}}}, {0}, 0, 0,
		"/p: the private key is encrypted, and nobody is there to type its passphrase: store it "
		"without one "
		"(openssl pkey -in OLD -out NEW), readable by root alone"},
	    {"a passphrase, as it was written once", {{"/c", {cert_rsa}}}, {"/k", {key_locked_old}}, 0, 0,
		"/k: the private key is encrypted, and nobody is there to type its passphrase: store it "
		"without one "
		"(openssl pkey -in OLD -out NEW), readable by root alone"},
	    {"a block that does not end", {{"/p", {key_a, "-----BEGIN CERTIFICATE-----\nAAAA\n"}}}, {0}, 0, 0,
		"/p: malformed PEM"},
	    {"no base64", {{"/p", {key_a, "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"}}},
		{0}, 0, 0, "/p: malformed PEM"},
	    {"no certificate inside",
		{{"/p", {key_a, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}}}, {0}, 0,
		0, "/p: a certificate in it cannot be read"},
	    {"no key inside",
		{{"/p", {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", cert_a}}}, {0}, 0,
		0, "/p: the private key cannot be read"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pem_text chains[3], key;
		struct buf texts[4];
		size_t count = 0;
		struct error err = {0};

		for (; count < 3 && rows[i].chains[count].path; count++)
			chains[count] = text_of(&rows[i].chains[count], &texts[count]);
		key = text_of(&rows[i].key, &texts[3]);
		struct identity_list *list = identity_list_read(chains, count, key.path ? &key : NULL, &err);
		if ((list ? list->count : 0) != rows[i].count)
			fail_msg("%s: %zu identities; %s", rows[i].name, list ? list->count : 0, err.text);
		if (list && list->items[0].certificate_count != rows[i].first_chain)
			fail_msg("%s: %zu certificates", rows[i].name, list->items[0].certificate_count);
		if (list == NULL)
			assert_string_equal(err.text, rows[i].error);
		tells_no_key(err.text);
		identity_list_free(&list);
		for (size_t n = 0; n < count; n++)
			buf_free(&texts[n]);
		buf_free(&texts[3]);
	}
}

static void
what_is_too_much_is_refused(void **state)
{
	struct pem_text text = {.path = "/p"};
	struct error err;
	struct buf b;

	(void)state;
	buf_init(&b, (size_t)1 << 20);
	buf_append_text(&b, key_a);
	for (int i = 0; i <= IDENTITY_CHAIN_MAX; i++)
		buf_append_text(&b, cert_a);
	text.text = buf_span(&b);
	assert_null(identity_list_read(&text, 1, NULL, &err));
	assert_string_equal(err.text, "/p: more than 16 certificates in a chain");
	buf_clear(&b);
	for (int i = 0; i <= IDENTITIES_MAX; i++) {
		buf_append_text(&b, key_a);
		buf_append_text(&b, cert_a);
	}
	text.text = buf_span(&b);
	assert_null(identity_list_read(&text, 1, NULL, &err));
	assert_string_equal(err.text, "/p: more than 8 private keys");
	buf_clear(&b);
	while (b.len <= IDENTITY_FILE_MAX)
		buf_append_text(&b, cert_a);
	text.text = buf_span(&b);
	assert_null(identity_list_read(&text, 1, NULL, &err));
	assert_string_equal(err.text, "/p: longer than 262144 octets");
	buf_free(&b);
}

/* DER behind lengths of three octets, the leaf first; the number is that of the public key. */
static void
chains_are_as_ipc_wants_them(void **state)
{
	const struct file file = {"/p", {key_a, cert_a, cert_b}};
	struct buf b, chain;
	struct pem_text text = text_of(&file, &b);
	struct error err;
	struct identity_list *list = identity_list_read(&text, 1, NULL, &err);
	unsigned char id[32], *der = NULL;
	const unsigned char *at;
	X509 *certificate;
	size_t len;

	(void)state;
	assert_non_null(list);
	buf_init(&chain, IDENTITY_CHAIN_OCTETS_MAX);
	assert_int_equal(identity_chain(&list->items[0], &chain), 0);
	for (size_t i = 0; i < 2; i++) {
		const unsigned char *p = (const unsigned char *)buf_ptr(&chain);

		len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
		at = p + 3;
		certificate = d2i_X509(NULL, &at, (long)len);
		assert_non_null(certificate);
		assert_ptr_equal(at, p + 3 + len);
		assert_int_equal(X509_cmp(certificate, list->items[0].certificates[i]), 0);
		X509_free(certificate);
		buf_consume(&chain, 3 + len);
	}
	assert_int_equal(chain.len, 0);
	len = (size_t)i2d_X509_PUBKEY(X509_get_X509_PUBKEY(list->items[0].certificates[0]), &der);
	assert_int_equal(EVP_Digest(der, len, id, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(id, list->items[0].id, sizeof(id));
	OPENSSL_free(der);
	buf_free(&chain);
	buf_init(&chain, 100);
	assert_int_equal(identity_chain(&list->items[0], &chain), -1);
	buf_free(&chain);
	buf_free(&b);
	identity_list_free(&list);
}

static void
certificates_are_named(void **state)
{
	const struct file file = {"/p", {key_a, cert_a}};
	struct buf b;
	struct pem_text text = text_of(&file, &b);
	struct error err;
	struct identity_list *list = identity_list_read(&text, 1, NULL, &err);
	char label[CERTIFICATE_LABEL_SIZE], date[CERTIFICATE_DATE_SIZE];
	const X509 *leaf = list->items[0].certificates[0];

	(void)state;
	assert_string_equal(certificate_label(leaf, label), "a.test");
	assert_int_equal(certificate_ends(leaf) - certificate_begins(leaf), 10 * DAY);
	assert_string_equal(certificate_date(1800000000, date), "2027-01-15");
	buf_free(&b);
	identity_list_free(&list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_read),
	    cmocka_unit_test(what_is_too_much_is_refused),
	    cmocka_unit_test(chains_are_as_ipc_wants_them),
	    cmocka_unit_test(certificates_are_named),
	};

	return cmocka_run_group_tests(tests, make_texts, NULL);
}
