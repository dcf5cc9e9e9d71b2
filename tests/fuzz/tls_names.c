/*
 * What strangers put into certificates, and administrators into parameters: names that are shown are host names, nothing
 * matches what it must not, and texts for the log are printable.
 */
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/tls/match.h"
#include "common/tls/parameters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
on_name(void *context, struct span name)
{
	(void)context;
	if (name.len == 0 || name.len > 255)
		abort();
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] <= ' ' || (unsigned char)name.ptr[i] >= 0x7f)
			abort();
	/* No certificate is good for everything below a whole top level, or for an address. */
	if (match_name(name, span_of("a.example")) && !span_ends_nocase(name, "a.example") &&
	    !span_ends_nocase(name, "a.example."))
		abort();
	if (match_name(name, span_of("192.0.2.1")) || match_name(name, span_of("[::1]")))
		abort();
	return true;
}

static void
certificate(struct span bytes)
{
	const unsigned char *at = (const unsigned char *)bytes.ptr;
	X509 *x = d2i_X509(NULL, &at, (long)bytes.len);
	struct buf text;

	ERR_clear_error();
	if (!x)
		return;
	match_each_name(x, on_name, NULL);
	buf_init(&text, 300);
	match_name_entry(X509_get_subject_name(x), NID_commonName, &text);
	if (memchr(buf_ptr(&text) ? buf_ptr(&text) : "", '\0', text.len) || !utf8_valid(buf_span(&text)))
		abort();
	buf_clear(&text);
	match_name_entry(X509_get_issuer_name(x), NID_organizationName, &text);
	buf_free(&text);
	X509_free(x);
	ERR_clear_error();
}

static void
parameters(struct span text)
{
	const struct tls_grades grades = {"HIGH", "MEDIUM", "eNULL"};
	struct tls_protocols protocols;
	struct error err = {.text = ""};
	struct buf out;
	uint64_t options;

	if (tls_protocols_parse(text, &protocols, &err) < 0 && !*err.text)
		abort();
	if (tls_protocols_parse(text, &protocols, &err) == 0 && protocols.floor && protocols.ceiling &&
	    protocols.floor > protocols.ceiling)
		abort();
	(void)tls_options_parse(text, &options, &err);
	buf_init(&out, 1000);
	if (tls_cipher_list(&out, text, &grades, "aNULL", NULL, &err) == 0 &&
	    !span_ends_nocase(buf_span(&out), ":!aNULL"))
		abort();
	buf_free(&out);
}

/* Both halves of the text, as names and as fingerprints; a thing always is what it is. */
static void
pairs(struct span text)
{
	struct span one = span_sub(text, 0, text.len / 2), other = span_from(text, text.len / 2);
	struct span wanted = one.len ? one : SPAN_LIT("mx.example");

	if (match_fingerprint(one, other) != match_fingerprint(other, one))
		abort();
	if (match_name(other, wanted) && wanted.ptr[0] != '.' && other.ptr[0] != '*' &&
	    other.len > wanted.len + 1)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	certificate(span_make(data, size));
	parameters(span_make(data, size));
	pairs(span_make(data, size));
	return 0;
}
