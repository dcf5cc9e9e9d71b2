#include "common/base/span.h"

#include <string.h>

#include "common/base/text.h"

bool
span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool
span_equal_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return false;
	return true;
}

bool
span_is(struct span a, const char *s)
{
	return span_equal(a, span_of(s));
}

bool
span_is_nocase(struct span a, const char *s)
{
	return span_equal_nocase(a, span_of(s));
}

bool
span_starts(struct span a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.len >= n && (n == 0 || memcmp(a.ptr, prefix, n) == 0);
}

bool
span_starts_nocase(struct span a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.len >= n && span_equal_nocase(span_make(a.ptr, n), span_make(prefix, n));
}

bool
span_ends_nocase(struct span a, const char *suffix)
{
	size_t n = strlen(suffix);

	return a.len >= n && span_equal_nocase(span_make(a.ptr + a.len - n, n), span_make(suffix, n));
}

int
span_compare(struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.ptr, b.ptr, n) : 0;

	if (order != 0)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

ptrdiff_t
span_find(struct span a, char c)
{
	const char *p = a.len ? memchr(a.ptr, c, a.len) : NULL;

	return p ? p - a.ptr : -1;
}

ptrdiff_t
span_find_last(struct span a, char c)
{
	const char *p = a.len ? memrchr(a.ptr, c, a.len) : NULL;

	return p ? p - a.ptr : -1;
}

ptrdiff_t
span_find_span(struct span a, struct span needle)
{
	const char *p;

	if (needle.len == 0)
		return 0;
	p = a.len ? memmem(a.ptr, a.len, needle.ptr, needle.len) : NULL;
	return p ? p - a.ptr : -1;
}

struct span
span_sub(struct span a, size_t from, size_t len)
{
	if (from > a.len)
		from = a.len;
	if (len > a.len - from)
		len = a.len - from;
	return span_make(a.ptr ? a.ptr + from : NULL, len);
}

struct span
span_from(struct span a, size_t from)
{
	return span_sub(a, from, a.len);
}

/* Separators are few: this is quicker than strchr() for each octet. */
static bool
is_one_of(char c, const char *few)
{
	for (; *few != '\0'; few++)
		if (*few == c)
			return true;
	return false;
}

struct span
span_trim_of(struct span a, const char *few)
{
	while (a.len > 0 && is_one_of(a.ptr[0], few))
		a = span_from(a, 1);
	while (a.len > 0 && is_one_of(a.ptr[a.len - 1], few))
		a.len--;
	return a;
}

struct span
span_trim(struct span a)
{
	return span_trim_of(a, " \t\r\n");
}

bool
span_next_word(struct span *rest, const char *separators, struct span *word)
{
	size_t start = 0, end;

	while (start < rest->len && is_one_of(rest->ptr[start], separators))
		start++;
	for (end = start; end < rest->len && !is_one_of(rest->ptr[end], separators);)
		end++;
	*word = span_sub(*rest, start, end - start);
	*rest = span_from(*rest, end);
	return word->len > 0;
}

bool
span_next_line(struct span *rest, struct span *line)
{
	ptrdiff_t end;

	if (rest->len == 0)
		return false;
	end = span_find(*rest, '\n');
	*line = end < 0 ? *rest : span_sub(*rest, 0, (size_t)end);
	*rest = span_from(*rest, end < 0 ? rest->len : (size_t)end + 1);
	if (line->len > 0 && line->ptr[line->len - 1] == '\r')
		line->len--;
	return true;
}

bool
span_copy(struct span a, char *dst, size_t size)
{
	size_t n = a.len < size ? a.len : size - 1;

	if (n > 0)
		memcpy(dst, a.ptr, n);
	dst[n] = '\0';
	return a.len < size && strlen(dst) == n;
}
