#include "tools/check_routes.h"

#include <stdio.h>

#include "common/conf/transports.h"

enum { SHOWN_MAX = 60, TOLD_MAX = 20 };

struct routes {
	const char *table, *path;
	const struct conf_values *values;
	size_t bad;
};

/* A name that a pattern makes of the address is not known here. */
static bool
is_missing(const struct routes *r, struct span value, struct span *name)
{
	ptrdiff_t colon = span_find(value, ':');

	*name = span_trim(span_sub(value, 0, colon < 0 ? value.len : (size_t)colon));
	return name->len > 0 && span_find(*name, '$') < 0 && !transport_is_known(r->values, *name);
}

static void
print_trouble(struct span name)
{
	printf("transport %.*s is not in transport_services: mail for it waits\n",
	    SPAN_ARG(span_sub(name, 0, SHOWN_MAX)));
}

static void
look_at_rule(unsigned line, struct span result, void *context)
{
	struct routes *r = context;
	struct span name;

	if (!is_missing(r, result, &name) || r->bad++ >= TOLD_MAX)
		return;
	if (r->path)
		printf("%s:%u: ", r->path, line);
	else
		printf("%s: ", r->table);
	print_trouble(name);
}

static bool
look_at_entry(struct span key, struct span value, void *context)
{
	struct routes *r = context;
	struct span name;

	if (is_missing(r, value, &name) && r->bad++ < TOLD_MAX) {
		printf("%s: %.*s: ", r->table, SPAN_ARG(span_sub(key, 0, SHOWN_MAX)));
		print_trouble(name);
	}
	return true;
}

size_t
check_routes(struct map *map, const char *table, const char *parameter, const struct conf_values *values)
{
	struct routes r = {.table = table, .path = map_path(map), .values = values};
	struct error ignored;

	if (!span_ends_nocase(span_of(parameter), "transport_maps"))
		return 0;
	map_each_rule(map, look_at_rule, &r);
	(void)map_each(map, look_at_entry, &r, &ignored);
	if (r.bad > TOLD_MAX)
		printf("%s: and more of that kind\n", table);
	return r.bad;
}
