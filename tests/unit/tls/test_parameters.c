/*
 * Parameters and trust anchors: what Postfix's texts mean, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/tls/context.h"
#include "common/tls/library.h"
#include "tests/unit/tls/certificates.h"

static const struct {
	const char *text;
	int floor, ceiling;
	uint64_t excluded;
} protocols_good[] = {
    {"", 0, 0, 0},
    {">=TLSv1.2", TLS1_2_VERSION, 0, 0},
    {">=TLSv1, <=TLSv1.2", TLS1_VERSION, TLS1_2_VERSION, 0},
    {">=0303", TLS1_2_VERSION, 0, 0},
    {">=0x0303:<=0304", TLS1_2_VERSION, TLS1_3_VERSION, 0},
    {"!SSLv2, !SSLv3", 0, 0, SSL_OP_NO_SSLv3},
    {"!SSLv2,!sslv3 !TLSv1:!TLSv1.1", 0, 0, SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1},
    {"TLSv1.2 TLSv1.3", 0, 0, SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1},
    {"TLSv1.3", 0, 0, SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2},
};

static const char *const protocols_bad[] = {"TLSv1.4", ">=TLS1.2", ">=", "!", ">=12345", ">=xyz",
    "<=TLSv1.2 >=TLSv1.3", "!SSLv3 !TLSv1 !TLSv1.1 !TLSv1.2 !TLSv1.3", "SSLv3 !SSLv3"};

static void
protocols(void **state)
{
	struct tls_protocols p;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(protocols_good) / sizeof(protocols_good[0]); i++) {
		assert_int_equal(tls_protocols_parse(span_of(protocols_good[i].text), &p, &err), 0);
		assert_int_equal(p.floor, protocols_good[i].floor);
		assert_int_equal(p.ceiling, protocols_good[i].ceiling);
		assert_int_equal(p.excluded, protocols_good[i].excluded);
	}
	for (size_t i = 0; i < sizeof(protocols_bad) / sizeof(protocols_bad[0]); i++) {
		err.text[0] = '\0';
		if (tls_protocols_parse(span_of(protocols_bad[i]), &p, &err) != -1)
			fail_msg("\"%s\" was taken", protocols_bad[i]);
		assert_string_not_equal(err.text, "");
	}
}

static void
options(void **state)
{
	uint64_t all;
	struct error err;

	(void)state;
	assert_int_equal(tls_options_parse(span_of(""), &all, &err), 0);
	assert_int_equal(all, 0);
	assert_int_equal(tls_options_parse(span_of("NO_TICKET, prioritize_chacha 0x4"), &all, &err), 0);
	assert_int_equal(all, SSL_OP_NO_TICKET | SSL_OP_PRIORITIZE_CHACHA | 4);
	assert_int_equal(tls_options_parse(span_of("NO_TICKETS"), &all, &err), -1);
	assert_int_equal(tls_options_parse(span_of("0x"), &all, &err), -1);
	assert_int_equal(tls_options_parse(span_of("0x12zz"), &all, &err), -1);
	assert_int_equal(tls_options_parse(span_of("12"), &all, &err), -1);
}

static void
ciphers(void **state)
{
	const struct tls_grades grades = {"HIGH:@STRENGTH", "HIGH:MEDIUM", "eNULL"};
	struct buf out;
	struct error err;

	(void)state;
	buf_init(&out, 200);
	assert_int_equal(tls_cipher_list(&out, span_of("high"), &grades, "aNULL, RC4:DES", "MD5", &err), 0);
	assert_string_equal(buf_text(&out), "HIGH:@STRENGTH:!aNULL:!RC4:!DES:!MD5");
	buf_clear(&out);
	assert_int_equal(tls_cipher_list(&out, span_of("export"), &grades, NULL, "", &err), 0);
	assert_string_equal(buf_text(&out), "HIGH:MEDIUM");
	buf_clear(&out);
	assert_int_equal(tls_cipher_list(&out, span_of("best"), &grades, NULL, NULL, &err), -1);
	assert_int_equal(tls_cipher_list(&out, span_of("high"), &grades, "!RC4", NULL, &err), -1);
	buf_free(&out);
	buf_init(&out, 10);
	assert_int_equal(tls_cipher_list(&out, span_of("high"), &grades, NULL, NULL, &err), -1);
	buf_free(&out);
}

static void
groups(void **state)
{
	struct buf out;
	struct error err;

	(void)state;
	buf_init(&out, 500);
	assert_int_equal(
	    tls_groups(&out, span_of("X25519 nosuchcurve,prime256v1 X25519"), span_of("ffdhe2048"), &err), 0);
	assert_string_equal(buf_text(&out), "X25519:prime256v1:ffdhe2048");
	buf_clear(&out);
	assert_int_equal(tls_groups(&out, span_of("nosuchcurve"), span_of(""), &err), -1);
	buf_free(&out);
}

static void
contexts_that_cannot_be(void **state)
{
	const struct tls_settings bad[] = {
	    {.side = TLS_SERVER, .ciphers = "nonsense"},
	    {.side = TLS_SERVER, .ciphers = "kRSA"}, /* keys does not decrypt */
	    {.side = TLS_CLIENT, .ciphersuites = "nonsense"},
	    {.side = TLS_CLIENT, .groups = "nonsense"},
	    {.side = TLS_CLIENT, .digest = "nonsense"},
	    {.side = TLS_CLIENT, .protocols = {.floor = 0x0999}},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		assert_null(tls_context_new(&bad[i], NULL, &err));
		assert_string_not_equal(err.text, "");
	}
}

