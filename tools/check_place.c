/*
 * check: where a parameter is set.
 */
#include <string.h>

#include "common/map/lines.h"
#include "tools/check.h"

unsigned
check_line_of(struct span text, const char *parameter)
{
	size_t len = strlen(parameter);
	unsigned number = 0, found = 0;
	struct span line;

	while (span_next_line(&text, &line)) {
		number++;
		if (span_starts(line, parameter) && span_starts(span_trim(span_from(line, len)), "="))
			found = number;
	}
	return found;
}

unsigned
check_line_in(struct span text, const char *section, const char *parameter)
{
	struct span line, now = span_make("", 0);
	struct lines l;
	unsigned found = 0;

	if (text.len == 0)
		return 0;
	lines_begin(&l, text);
	while (lines_next(&l, &line)) {
		ptrdiff_t equal = span_find(line, '=');

		if (line.ptr[0] == '[') {
			/* The line's copy goes; the file's text stays. */
			now = span_is(span_sub(line, 1, line.len - 2), section) ? span_of(section)
										: SPAN_LIT("\n");
		} else if (equal > 0 && span_is(now, section) &&
			   span_is(span_trim(span_sub(line, 0, (size_t)equal)), parameter)) {
			found = l.first;
		}
	}
	lines_end(&l);
	return found;
}

unsigned
check_line_naming(struct span text, const char *parameter, const char *word)
{
	unsigned found = 0;
	struct span line;
	struct lines l;

	if (text.len == 0)
		return 0;
	lines_begin(&l, text);
	while (word[0] != '\0' && lines_next(&l, &line)) {
		ptrdiff_t equal = span_find(line, '=');

		if (equal > 0 && span_is(span_trim(span_sub(line, 0, (size_t)equal)), parameter) &&
		    span_find_span(span_from(line, (size_t)equal), span_of(word)) >= 0)
			found = l.first;
	}
	lines_end(&l);
	if (found == 0)
		found = check_line_in(text, "", parameter);
	return found > 0 ? found : check_line_of(text, parameter);
}
