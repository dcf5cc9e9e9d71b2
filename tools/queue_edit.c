/*
 * postern queue edit ID --recipient A=B | --drop A | --add A | --sender A | --nexthop H | --expire TIME | --bounce
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/base/text.h"
#include "common/conf/transports.h"
#include "common/mail/address.h"
#include "delivery/smtp/route.h"
#include "tools/queue_ask.h"
#include "tools/queue_options.h"

enum { ARGS_MAX = 8000, RECIPIENT_MAX = 1000 };

/* A new recipient must be an address; <> around it is not part of it. */
static int
put_address(struct tool *tool, struct buf *args, const char *name, struct span text)
{
	struct arena *a = arena_new(65536);
	struct span address, rest;
	int status = 0;

	if (address_parse_path(a, text, ADDRESS_NO_DOMAIN_OK | ADDRESS_UTF8, &address, &rest) != ADDRESS_OK ||
	    span_trim(rest).len > 0 || address.len == 0 || address.len > RECIPIENT_MAX)
		status = tool_fail(tool, EX_USAGE, "%.*s: this is no address", SPAN_ARG(text));
	else
		buf_printf(args, "%s=%.*s\n", name, SPAN_ARG(address));
	arena_free(&a);
	return status;
}

static int
put_recipient(struct tool *tool, struct buf *args, const char *value)
{
	struct span text = span_of(value);
	ptrdiff_t equal = span_find_last(text, '=');

	if (equal <= 0)
		return tool_fail(tool, EX_USAGE, "--recipient wants OLD=NEW");
	queue_options_put_address(args, "recipient", span_sub(text, 0, (size_t)equal));
	return put_address(tool, args, "to", span_from(text, (size_t)equal + 1));
}

static int
put_added(struct tool *tool, struct buf *args, const char *value)
{
	return put_address(tool, args, "add", span_of(value));
}

/* "<>" or nothing: the null sender. */
static int
put_sender(struct tool *tool, struct buf *args, const char *value)
{
	if (value[0] != '\0' && strcmp(value, "<>") != 0)
		return put_address(tool, args, "sender", span_of(value));
	buf_append_text(args, "sender=\n");
	return 0;
}

static int
put_drop(struct tool *tool, struct buf *args, const char *value)
{
	(void)tool;
	queue_options_put_address(args, "drop", span_of(value));
	return 0;
}

/* Mail for a name that nobody declares would wait: it is a slip of the pen ("lmpt:"). */
static bool
is_transport(struct tool *tool, struct span name)
{
	const struct conf *conf = tool_conf(tool);

	return conf && transport_is_known(conf->values, name);
}

/* What delivery would make of it; and what no host's name has, as check has it for relayhost. */
static int
check_hosts(struct tool *tool, struct span transport, struct span nexthop)
{
	struct transport_service service;
	struct route routes[ROUTE_MAX];
	struct route_rules rules = {.port = 25};
	struct error err;
	int count;

	transport_service_find(tool_conf(tool)->values, transport, &service);
	if (service.kind != TRANSPORT_SMTP && service.kind != TRANSPORT_LMTP)
		return 0;
	rules.lmtp = service.kind == TRANSPORT_LMTP;
	count = route_parse(nexthop, &rules, routes, ROUTE_MAX, &err);
	if (count < 0)
		return tool_fail(tool, EX_USAGE, "--nexthop: %s", err.text);
	for (int i = 0; i < count; i++)
		if (strpbrk(routes[i].host, "[]<>@/\"\\"))
			return tool_fail(
			    tool, EX_USAGE, "--nexthop: next hop %s: no host name", routes[i].site);
	return 0;
}

static bool
is_number(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.ptr[i]))
			return false;
	return true;
}

/* "TRANSPORT:NEXTHOP", or a host of smtp's: "mx.test", "[mx.test]:2525", "mx.test:2525". */
static int
put_nexthop(struct tool *tool, struct buf *args, const char *value)
{
	struct span text = span_of(value), before, after;
	ptrdiff_t colon = span_find(text, ':');

	before = colon > 0 ? span_sub(text, 0, (size_t)colon) : span_make("", 0);
	after = colon > 0 ? span_from(text, (size_t)colon + 1) : text;
	if (text.len == 0 || text.len > 500 || span_find(text, ' ') >= 0)
		return tool_fail(tool, EX_USAGE, "--nexthop wants HOST or TRANSPORT:NEXTHOP");
	if (colon <= 0 || text.ptr[0] == '[' || span_find(before, '.') >= 0 ||
	    (after.len > 0 && is_number(after))) {
		before = SPAN_LIT("smtp");
		after = text;
	}
	if (!is_transport(tool, before))
		return tool_fail(tool, EX_USAGE, "--nexthop: there is no transport %.*s", SPAN_ARG(before));
	if (check_hosts(tool, before, after) != 0)
		return EX_USAGE;
	buf_printf(args, "transport=%.*s\nnexthop=%.*s\n", SPAN_ARG(before), SPAN_ARG(after));
	return 0;
}