/* ---- trust ---- */

static size_t
pem_of(const struct party *p, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;

	PEM_write_bio_X509(bio, p->certificate);
	len = BIO_get_mem_data(bio, &pem);
	assert_true(len > 0 && (size_t)len < size);
	memcpy(out, pem, (size_t)len);
	out[len] = '\0';
	BIO_free(bio);
	return (size_t)len;
}

static void
write_file(const char *directory, const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void
trust_from_texts_and_files(void **state)
{
	struct party one =
	    party_new(&(struct wish){.kind = "EC P-256", .common_name = "one", .authority = 1});
	struct party other =
	    party_new(&(struct wish){.kind = "EC P-256", .common_name = "other", .authority = 1});
	struct tls_trust *t = tls_trust_new();
	char pem[4000], both[8000], directory[] = "/tmp/trustXXXXXX", path[200];
	struct error err;
	int fd;

	(void)state;
	pem_of(&one, pem, sizeof(pem));
	snprintf(both, sizeof(both), "a comment\n%s\nanother\n", pem);
	assert_int_equal(tls_trust_add_text(t, span_of(both), "file", &err), 0);
	assert_int_equal(tls_trust_count(t), 1);
	assert_int_equal(tls_trust_add_text(t, span_of("nothing here"), "file", &err), -1);
	assert_string_equal(err.text, "file: no certificate in it");
	pem[strlen(pem) / 2] = '!';
	assert_int_equal(tls_trust_add_text(t, span_of(pem), "file", &err), -1);
	assert_non_null(strstr(err.text, "file: certificate 1: "));

	assert_non_null(mkdtemp(directory));
	pem_of(&other, pem, sizeof(pem));
	write_file(directory, "other.pem", pem);
	write_file(directory, "README", "no certificate");
	write_file(directory, ".hidden", pem);
	snprintf(path, sizeof(path), "%s/loop", directory);
	assert_int_equal(symlink(path, path), 0);
	snprintf(path, sizeof(path), "%s/fifo", directory);
	assert_int_equal(mknod(path, S_IFIFO | 0600, 0), 0);
	assert_int_equal(tls_trust_add_directory(t, directory, &err), 0);
	assert_int_equal(tls_trust_count(t), 2);
	assert_int_equal(tls_trust_add_directory(t, "/nonexistent", &err), -1);

	snprintf(path, sizeof(path), "%s/other.pem", directory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 10, SEEK_SET), 10);
	assert_int_equal(tls_trust_add_fd(t, fd, path, &err), 0);
	close(fd);
	tls_trust_free(&t);
	assert_int_equal(unlink(path), 0);
	for (const char *const *name = (const char *const[]){"README", ".hidden", "loop", "fifo", NULL};
	     *name; name++) {
		snprintf(path, sizeof(path), "%s/%s", directory, *name);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(directory), 0);
	party_free(&one);
	party_free(&other);
}

static void
trust_of_the_system(void **state)
{
	struct tls_trust *t = tls_trust_new();
	struct error err;

	(void)state;
	assert_int_equal(tls_trust_count(t), 0);
	assert_int_equal(tls_trust_add_system(t, &err), 0);
	if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0)
		assert_true(tls_trust_count(t) > 10);
	tls_trust_free(&t);
}

static int
open_library(void **state)
{
	struct error err;

	(void)state;
	return tls_library_open(&err);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(protocols),
	    cmocka_unit_test(options),
	    cmocka_unit_test(ciphers),
	    cmocka_unit_test(groups),
	    cmocka_unit_test(contexts_that_cannot_be),
	    cmocka_unit_test(trust_from_texts_and_files),
	    cmocka_unit_test(trust_of_the_system),
	};

	return cmocka_run_group_tests(tests, open_library, NULL);
}
