#include "tests/unit/tls/certificates.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/mem.h"

static EVP_PKEY *
pss_key_new(void)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	EVP_PKEY *key = NULL;

	if (EVP_PKEY_keygen_init(context) != 1 || EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048) != 1 ||
	    EVP_PKEY_generate(context, &key) != 1)
		panic("no key for PSS");
	EVP_PKEY_CTX_free(context);
	return key;
}

static EVP_PKEY *
key_new(const char *kind)
{
	if (strncmp(kind, "EC ", 3) == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind + 3);
	if (strcmp(kind, "RSA") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	if (strcmp(kind, "RSA-PSS") == 0)
		return pss_key_new();
	return EVP_PKEY_Q_keygen(NULL, NULL, kind);
}

/* RSA keys take long to make: one for all. */
static EVP_PKEY *
key_of(const char *kind)
{
	static EVP_PKEY *rsa;

	if (strcmp(kind, "RSA") != 0)
		return key_new(kind);
	if (!rsa)
		rsa = key_new(kind);
	EVP_PKEY_up_ref(rsa);
	return rsa;
}

static void
add_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	if (!(extension = X509V3_EXT_conf_nid(NULL, &context, nid, value)))
		panic("extension \"%s\"", value);
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

static void
add_raw_name(X509 *certificate, const void *name, size_t len)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *one = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	ASN1_STRING_set(text, name, (int)len);
	GENERAL_NAME_set0_value(one, GEN_DNS, text);
	sk_GENERAL_NAME_push(names, one);
	X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE);
	GENERAL_NAMES_free(names);
}

struct party
party_new(const struct wish *wish)
{
	struct party p = {key_of(wish->kind), X509_new()};
	const struct party *issuer = wish->issuer ? wish->issuer : &p;
	X509_NAME *subject;
	uint64_t serial;

	if (!p.key || !p.certificate || RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		panic("no key of kind %s", wish->kind);
	X509_set_version(p.certificate, X509_VERSION_3);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(p.certificate), serial >> 1);
	X509_gmtime_adj(X509_getm_notBefore(p.certificate), wish->from_s);
	X509_gmtime_adj(X509_getm_notAfter(p.certificate), wish->to_s ? wish->to_s : 86400);
	subject = X509_get_subject_name(p.certificate);
	if (wish->common_name)
		X509_NAME_add_entry_by_txt(
		    subject, "CN", MBSTRING_UTF8, (const unsigned char *)wish->common_name, -1, -1, 0);
	X509_set_issuer_name(p.certificate, X509_get_subject_name(issuer->certificate));
	X509_set_pubkey(p.certificate, p.key);
	add_extension(
	    p.certificate, NID_basic_constraints, wish->authority ? "critical,CA:TRUE" : "CA:FALSE");
	if (wish->names)
		add_extension(p.certificate, NID_subject_alt_name, wish->names);
	if (wish->raw_name)
		add_raw_name(p.certificate, wish->raw_name, wish->raw_name_len);
	if (X509_sign(
		p.certificate, issuer->key, EVP_PKEY_is_a(issuer->key, "ED25519") ? NULL : EVP_sha256()) <= 0)
		panic("no certificate for %s", wish->common_name ? wish->common_name : "");
	return p;
}

void
party_free(struct party *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->certificate);
	*p = (struct party){0};
}

void
party_number(const struct party *p, unsigned char number[32])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(p->certificate), &der);

	if (len <= 0 || EVP_Digest(der, (size_t)len, number, NULL, EVP_sha256(), NULL) != 1)
		panic("no number for a key");
	OPENSSL_free(der);
}