/* "2d", "90m": from now on. "@SECONDS", "2026-12-24" or "2026-12-24 18:00[:00]": that moment, in this host's zone. */
static int
take_time(const char *value, time_t *when)
{
	static const char *const forms[] = {
	    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
	static const char units[] = "smhdw";
	static const uint64_t seconds[] = {1, 60, 3600, 86400, 7 * 86400};
	struct span text = span_of(value);
	const char *unit = text.len > 1 ? strchr(units, ascii_lower(text.ptr[text.len - 1])) : NULL;
	uint64_t number;

	if (value[0] == '@' && number_parse(span_from(text, 1), 0, 100000000000, &number) == 0) {
		*when = (time_t)number;
		return 0;
	}
	if (unit && number_parse(span_sub(text, 0, text.len - 1), 0, 100000, &number) == 0) {
		*when = time(NULL) + (time_t)(number * seconds[unit - units]);
		return 0;
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm;
		const char *end;

		memset(&tm, 0, sizeof(tm));
		tm.tm_isdst = -1;
		end = strptime(value, forms[i], &tm);
		if (end && *end == '\0') {
			const int day = tm.tm_mday, month = tm.tm_mon;

			*when = mktime(&tm);
			/* February 30 would become a day of March. */
			return *when == (time_t)-1 || tm.tm_mday != day || tm.tm_mon != month ? -1 : 0;
		}
	}
	return -1;
}

static int
put_expire(struct tool *tool, struct buf *args, const char *value)
{
	time_t when;

	if (take_time(value, &when) < 0 || when < 0)
		return tool_fail(tool, EX_USAGE,
		    "%s: this is no time (2d from now, @SECONDS, or YYYY-MM-DD [HH:MM[:SS]])", value);
	buf_printf(args, "expire=%lld\n", (long long)when);
	return 0;
}

static int
put_bounce(struct tool *tool, struct buf *args, const char *value)
{
	(void)tool;
	(void)value;
	buf_append_text(args, "bounce\n");
	return 0;
}

static const struct change {
	const char *name;
	bool value;
	int (*put)(struct tool *tool, struct buf *args, const char *value);
	const char *done;
} changes[] = {
    {"recipient", true, put_recipient, "recipient changed"},
    {"drop", true, put_drop, "recipient dropped"},
    {"add", true, put_added, "recipient added"},
    {"sender", true, put_sender, "sender changed"},
    {"nexthop", true, put_nexthop, "next hop changed"},
    {"expire", true, put_expire, "expiry changed"},
    {"bounce", false, put_bounce, "returned to its sender"},
};

static const struct change *
find_change(struct span name)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		if (span_is(name, changes[i].name))
			return &changes[i];
	return NULL;
}

/* ID and one change, in either order. */
static int
parse(int argc, char **argv, struct tool *tool, struct buf *args, const struct change **what)
{
	int status = 0;
	bool id = false;

	for (int i = 1; i < argc && status == 0; i++) {
		struct span word = span_of(argv[i]);
		ptrdiff_t equal;
		const struct change *c;
		const char *value = NULL;

		if (strchr(argv[i], '\n'))
			return tool_fail(tool, EX_USAGE, "a line end in an argument");
		if (!span_starts(word, "--")) {
			if (id)
				return tool_fail(tool, EX_USAGE, "edit wants one queue id");
			id = true;
			buf_printf(args, "id=%s\n", argv[i]);
			continue;
		}
		word = span_from(word, 2);
		equal = span_find(word, '=');
		c = find_change(equal < 0 ? word : span_sub(word, 0, (size_t)equal));
		if (!c)
			return tool_fail(tool, EX_USAGE, "unknown option %s", argv[i]);
		if (*what)
			return tool_fail(tool, EX_USAGE, "edit changes one thing at a time");
		if (c->value)
			value = equal >= 0 ? argv[i] + 2 + equal + 1 : ++i < argc ? argv[i] : NULL;
		if (c->value && (!value || strchr(value, '\n')))
			return tool_fail(tool, EX_USAGE, "--%s wants a value", c->name);
		*what = c;
		status = c->put(tool, args, value);
	}
	if (status == 0 && (!id || !*what))
		return tool_fail(tool, EX_USAGE,
		    "usage: postern queue edit ID --recipient OLD=NEW | --drop ADDRESS | --add ADDRESS | "
		    "--sender ADDRESS | --nexthop HOST | --expire TIME | --bounce");
	return status;
}

int
queue_edit(int argc, char **argv, struct tool *tool)
{
	const struct change *what = NULL;
	struct buf args, rows;
	int status;

	buf_init(&args, ARGS_MAX);
	buf_init(&rows, ARGS_MAX);
	status = parse(argc, argv, tool, &args, &what);
	if (status == 0 && args.full)
		status = tool_fail(tool, EX_USAGE, "too long");
	if (status == 0)
		status = queue_ask(tool, "edit", buf_span(&args), &rows);
	if (status == 0)
		printf("%s\n", what->done);
	buf_free(&args);
	buf_free(&rows);
	return status;
}
