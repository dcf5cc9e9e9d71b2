#include "common/map/patterns.h"

#include "common/base/text.h"

const char *
pattern_take(struct span *rest, char *text)
{
	size_t i;

	if (rest->len == 0)
		return "no regexp: skipping this rule";
	char delimiter = rest->ptr[0];
	if (ascii_is_alnum(delimiter) || delimiter == '\\')
		return "regexp: pattern needs delimiters (/pattern/): skipping this rule";
	for (i = 1; i < rest->len && rest->ptr[i] != delimiter; i++)
		if (rest->ptr[i] == '\\' && i + 1 < rest->len)
			i++;
	if (i >= rest->len)
		return "no closing regexp delimiter: skipping this rule";
	if (i - 1 > PATTERN_MAX)
		return "regexp is too long: skipping this rule";
	memcpy(text, rest->ptr + 1, i - 1);
	text[i - 1] = '\0';
	*rest = span_from(*rest, i + 1);
	return NULL;
}

bool
pattern_is_whole(struct span rest)
{
	return rest.len == 0 || ascii_is_space(rest.ptr[0]);
}

/*
 * A dollar and what belongs to it at text[*at]: the group's number, -1 for "$$", -2 if it is none. Moves *at on. As in
 * Postfix a name ends where letters and digits do: "$1x" is one, and no number.
 */
static int
group_read(struct span text, size_t *at)
{
	size_t i = *at + 1;
	char open = '\0';
	int group = 0;

	if (i < text.len && text.ptr[i] == '$') {
		*at = i + 1;
		return -1;
	}
	if (i < text.len && (text.ptr[i] == '{' || text.ptr[i] == '('))
		open = text.ptr[i++];
	size_t digits = i;
	for (; i < text.len && ascii_is_digit(text.ptr[i]) && group <= PATTERN_GROUPS_MAX; i++)
		group = group * 10 + (text.ptr[i] - '0');
	if (i == digits || (i < text.len && (ascii_is_alnum(text.ptr[i]) || text.ptr[i] == '_')))
		return -2;
	if (open != '\0' && (i >= text.len || text.ptr[i++] != (open == '{' ? '}' : ')')))
		return -2;
	*at = i;
	return group;
}

const char *
replacement_check(struct span result, bool negated, unsigned groups)
{
	for (size_t i = 0; i < result.len;) {
		if (result.ptr[i] != '$') {
			i++;
			continue;
		}
		int group = group_read(result, &i);
		if (group == -2)
			return "bad $number in replacement text: skipping this rule";
		if (group >= 0 && negated)
			return "$number found in negative match replacement text: skipping this rule";
		if (group == 0 || group > PATTERN_GROUPS_MAX || group > (int)groups)
			return "out of range replacement index: skipping this rule";
	}
	return NULL;
}

/*
 * Could it be more than a part of one word? A comma or blank outside quotes, or a quote that opens none, would make two
 * addresses out of one.
 */
static bool
is_loose(struct span text)
{
	bool quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c <= ' ' || strchr(",;<>()", c) != NULL))
			return true;
	}
	return quoted || (text.len > 0 && text.ptr[text.len - 1] == '\\');
}

void
replacement_expand(
    const char *result, const char *key, const struct pattern_group *groups, struct map_hit *hit)
{
	struct span text = span_of(result);

	for (size_t i = 0; i < text.len;) {
		if (text.ptr[i] != '$') {
			(void)buf_append(hit->value, &text.ptr[i++], 1);
			continue;
		}
		int group = group_read(text, &i);
		if (group == -1)
			(void)buf_append(hit->value, "$", 1);
		if (group < 0 || groups[group].start < 0)
			continue;
		struct span part =
		    span_make(key + groups[group].start, (size_t)(groups[group].end - groups[group].start));
		(void)buf_append_span(hit->value, part);
		hit->substituted = true;
		hit->loose = hit->loose || is_loose(part);
	}
}
