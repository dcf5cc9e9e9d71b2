/* sendmail -bv and -bt: would an address be delivered to, and how? Answered on the terminal, with the daemon or without. */
#include <stdio.h>
#include <sysexits.h>

#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/map/map.h"
#include "common/map/settings.h"
#include "services/lookup/engine/route.h"
#include "tools/sendmail.h"

enum { DELIVERABLE = 0, UNDECIDED = 1, UNDELIVERABLE = 2, LINE_LIMIT = 1100 };

struct verify {
	const struct sendmail *sendmail;
	struct route_engine *engine;
	struct span sender; /* -f: some routes depend on it */
	bool traced;
};

static void
print_step(const char *text, void *context)
{
	(void)context;
	printf("  %s\n", text);
}

static int
print_answer(struct span address, const struct route_answer *answer)
{
	switch (answer->status) {
	case LOOKUP_FOUND:
		for (size_t i = 0; i < answer->count; i++)
			printf("%.*s... deliverable: mailer %.*s, host %.*s, user %.*s\n", SPAN_ARG(address),
			    SPAN_ARG(answer->list[i].transport), SPAN_ARG(answer->list[i].nexthop),
			    SPAN_ARG(answer->list[i].address));
		return DELIVERABLE;
	case LOOKUP_NOT_FOUND:
		printf("%.*s... undeliverable: %.*s\n", SPAN_ARG(address), SPAN_ARG(answer->reason));
		return UNDELIVERABLE;
	default:
		printf(
		    "%.*s... cannot be verified now: %.*s\n", SPAN_ARG(address), SPAN_ARG(answer->trouble));
		return UNDECIDED;
	}
}

static int
verify_one(const struct verify *v, struct span text)
{
	const struct route_trace trace = {.step = print_step};
	struct arena *a = arena_new(ROUTE_ARENA_BYTES);
	struct span address, rest;
	struct route_answer answer;
	int status = UNDELIVERABLE;

	if (address_parse_path(a, text, ADDRESS_NO_DOMAIN_OK | ADDRESS_UTF8, &address, &rest) != ADDRESS_OK ||
	    span_trim(rest).len > 0)
		printf("%.*s... undeliverable: not an address\n", SPAN_ARG(text));
	else {
		route_resolve(v->engine, a, address, v->sender, RESOLVE_VALIDATE | RESOLVE_EXPAND,
		    v->traced ? &trace : NULL, &answer);
		status = print_answer(address, &answer);
	}
	arena_free(&a);
	return status;
}

static void
ask_table(struct span text)
{
	struct map_options options = {.complain = NULL};
	struct map_found found;
	struct span rest = text, table;
	char name[1000];
	struct map *m;

	if (!span_next_word(&rest, " \t", &table) || span_trim(rest).len == 0 ||
	    !span_copy(table, name, sizeof(name))) {
		puts("/map TABLE KEY");
		return;
	}
	m = map_open(name, &options);
	if (m == NULL) {
		printf("%s: no such table\n", name);
		return;
	}
	map_found_init(&found);
	switch (map_lookup(m, span_trim(rest), false, &found)) {
	case LOOKUP_FOUND:
		printf("map_lookup: %s (%.*s) returns %.*s\n", name, SPAN_ARG(span_trim(rest)),
		    SPAN_ARG(buf_span(&found.value)));
		break;
	case LOOKUP_NOT_FOUND:
		printf("map_lookup: %s (%.*s) no match\n", name, SPAN_ARG(span_trim(rest)));
		break;
	default:
		printf("map_lookup: %s: %s\n", name, found.err.text);
	}
	map_found_free(&found);
	map_close(&m);
}

/*
 * sendmail's commands: "/try MAILER ADDRESS", "/parse ADDRESS", "/map TABLE KEY", "/mx HOST", rule sets in front of an address ("3,0 ADDRESS"),
 * of which there are none here. Returns false at the end.
 */
static bool
verify_command(const struct verify *v, struct span line)
{
	struct span rest = line, word, last = span_make("", 0);

	(void)span_next_word(&rest, " \t", &word);
	if (word.ptr[0] != '/') {
		bool sets = rest.len > 0 && span_find(word, '@') < 0 && ascii_is_digit(word.ptr[0]);
		verify_one(v, sets ? span_trim(rest) : line);
		return true;
	}
	if (span_is(word, "/quit"))
		return false;
	if (span_is(word, "/map"))
		ask_table(span_trim(rest));
	else if (span_is(word, "/mx") && span_trim(rest).len > 0)
		sendmail_mx(v->sendmail, span_trim(rest));
	else if (span_is(word, "/try") || span_is(word, "/tryflags") || span_is(word, "/parse")) {
		while (span_next_word(&rest, " \t", &word))
			last = word;
		verify_one(v, last);
	} else
		printf("%.*s: not here; an address, /try MAILER ADDRESS, /map TABLE KEY, /mx HOST, /quit\n",
		    SPAN_ARG(word));
	return true;
}

/* -bt without arguments: an address a line, as sendmail's address test mode prompts for it. */
static void
verify_lines(const struct verify *v)
{
	char line[LINE_LIMIT];

	for (;;) {
		struct span text;
		fputs("> ", stdout);
		fflush(stdout);
		if (fgets(line, sizeof(line), stdin) == NULL)
			return;
		text = span_trim(span_of(line));
		if (text.len > 0 && !verify_command(v, text))
			return;
	}
}

int
sendmail_verify(struct sendmail *s, int argc, char **argv)
{
	struct map_set *maps = map_set_new(NULL);
	struct route_interfaces *interfaces = route_interfaces_read();
	struct verify v = {.sendmail = s,
	    .engine = route_new(s->conf, maps, interfaces),
	    .sender = span_of(s->options.sender),
	    .traced = s->options.mode == SENDMAIL_TEST};
	int status = DELIVERABLE;

	map_settings_use(s->conf);
	if (s->options.first_argument < argc)
		for (int i = s->options.first_argument; i < argc; i++) {
			int one = verify_one(&v, span_of(argv[i]));
			status = one > status ? one : status;
		}
	else if (v.traced)
		verify_lines(&v);
	else
		status = sendmail_fail(s, EX_USAGE, "no recipients: name them");
	route_free(&v.engine);
	route_interfaces_free(&interfaces);
	map_set_free(&maps);
	return status;
}
