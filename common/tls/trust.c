#include "common/tls/trust.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/tls/library.h"
#include "common/tls/trust_inside.h"

enum { FILE_MAX_BYTES = 16 << 20, DIRECTORY_MAX_FILES = 20000, NAMES_MAX = 200 };

struct tls_trust *
tls_trust_new(void)
{
	struct tls_trust *t = mem_alloc(sizeof(*t));

	t->references = 1;
	t->store = X509_STORE_new();
	t->names = sk_X509_NAME_new_null();
	if (!t->store || !t->names)
		panic("no memory for certificates");
	return t;
}

struct tls_trust *
tls_trust_ref(struct tls_trust *t)
{
	if (t)
		t->references++;
	return t;
}

void
tls_trust_free(struct tls_trust **trust)
{
	struct tls_trust *t = *trust;

	*trust = NULL;
	if (!t || --t->references > 0)
		return;
	X509_STORE_free(t->store);
	sk_X509_NAME_pop_free(t->names, X509_NAME_free);
	free(t);
}

/* The subjects of a CAfile, not of a CApath, are told to clients that are asked for a certificate: as Postfix does. */
static void
add_name(struct tls_trust *t, X509 *certificate)
{
	X509_NAME *name;

	if (sk_X509_NAME_num(t->names) >= NAMES_MAX)
		return;
	name = X509_NAME_dup(X509_get_subject_name(certificate));
	if (!name || sk_X509_NAME_push(t->names, name) == 0)
		panic("no memory for names of authorities");
}

/* In whatever order; one that comes twice does not cancel itself. */
static void
sum_up(unsigned char *sum, const unsigned char *digest, size_t len)
{
	unsigned carry = 0;

	for (size_t i = 0; i < len; i++) {
		carry += (unsigned)sum[i] + digest[i];
		sum[i] = (unsigned char)carry;
		carry >>= 8;
	}
}

static void
add_certificate(struct tls_trust *t, X509 *certificate)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (X509_STORE_add_cert(t->store, certificate) != 1)
		return;
	t->count++;
	if (X509_digest(certificate, EVP_sha256(), digest, NULL) != 1)
		panic("no digest of a certificate");
	sum_up(t->sum, digest, sizeof(t->sum));
}

/* Returns how many certificates were there, -1 if one is malformed. */
static int
add_all(struct tls_trust *t, struct span pem, bool names, struct error *err)
{
	BIO *in = BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len);
	X509 *certificate;
	int found = 0;

	if (!in)
		panic("no memory for certificates");
	ERR_clear_error();
	while ((certificate = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL))) {
		add_certificate(t, certificate);
		if (names)
			add_name(t, certificate);
		X509_free(certificate);
		found++;
	}
	BIO_free(in);
	if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return found;
	}
	return tls_error_set(err, "certificate %d", found + 1);
}

static int
add_file_text(struct tls_trust *t, struct span pem, const char *file, bool names, struct error *err)
{
	int found;

	if (pem.len > FILE_MAX_BYTES)
		return error_set(err, "%s: too large", file);
	if ((found = add_all(t, pem, names, err)) < 0)
		return error_while(err, "%s", file);
	return found;
}

int
tls_trust_add_text(struct tls_trust *t, struct span pem, const char *file, struct error *err)
{
	int found = add_file_text(t, pem, file, true, err);

	if (found == 0)
		return error_set(err, "%s: no certificate in it", file);
	return found < 0 ? -1 : 0;
}

static int
read_all(int fd, struct buf *out, const char *file, struct error *err)
{
	enum { PIECE = 64 * 1024 };
	off_t at = 0;
	char *room;
	ssize_t n;

	while ((room = buf_reserve(out, PIECE))) {
		if ((n = io_pread_all(fd, room, PIECE, at)) < 0)
			return error_errno(err, "%s", file);
		buf_added(out, (size_t)n);
		if (n < PIECE)
			return 0;
		at += n;
	}
	return error_set(err, "%s: too large", file);
}

