#include "common/conf/ports.h"

#include "common/base/text.h"
#include "common/conf/conf.h"

static int
parse_number(struct span text, uint16_t *port)
{
	uint64_t number;

	if (number_parse(text, 1, 65535, &number) < 0)
		return -1;
	*port = (uint16_t)number;
	return 0;
}

/* "smtps=submissions=465": the names in front, and the number behind. Returns -1 if it is no such thing. */
static int
split_item(struct span item, struct span *names, uint16_t *port)
{
	ptrdiff_t last = span_find_last(item, '=');

	if (last < 1)
		return -1;
	*names = span_sub(item, 0, (size_t)last);
	return parse_number(span_from(item, (size_t)last + 1), port);
}

int
port_parse(struct span text, const char *known, uint16_t *port)
{
	struct span rest = span_of(known), item, names, name;
	uint16_t number;

	if (parse_number(text, port) == 0)
		return 0;
	while (conf_list_next(&rest, &item)) {
		if (split_item(item, &names, &number) < 0)
			continue;
		while (span_next_word(&names, "=", &name)) {
			if (span_equal_nocase(name, text)) {
				*port = number;
				return 0;
			}
		}
	}
	return -1;
}

bool
port_names_ok(const char *known, struct span *item)
{
	struct span rest = span_of(known), names;
	uint16_t number;

	while (conf_list_next(&rest, item)) {
		if (split_item(*item, &names, &number) < 0)
			return false;
	}
	return true;
}
