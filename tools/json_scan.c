#include "tools/json_scan.h"

#include "common/base/text.h"

enum { TEXT_MAX = 1 << 20 };

void
json_scan_init(struct json_scan *j, struct span text)
{
	*j = (struct json_scan){.rest = text};
	buf_init(&j->text, TEXT_MAX);
}

void
json_scan_free(struct json_scan *j)
{
	buf_free(&j->text);
}

static void
skip(struct json_scan *j, const char *set)
{
	while (j->rest.len > 0 && strchr(set, j->rest.ptr[0]) && j->rest.ptr[0] != '\0')
		j->rest = span_from(j->rest, 1);
}

/* \uXXXX of control characters is all that text_append_json() writes. */
static bool
unescape(struct json_scan *j)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	char c = j->rest.len > 0 ? j->rest.ptr[0] : '\0';
	const char *p = c ? strchr(from, c) : NULL;
	unsigned code = 0;

	if (c == '\0')
		return false;
	if (c == 'u') {
		for (size_t i = 1; i <= 4; i++) {
			int digit = i < j->rest.len ? hex_digit(j->rest.ptr[i]) : -1;

			if (digit < 0)
				return false;
			code = code << 4 | (unsigned)digit;
		}
		c = code < 128 ? (char)code : '?';
		j->rest = span_from(j->rest, 4);
	} else if (p) {
		c = to[p - from];
	}
	j->rest = span_from(j->rest, 1);
	return buf_append(&j->text, &c, 1) == 0;
}

static bool
string(struct json_scan *j)
{
	buf_clear(&j->text);
	j->rest = span_from(j->rest, 1);
	for (;;) {
		char c = j->rest.len > 0 ? j->rest.ptr[0] : '\0';

		if (j->rest.len == 0)
			return false;
		j->rest = span_from(j->rest, 1);
		if (c == '"')
			break;
		if (c == '\\' ? !unescape(j) : buf_append(&j->text, &c, 1) < 0)
			return false;
	}
	j->kind = JSON_STRING;
	j->value = buf_span(&j->text);
	skip(j, " \t");
	j->is_name = j->rest.len > 0 && j->rest.ptr[0] == ':';
	return true;
}

bool
json_scan_next(struct json_scan *j)
{
	size_t len = 0;

	j->kind = JSON_END;
	j->is_name = false;
	skip(j, " \t\r\n,:");
	if (j->rest.len == 0)
		return false;
	if (j->rest.ptr[0] == '"')
		return string(j);
	if (strchr("{}[]", j->rest.ptr[0])) {
		j->kind = JSON_MARK;
		j->mark = j->rest.ptr[0];
		j->rest = span_from(j->rest, 1);
		return true;
	}
	while (len < j->rest.len && !strchr(" \t\r\n,:{}[]\"", j->rest.ptr[len]))
		len++;
	if (len == 0)
		return false;
	j->kind = JSON_WORD;
	j->value = span_sub(j->rest, 0, len);
	j->rest = span_from(j->rest, len);
	return true;
}
