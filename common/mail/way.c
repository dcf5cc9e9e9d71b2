#include "common/mail/way.h"

#include "common/mail/casefold.h"

bool
way_is_open(struct span way)
{
	return way.len > 0 && way.ptr[way.len - 1] == '\n';
}

/* Cuts the last line off. */
static struct span
take_last(struct span *lines)
{
	ptrdiff_t newline = span_find_last(*lines, '\n');
	struct span line = span_from(*lines, (size_t)(newline + 1));

	*lines = span_sub(*lines, 0, newline < 0 ? 0 : (size_t)newline);
	return line;
}

struct span
way_open_address(struct span way)
{
	struct span rest = way;

	if (!way_is_open(way))
		return span_make("", 0);
	take_last(&rest);
	return take_last(&rest);
}

struct span
way_behind(struct span way)
{
	struct span rest = way;

	if (way_is_open(way)) {
		take_last(&rest);
		take_last(&rest);
	}
	return rest;
}

bool
way_has(struct span way, struct span address)
{
	struct span line;

	while (span_next_line(&way, &line))
		if (casefold_equal(line, address))
			return true;
	return false;
}

void
way_put(struct buf *out, struct span way, const char *line_end)
{
	while (way.len > 0) {
		struct span line = take_last(&way);

		buf_printf(out, "Delivered-To: %.*s%s", SPAN_ARG(line), line_end);
	}
}