int
tls_trust_add_fd(struct tls_trust *t, int fd, const char *file, struct error *err)
{
	struct buf text;
	int result;

	buf_init(&text, FILE_MAX_BYTES);
	result = read_all(fd, &text, file, err);
	if (result == 0)
		result = tls_trust_add_text(t, buf_span(&text), file, err);
	buf_free(&text);
	return result;
}

/* Files of a CApath without a certificate, or with a bad one, hide no others. */
static void
add_directory_file(struct tls_trust *t, int directory, const char *name)
{
	struct error ignored;
	struct buf text;
	struct stat st;
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return;
	buf_init(&text, FILE_MAX_BYTES);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && read_all(fd, &text, name, &ignored) == 0)
		(void)add_file_text(t, buf_span(&text), name, false, &ignored);
	buf_free(&text);
	(void)io_close(&fd);
}

int
tls_trust_add_gathered(struct tls_trust *t, int fd, const char *path, struct error *err)
{
	struct error ignored;
	struct span rest;
	struct buf text;
	int result;

	buf_init(&text, FILE_MAX_BYTES);
	result = read_all(fd, &text, path, err);
	rest = buf_span(&text);
	while (result == 0 && rest.len > 0) {
		ptrdiff_t end = span_find(rest, '\0');
		size_t len = end < 0 ? rest.len : (size_t)end;

		(void)add_file_text(t, span_sub(rest, 0, len), path, false, &ignored);
		rest = span_from(rest, end < 0 ? len : len + 1);
	}
	buf_free(&text);
	return result;
}

void
tls_trust_add_all(struct tls_trust *t, const struct tls_trust *other)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(other->store);

	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));

		if (certificate)
			add_certificate(t, certificate);
	}
	for (int i = 0; i < sk_X509_NAME_num(other->names) && sk_X509_NAME_num(t->names) < NAMES_MAX; i++) {
		X509_NAME *name = X509_NAME_dup(sk_X509_NAME_value(other->names, i));

		if (!name || sk_X509_NAME_push(t->names, name) == 0)
			panic("no memory for names of authorities");
	}
}

int
tls_trust_add_directory(struct tls_trust *t, const char *path, struct error *err)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	size_t files = 0;

	if (!directory)
		return error_errno(err, "%s", path);
	while (files < DIRECTORY_MAX_FILES && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		files++;
		add_directory_file(t, dirfd(directory), entry->d_name);
	}
	closedir(directory);
	return 0;
}

bool
tls_trust_is_system(const char *path)
{
	return strcmp(path, X509_get_default_cert_file()) == 0;
}

int
tls_trust_add_system_fd(struct tls_trust *t, int fd, struct error *err)
{
	const char *file = X509_get_default_cert_file();
	struct buf text;
	int found;

	buf_init(&text, FILE_MAX_BYTES);
	found = read_all(fd, &text, file, err);
	if (found == 0)
		found = add_file_text(t, buf_span(&text), file, false, err);
	buf_free(&text);
	return found < 0 ? -1 : 0;
}

int
tls_trust_add_system(struct tls_trust *t, struct error *err)
{
	const char *file = X509_get_default_cert_file(), *directory = X509_get_default_cert_dir();
	size_t before = t->count;
	int fd, found = 0;

	if ((fd = open(file, O_RDONLY | O_CLOEXEC)) >= 0) {
		found = tls_trust_add_system_fd(t, fd, err);
		(void)io_close(&fd);
	}
	if (found < 0 || t->count > before)
		return found < 0 ? -1 : 0;
	/* Some systems have the directory alone. A host without authorities is no error: nobody is believed. */
	return access(directory, R_OK) == 0 ? tls_trust_add_directory(t, directory, err) : 0;
}

void
tls_trust_partial_chains(struct tls_trust *t)
{
	X509_STORE_set_flags(t->store, X509_V_FLAG_PARTIAL_CHAIN);
}

size_t
tls_trust_count(const struct tls_trust *t)
{
	return t ? t->count : 0;
}
