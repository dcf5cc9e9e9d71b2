/*
 * crypt(3) as libxcrypt has it: yescrypt, scrypt, bcrypt, SHA-2, and of the old ones MD5 and DES.
 */
#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/password/password.h"

enum { ROUNDS_MAX = 5000000, BCRYPT_COST_MAX = 15, BCRYPT_PASSWORD_MAX = 72, DES_LENGTH = 13 };

static const char weak[] = "an old scheme that is quickly tried out: postern password makes better ones";

/* 0..63 of crypt's alphabet, or -1. */
static int
digit64(char c)
{
	static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* digits of six bits, the lowest first. */
static uint64_t
number64(struct span text)
{
	uint64_t value = 0;

	for (size_t i = text.len; i > 0; i--)
		value = value << 6 | (uint64_t)(digit64(text.ptr[i - 1]) & 63);
	return value;
}

/* Rest behind "$id$". */
static struct span
parameters(struct span text)
{
	ptrdiff_t end = span_find(span_from(text, 1), '$');

	return span_from(text, end < 0 ? text.len : (size_t)end + 2);
}

/* Flags, N and r of one character each (crypt_gensalt(3) makes no others); N and r count from one. */
static int
yescrypt_memory(struct password_stored *s)
{
	struct span p = parameters(s->text);

	if (p.len < 4 || p.ptr[3] != '$')
		return -1;
	int n = digit64(p.ptr[1]), r = digit64(p.ptr[2]);
	if (n < 0 || n > 40 || r < 0 || r > 47)
		return -1;
	s->memory = (uint64_t)(r + 1) * 128 << (n + 1);
	return 0;
}

/* N of one character, r and p of five each. */
static int
scrypt_memory(struct password_stored *s)
{
	struct span p = parameters(s->text);

	if (p.len < 11)
		return -1;
	int n = digit64(p.ptr[0]);
	uint64_t r = number64(span_sub(p, 1, 5)), parallel = number64(span_sub(p, 6, 5));
	if (n < 1 || n > 40 || r == 0 || r > 1024 || parallel == 0 || parallel > 4)
		return -1;
	s->memory = r * 128 * parallel << n;
	return 0;
}

static int
bcrypt_cost(struct password_stored *s)
{
	struct span cost = span_sub(parameters(s->text), 0, 2);
	uint64_t value;

	return number_parse(cost, 4, BCRYPT_COST_MAX, &value);
}

static int
sha_rounds(struct password_stored *s)
{
	struct span p = parameters(s->text);
	ptrdiff_t end = span_find(p, '$');
	uint64_t value;

	if (!span_starts(p, "rounds="))
		return 0;
	return end < 0 ? -1 : number_parse(span_sub(p, 7, (size_t)end - 7), 1, ROUNDS_MAX, &value);
}

static int
old_scheme(struct password_stored *s)
{
	s->weakness = weak;
	return 0;
}

static const struct {
	const char *prefix;
	int (*costs)(struct password_stored *s); /* -1: malformed, or too much */
} methods[] = {
    {"$y$", yescrypt_memory},
    {"$gy$", yescrypt_memory},
    {"$7$", scrypt_memory},
    {"$2a$", bcrypt_cost},
    {"$2b$", bcrypt_cost},
    {"$2y$", bcrypt_cost},
    {"$6$", sha_rounds},
    {"$5$", sha_rounds},
    {"$1$", old_scheme},
};

static bool
is_des(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (digit64(text.ptr[i]) < 0)
			return false;
	return text.len == DES_LENGTH;
}

static int
parse(struct password_stored *s, struct error *err)
{
	size_t i = 0, count = sizeof(methods) / sizeof(methods[0]);

	/* Only behind a prefix: a password in plain may look like it. */
	if (s->prefix[0] && is_des(s->text))
		return old_scheme(s);
	while (i < count && !span_starts(s->text, methods[i].prefix))
		i++;
	if (i == count)
		return error_set(err, "the method of a crypt(3) string is unknown");
	if (methods[i].costs(s) < 0 || s->memory > PASSWORD_MEMORY_MAX)
		return error_set(
		    err, "a crypt(3) string (%s) is malformed, or costs too much", methods[i].prefix);
	return 0;
}

static enum auth_status
verify(const struct password_stored *s, const char *password, size_t len, struct error *err)
{
	char setting[PASSWORD_STORED_MAX + 1];
	struct crypt_data *data = mem_alloc(sizeof(*data));
	enum auth_status status = AUTH_REFUSED;
	const char *made;

	(void)len;
	(void)span_copy(s->text, setting, sizeof(setting));
	errno = 0;
	made = crypt_r(password, setting, data);
	if (made == NULL || made[0] == '*') {
		/* Longer than crypt(3) takes: then it was never stored. */
		if (errno != ERANGE) {
			error_errno(err, "crypt(3)");
			status = AUTH_TEMPORARY;
		}
	} else if (strlen(made) == s->text.len && CRYPTO_memcmp(made, s->text.ptr, s->text.len) == 0) {
		status = AUTH_ACCEPTED;
	}
	explicit_bzero(data, sizeof(*data));
	free(data);
	return status;
}

const struct password_kind password_crypt = {parse, verify};

int
password_make_crypt(
    const char *setting, unsigned long cost, struct span password, struct buf *out, struct error *err)
{
	char salted[CRYPT_GENSALT_OUTPUT_SIZE], text[PASSWORD_MAX + 1];
	struct crypt_data *data;
	const char *made;
	int result = -1;

	/* bcrypt looks at no more than that: what is behind would count for nothing. */
	if (strcmp(setting, "$2b$") == 0 && password.len > BCRYPT_PASSWORD_MAX)
		return error_set(err, "bcrypt takes no more than %d octets", BCRYPT_PASSWORD_MAX);
	if (crypt_gensalt_rn(setting, cost, NULL, 0, salted, sizeof(salted)) == NULL)
		return error_errno(err, "crypt_gensalt(3) for %s", setting);
	data = mem_alloc(sizeof(*data));
	(void)span_copy(password, text, sizeof(text));
	made = crypt_r(text, salted, data);
	if (made == NULL || made[0] == '*')
		error_errno(err, "crypt(3)");
	else
		result = buf_append_text(out, made);
	explicit_bzero(text, sizeof(text));
	explicit_bzero(data, sizeof(*data));
	free(data);
	return result;
}
