#include "config.h"

#include "common/password/password.h"

#include <string.h>

#include "common/base/text.h"
#include "common/sasl/prep.h"

static const struct {
	const char *prefix;
	const struct password_kind *kind;
} prefixes[] = {
    {"CRYPT", &password_crypt},
    {"BLF-CRYPT", &password_crypt},
    {"SHA256-CRYPT", &password_crypt},
    {"SHA512-CRYPT", &password_crypt},
    {"MD5-CRYPT", &password_crypt},
    {"DES-CRYPT", &password_crypt},
    {"ARGON2", &password_argon2},
    {"ARGON2I", &password_argon2},
    {"ARGON2ID", &password_argon2},
    {"SCRAM-SHA-1", &password_scram},
    {"SCRAM-SHA-256", &password_scram},
    {"SSHA", &password_digest},
    {"SSHA256", &password_digest},
    {"SSHA512", &password_digest},
};

static const struct {
	const char *name;
	const char *also;
	const char *setting; /* of crypt_gensalt(3) */
	unsigned long cost;
	int (*make)(struct span password, struct buf *out, struct error *err);
} schemes[] = {
    {"yescrypt", "CRYPT", "$y$", 0, NULL},
    {"bcrypt", "BLF-CRYPT", "$2b$", 12, NULL},
    {"SHA512-CRYPT", "SHA-512", "$6$", 100000, NULL},
#ifdef HAVE_ARGON2
    {"ARGON2ID", "argon2", NULL, 0, password_make_argon2},
#endif
    {"SCRAM-SHA-256", "SCRAM", NULL, 0, password_make_scram},
};

enum {
	PREFIX_COUNT = sizeof(prefixes) / sizeof(prefixes[0]),
	SCHEME_COUNT = sizeof(schemes) / sizeof(schemes[0])
};

static const struct password_kind *
kind_of_prefix(struct span name, const char **prefix)
{
	for (size_t i = 0; i < PREFIX_COUNT; i++) {
		if (!span_is_nocase(name, prefixes[i].prefix))
			continue;
		*prefix = prefixes[i].prefix;
		return prefixes[i].kind;
	}
	return NULL;
}

/* "{SCHEME}" in front; or the forms that name themselves, PostgreSQL's SCRAM-SHA-256$ (RFC 5803) among them. */
static const struct password_kind *
take_prefix(struct password_stored *s)
{
	ptrdiff_t end = s->text.len > 0 && s->text.ptr[0] == '{' ? span_find(s->text, '}') : -1;
	struct span name = span_sub(s->text, 1, end > 0 ? (size_t)end - 1 : 0);

	s->prefix = "";
	if (end > 0) {
		s->text = span_from(s->text, (size_t)end + 1);
		return kind_of_prefix(name, &s->prefix);
	}
	if (span_starts(s->text, "SCRAM-SHA-")) {
		end = span_find(s->text, '$');
		name = span_sub(s->text, 0, end > 0 ? (size_t)end : 0);
		s->text = span_from(s->text, name.len + 1);
		return kind_of_prefix(name, &s->prefix);
	}
	if (span_starts(s->text, "$argon2"))
		return &password_argon2;
	return span_starts(s->text, "$") ? &password_crypt : NULL;
}

int
password_parse(struct span text, struct password_stored *out, struct error *err)
{
	*out = (struct password_stored){.text = span_trim(text)};
	if (out->text.len == 0)
		return error_set(err, "no password is stored");
	/* As in shadow(5). */
	out->locked = out->text.ptr[0] == '*' || out->text.ptr[0] == '!';
	if (out->locked)
		return 0;
	if (out->text.len > PASSWORD_STORED_MAX || memchr(out->text.ptr, 0, out->text.len))
		return error_set(err, "what is stored is no password: too long, or not text");
	out->kind = take_prefix(out);
	if (out->kind == NULL)
		return error_set(
		    err, "the scheme of a stored password is unknown (a password in plain is none)");
	out->locked = out->text.len > 0 && (out->text.ptr[0] == '*' || out->text.ptr[0] == '!');
	return out->locked ? 0 : out->kind->parse(out, err);
}

bool
password_is_scram(const struct password_stored *s)
{
	return s->kind == &password_scram && !s->locked;
}

enum auth_status
password_verify(const struct password_stored *s, struct span password, struct error *err)
{
	char text[PASSWORD_MAX + 1];
	enum auth_status status = AUTH_REFUSED;

	if (s->locked || password.len == 0 || !span_copy(password, text, sizeof(text)))
		goto out;
	status = s->kind->verify(s, text, password.len, err);
out:
	explicit_bzero(text, sizeof(text));
	return status;
}

static size_t
find_scheme(const char *scheme)
{
	size_t i = 0;

	while (scheme && i < SCHEME_COUNT && !span_is_nocase(span_of(scheme), schemes[i].name) &&
	       !span_is_nocase(span_of(scheme), schemes[i].also))
		i++;
	return i;
}

bool
password_scheme_known(const char *scheme)
{
	return find_scheme(scheme) < SCHEME_COUNT;
}

int
password_make(const char *scheme, struct span password, struct buf *out, struct error *err)
{
	size_t i = find_scheme(scheme);
	struct buf prepared;
	int result;

	if (i == SCHEME_COUNT)
		return error_set(err, "there is no scheme %s here", scheme);
	if (password.len == 0)
		return error_set(err, "the password is empty");
	if (password.len > PASSWORD_MAX || memchr(password.ptr, 0, password.len))
		return error_set(err, "the password is too long, or has a NUL");
	buf_init(&prepared, PASSWORD_MAX);
	if (sasl_prep(password, &prepared) < 0)
		result = error_set(err, "the password has characters that no login can have (SASLprep%s)",
		    sasl_prep_is_whole() ? "" : " of a build without libidn: ASCII alone");
	else if (schemes[i].make)
		result = schemes[i].make(buf_span(&prepared), out, err);
	else
		result =
		    password_make_crypt(schemes[i].setting, schemes[i].cost, buf_span(&prepared), out, err);
	if (prepared.mem)
		explicit_bzero(prepared.mem, prepared.cap);
	buf_free(&prepared);
	return result;
}

const char *
password_scheme_name(size_t i)
{
	return i < SCHEME_COUNT ? schemes[i].name : NULL;
}
