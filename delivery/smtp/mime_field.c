#include "delivery/smtp/mime_field.h"

#include <string.h>

#include "common/base/text.h"

bool
mime_field_is(struct span field, const char *name, struct span *body)
{
	ptrdiff_t colon = span_find(field, ':');

	if (colon < 0 || !span_is_nocase(span_trim(span_sub(field, 0, (size_t)colon)), name))
		return false;
	*body = span_from(field, (size_t)colon + 1);
	return true;
}

static bool
is_token(char c)
{
	return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?=", c);
}

/* Skips white space and comments, nested ones too (RFC 5322, 3.2.2). */
static void
skip_blank(struct span *s)
{
	unsigned depth = 0;

	while (s->len > 0) {
		char c = s->ptr[0];

		if (c == '\\' && depth > 0 && s->len > 1)
			*s = span_from(*s, 1);
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			return;
		*s = span_from(*s, 1);
	}
}

static struct span
take_token(struct span *s)
{
	size_t n = 0;
	struct span token;

	skip_blank(s);
	while (n < s->len && is_token(s->ptr[n]))
		n++;
	token = span_sub(*s, 0, n);
	*s = span_from(*s, n);
	skip_blank(s);
	return token;
}

static bool
take_char(struct span *s, char c)
{
	skip_blank(s);
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	*s = span_from(*s, 1);
	return true;
}

/* A token or quoted string into value. Returns its length, 0 if it does not fit or is not closed. */
static size_t
take_value(struct span *s, char *value, size_t size)
{
	size_t n = 0;
	struct span token;

	if (!take_char(s, '"')) {
		token = take_token(s);
		if (token.len > size)
			return 0;
		memcpy(value, token.ptr, token.len);
		return token.len;
	}
	while (s->len > 0 && s->ptr[0] != '"') {
		if (s->ptr[0] == '\\' && s->len > 1)
			*s = span_from(*s, 1);
		if (s->ptr[0] != '\r' && s->ptr[0] != '\n') {
			if (n == size)
				return 0;
			value[n++] = s->ptr[0];
		}
		*s = span_from(*s, 1);
	}
	return take_char(s, '"') ? n : 0;
}

static struct span
keep(struct mime_type *t, size_t *used, struct span word)
{
	char *at = t->mem + *used;

	if (word.len > sizeof t->mem - *used)
		return (struct span){NULL, 0};
	memcpy(at, word.ptr, word.len);
	*used += word.len;
	return span_make(at, word.len);
}

void
mime_type_parse(struct mime_type *t, struct span body)
{
	size_t used = 0, value_len;
	char value[sizeof t->boundary];
	struct span name;

	memset(t, 0, sizeof *t);
	t->type = keep(t, &used, take_token(&body));
	if (!take_char(&body, '/'))
		return;
	t->subtype = keep(t, &used, take_token(&body));
	while (body.len > 0) {
		if (!take_char(&body, ';')) {
			body = span_from(body, 1);
			continue;
		}
		name = take_token(&body);
		if (!take_char(&body, '='))
			continue;
		value_len = take_value(&body, value, sizeof value);
		if (!span_is_nocase(name, "boundary") || t->boundary_len > 0)
			continue;
		/* Blanks at its end do not count (RFC 2046, 5.1.1). */
		while (value_len > 0 && value[value_len - 1] == ' ')
			value_len--;
		memcpy(t->boundary, value, value_len);
		t->boundary_len = value_len;
	}
}

bool
mime_type_is(const struct mime_type *t, const char *type, const char *subtype)
{
	return span_is_nocase(t->type, type) && span_is_nocase(t->subtype, subtype);
}

enum mime_encoding
mime_encoding_parse(struct span body)
{
	static const char *const names[] = {"7bit", "8bit", "binary", "quoted-printable", "base64"};
	struct span token = take_token(&body);

	for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
		if (span_is_nocase(token, names[i]))
			return (enum mime_encoding)i;
	return MIME_OTHER;
}
