#include "common/conf/conf.h"

static bool
is_separator(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',';
}

bool
conf_list_next(struct span *rest, struct span *word)
{
	size_t start = 0, end, level = 0;
	bool quoted = false;

	while (start < rest->len && is_separator(rest->ptr[start]))
		start++;
	for (end = start; end < rest->len; end++) {
		char c = rest->ptr[end];

		if (level == 0 && !quoted && is_separator(c))
			break;
		if (c == '\\' && quoted && end + 1 < rest->len)
			end++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == '{' && !quoted)
			level++;
		else if (c == '}' && !quoted && level > 0)
			level--;
	}
	*word = span_sub(*rest, start, end - start);
	*rest = span_from(*rest, end);
	return word->len > 0;
}

bool
conf_list_has(const char *list, const char *word)
{
	struct span rest = span_of(list), one;

	while (conf_list_next(&rest, &one))
		if (span_is_nocase(one, word))
			return true;
	return false;
}
