/*
 * postern route: how an address would be rewritten, expanded and routed, and why, line by line. It asks the same
 * engine that lookup runs, with this configuration and these tables as they are now.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/conf/transports.h"
#include "common/mail/address.h"
#include "services/lookup/engine/route.h"
#include "tools/check_sockets.h"
#include "tools/route_aliases.h"
#include "tools/tool.h"

enum { SAID_MAX = 1 << 20 };

/* A recipient is checked, and then expanded and routed: what both find is said once. */
static void
print_step(const char *text, void *context)
{
	struct buf *said = context;
	size_t before = said->len;

	buf_printf(said, "\n%s\n", text);
	struct span all = buf_span(said);
	if (!said->full && memmem(all.ptr, before, all.ptr + before, all.len - before) != NULL) {
		said->len = before;
		return;
	}
	(void)printf("  %s\n", text);
}

static int
status_of(const struct route_answer *answer)
{
	switch (answer->status) {
	case LOOKUP_FOUND:
		return 0;
	case LOOKUP_NOT_FOUND:
		return EX_NOUSER;
	default:
		return EX_TEMPFAIL;
	}
}

/* defer_transports: what happens is not what the route says. */
static void
print_deferral(const struct conf_values *v, struct span transport)
{
	char name[CONF_NAME_MAX + 1];

	if (span_copy(transport, name, sizeof(name)) && conf_list_has(v->defer_transports, name))
		(void)printf(
		    "  but not before it is asked for (postern queue flush, sendmail -q): %s is one of "
		    "defer_transports\n",
		    name);
}

/* What keeps mail from going there, as far as the configuration says it. */
static void
print_hindrance(const struct conf_values *v, const struct route_recipient *to)
{
	char route[700], text[300];

	(void)snprintf(route, sizeof route, "%.*s:%.*s", SPAN_ARG(to->transport), SPAN_ARG(to->nexthop));
	if (!transport_is_known(v, to->transport))
		(void)printf("  which is not in transport_services: mail for it waits\n");
	else if (check_socket_route(v, span_of(route), text, sizeof text))
		(void)printf("  %s\n", text);
}

/* aliases: NULL for a sender, of whom none is asked. Returns -1 after trouble with their tables. */
static int
print_answer(const struct route_answer *answer, const struct conf_values *v,
    const struct route_aliases *aliases, struct arena *a)
{
	int result = 0;

	if (answer->status == LOOKUP_TEMPORARY)
		(void)printf("temporary trouble: %.*s\n", SPAN_ARG(answer->trouble));
	else if (answer->status == LOOKUP_NOT_FOUND)
		(void)printf("not deliverable: %.*s\n", SPAN_ARG(answer->reason));
	for (size_t i = 0; answer->status == LOOKUP_FOUND && i < answer->count; i++) {
		const struct route_recipient *to = &answer->list[i];

		(void)printf("%s %.*s: transport %.*s, next hop %.*s\n",
		    to->flags & ROUTE_COPY ? "copy to" : "deliver to", SPAN_ARG(to->address),
		    SPAN_ARG(to->transport), SPAN_ARG(to->nexthop));
		print_deferral(v, to->transport);
		if (aliases)
			print_hindrance(aliases->values, to);
		if (aliases && span_is(to->transport, "local") &&
		    route_aliases_print(aliases, a, to->address) < 0)
			result = -1;
	}
	return result;
}

/* -f: what becomes of the sender; mail goes on with that. */
static struct span
route_sender(struct route_engine *engine, const struct conf_values *v, struct arena *a, struct span sender)
{
	struct buf said;
	const struct route_trace trace = {.step = print_step, .context = &said};
	struct route_answer answer;

	if (sender.len == 0)
		return sender;
	buf_init(&said, SAID_MAX);
	(void)printf("from %.*s\n", SPAN_ARG(sender));
	route_resolve(
	    engine, a, sender, SPAN_LIT(""), RESOLVE_SENDER | RESOLVE_EXPAND | RESOLVE_BCC, &trace, &answer);
	(void)print_answer(&answer, v, NULL, a);
	buf_free(&said);
	return answer.status == LOOKUP_FOUND ? answer.address : sender;
}

static int
route_one(struct tool *tool, const struct route_aliases *aliases, const char *text, const char *sender)
{
	struct buf said;
	const struct route_trace trace = {.step = print_step, .context = &said};
	struct route_engine *engine = aliases->engine;
	const struct conf_values *v = tool_conf(tool)->values;
	struct arena *a = arena_new(ROUTE_ARENA_BYTES);
	struct route_answer answer;
	struct span address, rest;
	int status;

	buf_init(&said, SAID_MAX);
	if (address_parse_path(a, span_of(text), ADDRESS_NO_DOMAIN_OK | ADDRESS_UTF8, &address, &rest) !=
		ADDRESS_OK ||
	    span_trim(rest).len > 0) {
		status = tool_fail(tool, EX_USAGE, "%s: this is no address", text);
	} else {
		struct span from = route_sender(engine, v, a, span_of(sender));
		(void)printf("%.*s\n", SPAN_ARG(address));
		route_resolve(engine, a, address, from, RESOLVE_VALIDATE | RESOLVE_EXPAND | RESOLVE_BCC,
		    &trace, &answer);
		status = print_answer(&answer, v, aliases, a) < 0 ? EX_TEMPFAIL : status_of(&answer);
	}
	buf_free(&said);
	arena_free(&a);
	return status;
}

int
command_route(int argc, char **argv, struct tool *tool)
{
	const char *sender = "";
	int c, status = 0;

	optind = 1;
	while ((c = getopt(argc, argv, "f:")) != -1) {
		if (c != 'f')
			return tool_usage(tool, "route");
		sender = optarg;
	}
	if (optind >= argc)
		return tool_usage(tool, "route");
	const struct conf *conf = tool_conf(tool);
	if (conf == NULL)
		return EX_CONFIG;
	struct map_set *maps = map_set_new(NULL);
	struct route_interfaces *interfaces = route_interfaces_read();
	struct route_engine *engine = route_new(conf, maps, interfaces);
	const struct route_aliases aliases = {
	    engine, map_set_list(maps, span_of(conf->values->alias_maps), NULL), conf->values};
	for (int i = optind; i < argc; i++) {
		int got = route_one(tool, &aliases, argv[i], sender);
		if (got > status)
			status = got;
	}
	route_free(&engine);
	route_interfaces_free(&interfaces);
	map_set_free(&maps);
	return status;
}
