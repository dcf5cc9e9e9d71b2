#include "tools/check_routes.h"

#include <stdio.h>

#include "common/conf/transports.h"
#include "tools/check_sockets.h"

enum { SHOWN_MAX = 60, TOLD_MAX = 20, TEXT_SIZE = 300 };

struct routes {
	const char *table, *path;
	const struct conf_values *values;
	size_t bad;
};

/* A name that a pattern makes of the address is not known here. */
static bool
waits(const struct routes *r, struct span value, char text[TEXT_SIZE])
{
	ptrdiff_t colon = span_find(value, ':');
	struct span name = span_trim(span_sub(value, 0, colon < 0 ? value.len : (size_t)colon));

	if (name.len == 0 || span_find(name, '$') >= 0)
		return false;
	if (transport_is_known(r->values, name))
		return check_socket_route(r->values, value, text, TEXT_SIZE);
	(void)snprintf(text, TEXT_SIZE, "transport %.*s is not in transport_services: mail for it waits",
	    SPAN_ARG(span_sub(name, 0, SHOWN_MAX)));
	return true;
}

static void
look_at_rule(unsigned line, struct span result, void *context)
{
	struct routes *r = context;
	char text[TEXT_SIZE];

	if (!waits(r, result, text) || r->bad++ >= TOLD_MAX)
		return;
	if (r->path)
		printf("%s:%u: %s\n", r->path, line, text);
	else
		printf("%s: %s\n", r->table, text);
}

static bool
look_at_entry(struct span key, struct span value, void *context)
{
	struct routes *r = context;
	char text[TEXT_SIZE];

	if (waits(r, value, text) && r->bad++ < TOLD_MAX)
		printf("%s: %.*s: %s\n", r->table, SPAN_ARG(span_sub(key, 0, SHOWN_MAX)), text);
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
