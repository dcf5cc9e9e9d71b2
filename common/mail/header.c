#include "common/mail/header.h"

#include "common/base/text.h"

enum { LINE_OCTETS_MAX = 998 };

size_t
header_name_length(struct span line)
{
	size_t len = 0, i;

	while (len < line.len && line.ptr[len] > 32 && line.ptr[len] < 127 && line.ptr[len] != ':')
		len++;
	for (i = len; i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'); i++)
		;
	return i < line.len && line.ptr[i] == ':' ? len : 0;
}

bool
header_is_continuation(struct span line)
{
	return line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
}

static struct span
without_line_end(struct span s)
{
	if (s.len > 0 && s.ptr[s.len - 1] == '\n')
		s.len--;
	if (s.len > 0 && s.ptr[s.len - 1] == '\r')
		s.len--;
	return s;
}

/* A line with its end. */
static struct span
first_line(struct span text)
{
	ptrdiff_t lf = span_find(text, '\n');
	return lf < 0 ? text : span_sub(text, 0, (size_t)lf + 1);
}

bool
header_next(struct span *rest, struct header_field *field)
{
	struct span line = first_line(*rest), whole;
	size_t name = header_name_length(line);

	if (name == 0)
		return false;
	whole = line;
	while (whole.len < rest->len && header_is_continuation(span_from(*rest, whole.len)))
		whole.len += first_line(span_from(*rest, whole.len)).len;
	*rest = span_from(*rest, whole.len);
	field->whole = whole;
	field->name = span_sub(whole, 0, name);
	field->body = without_line_end(span_from(whole, (size_t)span_find(whole, ':') + 1));
	return true;
}

bool
header_has_long_line(struct span header)
{
	while (header.len > LINE_OCTETS_MAX) {
		ptrdiff_t lf = span_find(header, '\n');

		if (lf < 0 || lf > LINE_OCTETS_MAX + 1)
			return true;
		header = span_from(header, (size_t)lf + 1);
	}
	return false;
}

bool
header_name_listed(struct span name, const char *list)
{
	struct span rest = span_of(list), word;

	while (span_next_word(&rest, ", \t\r\n", &word))
		if (span_equal_nocase(word, name))
			return true;
	return false;
}
