#include "common/map/entries.h"

#include "common/base/text.h"

/* Length of the first word; a quoted part may hold blanks and separators. -1 if a quote is not closed. */
static ptrdiff_t
word_length(struct span line, char separator)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < line.len; i++) {
		char c = line.ptr[i];
		if (c == '\\') {
			if (++i >= line.len)
				break;
		} else if (c == '"') {
			quoted = !quoted;
		} else if (!quoted && (c == separator || (ascii_is_space(c) && separator == ' '))) {
			break;
		}
	}
	if (quoted)
		return -1;
	return (ptrdiff_t)(i < line.len ? i : line.len);
}

static bool
has_nul(struct span s)
{
	return s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL;
}

const char entry_key_too_long[] = "key is too long -- ignoring this line";
const char entry_value_too_long[] = "value is too long";

const char *
entry_parse_map(struct span line, struct span *key, struct span *value)
{
	if (has_nul(line))
		return "NUL in line -- ignoring this line";
	line = text_trim(line);
	ptrdiff_t len = word_length(line, ' ');
	if (len < 0)
		return "unbalanced '\"' -- ignoring this line";
	*key = span_sub(line, 0, (size_t)len);
	*value = text_trim(span_from(line, (size_t)len));
	if (key->len == 0 || value->len == 0)
		return "expected format: key whitespace value -- ignoring this line";
	if (key->len > MAP_KEY_MAX)
		return entry_key_too_long;
	if (value->len > MAP_VALUE_MAX)
		return entry_value_too_long;
	return NULL;
}

/* What stands outside quotes, and behind no backslash, in the name of an alias (aliases(5); specials: RFC 5322, 3.2.3). */
static const char *
alias_name_wrong(char c)
{
	if (ascii_is_space(c))
		return "name must be a single word (quote it) -- ignoring this line";
	if (c == '@')
		return "name must be local -- ignoring this line";
	return strchr("()<>,;[]", c) != NULL ? "need name:value pair -- ignoring this line" : NULL;
}

const char *
entry_parse_alias(struct span line, struct buf *key, struct span *value)
{
	buf_clear(key);
	if (has_nul(line))
		return "NUL in line -- ignoring this line";
	line = text_trim(line);
	ptrdiff_t len = word_length(line, ':');
	if (len < 0)
		return "unbalanced '\"' -- ignoring this line";
	if ((size_t)len >= line.len)
		return "need name:value pair -- ignoring this line";
	struct span name = text_trim(span_sub(line, 0, (size_t)len));
	*value = text_trim(span_from(line, (size_t)len + 1));
	if (name.len == 0 || value->len == 0)
		return "need name:value pair -- ignoring this line";
	bool quoted = false;
	const char *wrong = NULL;
	for (size_t i = 0; i < name.len && wrong == NULL; i++) {
		char c = name.ptr[i];
		if (c == '"') {
			quoted = !quoted;
			continue;
		}
		if (c == '\\' && i + 1 < name.len)
			c = name.ptr[++i];
		else if (!quoted)
			wrong = alias_name_wrong(c);
		(void)buf_append(key, &c, 1);
	}
	if (wrong != NULL)
		return wrong;
	if (key->len == 0 || key->len > MAP_KEY_MAX || key->full)
		return "name is empty or too long -- ignoring this line";
	if (value->len > MAP_VALUE_MAX)
		return entry_value_too_long;
	return NULL;
}
