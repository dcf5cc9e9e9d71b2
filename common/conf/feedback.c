#include "common/conf/feedback.h"

#include <stdlib.h>

#include "common/base/text.h"

/* A decimal number, "0.25" or "1". */
static int
parse_number(struct span text, double *value)
{
	char copy[32], *end;

	if (text.len == 0 || !(ascii_is_digit(text.ptr[0]) || text.ptr[0] == '.') ||
	    !span_copy(text, copy, sizeof(copy)))
		return -1;
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.ptr[i]) && text.ptr[i] != '.')
			return -1;
	*value = strtod(copy, &end);
	return *end == '\0' ? 0 : -1;
}

int
feedback_parse(const char *text, struct feedback *f, struct error *err)
{
	struct span all = span_trim(span_of(text)), below;
	ptrdiff_t slash = span_find(all, '/');
	double divisor = 1;

	f->kind = FEEDBACK_FIXED;
	if (slash >= 0) {
		below = span_trim(span_from(all, (size_t)slash + 1));
		all = span_trim(span_sub(all, 0, (size_t)slash));
		if (span_is_nocase(below, "concurrency"))
			f->kind = FEEDBACK_BY_WINDOW;
		else if (span_is_nocase(below, "sqrt_concurrency"))
			f->kind = FEEDBACK_BY_ROOT;
		else if (parse_number(below, &divisor) < 0 || divisor < 1)
			return error_set(
			    err, "after / comes a number from 1, concurrency or sqrt_concurrency");
	}
	if (parse_number(all, &f->base) < 0 || f->base / divisor > 1)
		return error_set(err, "must be a number from 0 to 1");
	f->base /= divisor;
	return 0;
}
