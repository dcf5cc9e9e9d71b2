#include "tools/route_aliases.h"

#include <stdio.h>
#include <string.h>

#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/map/keys.h"
#include "delivery/local/alias_value.h"

/* delivery/local goes deeper and further; whoever reads this has seen enough. */
enum { DEPTH_MAX = 20, ALIASES_MAX = 1000, MEMBERS_MAX = 10000, INDENT = 2 };

struct walk {
	const struct route_aliases *r;
	struct arena *arena;
	struct table *seen; /* names of aliases */
	size_t members;
	bool trouble;
};

static void open_name(struct walk *w, struct span name, bool owned, int depth);

static void
say(int depth, const char *what, struct span text)
{
	struct buf clean;

	buf_init(&clean, 4096);
	text_append_printable(&clean, text, 1000);
	(void)printf("%*s%s%s\n", depth * INDENT, "", what, buf_text(&clean));
	buf_free(&clean);
}

static struct span
lowered_local(struct arena *a, struct span address)
{
	struct span local, domain;
	char *name;

	address_split(address, &local, &domain);
	name = arena_copy(a, address_unquote_local(a, local));
	if (name == NULL)
		return span_make("", 0);
	text_lower(name, strlen(name));
	return span_of(name);
}

/* name: of the alias that the address is a member of. With an owner it is a list, which sends new mail. */
static void
follow_address(struct walk *w, struct span name, bool owned, struct span address, int depth)
{
	unsigned flags = RESOLVE_EXPAND | (owned ? 0 : RESOLVE_LOCAL_STAYS);
	struct route_answer answer;

	route_resolve(w->r->engine, w->arena, address, span_make("", 0), flags, NULL, &answer);
	if (answer.status == LOOKUP_TEMPORARY) {
		say(depth, "temporary trouble: ", answer.trouble);
		w->trouble = true;
	}
	for (size_t i = 0; answer.status == LOOKUP_FOUND && i < answer.count; i++) {
		const struct route_recipient *to = &answer.list[i];
		struct span local = lowered_local(w->arena, to->address);

		(void)printf("%*sto %.*s: transport %.*s, next hop %.*s\n", depth * INDENT, "",
		    SPAN_ARG(to->address), SPAN_ARG(to->transport), SPAN_ARG(to->nexthop));
		if (!span_is(to->transport, "local"))
			continue;
		if (span_equal(local, name))
			say(depth + 1, "the user of that name, not the alias once more", span_make("", 0));
		else
			open_name(w, local, owned, depth + 1);
	}
}

static void
print_members(struct walk *w, struct span name, bool owned, struct span value, int depth)
{
	enum alias_member kind;
	struct span text;

	while (w->members++ < MEMBERS_MAX && alias_next_member(w->arena, &value, &kind, &text)) {
		switch (kind) {
		case ALIAS_ADDRESS:
			follow_address(w, name, owned, text, depth);
			break;
		case ALIAS_COMMAND:
			say(depth, "to the command ", text);
			break;
		case ALIAS_FILE:
			say(depth, "to the file ", text);
			break;
		case ALIAS_INCLUDE:
			say(depth, "to those in ", text);
			break;
		default:
			say(depth, "malformed, it is left out: ", text);
			break;
		}
	}
}

/* Copies, for the next question takes the place of what was found. False: there is no such alias, or no answer. */
static bool
find(struct walk *w, struct span key, struct span *value, struct span *place, int depth)
{
	struct map_found found;
	enum lookup_status status;

	map_found_init(&found);
	status =
	    map_find(w->r->tables, LOOKUP_LOCAL, key, route_keys(w->r->engine, LOOKUP_LOCAL), &found, NULL);
	if (status == LOOKUP_FOUND) {
		const char *text =
		    found.line > 0
			? arena_printf(w->arena, "%s, line %u, key %.*s", found.table, found.line,
			      SPAN_ARG(buf_span(&found.key)))
			: arena_printf(w->arena, "%s, key %.*s", found.table, SPAN_ARG(buf_span(&found.key)));

		*value = arena_copy_span(w->arena, buf_span(&found.value));
		*place = span_of(text != NULL ? text : "");
	} else if (status == LOOKUP_TEMPORARY) {
		say(depth, "temporary trouble: ", span_of(found.err.text));
		w->trouble = true;
	}
	map_found_free(&found);
	return status == LOOKUP_FOUND;
}

static void
open_name(struct walk *w, struct span name, bool owned, int depth)
{
	struct span value, place, owner, ignored;
	const char *owner_name;

	if (name.len == 0 || !find(w, name, &value, &place, depth))
		return;
	if (table_get(w->seen, name) != NULL) {
		say(depth, "an alias that was there already: once is enough", span_make("", 0));
		return;
	}
	if (depth > DEPTH_MAX || table_put(w->seen, name, w) < 0) {
		say(depth, "an alias of more; this is not followed further", span_make("", 0));
		return;
	}
	say(depth, "an alias: ", place);
	owner_name = arena_printf(w->arena, "owner-%.*s", SPAN_ARG(name));
	owner = owner_name != NULL ? span_of(owner_name) : span_make("", 0);
	if (w->r->values->owner_request_special && !span_starts(name, "owner-") &&
	    find(w, owner, &ignored, &place, depth)) {
		owned = true;
		say(depth, "its sender is from here on ", owner);
	}
	print_members(w, name, owned, value, depth);
}

int
route_aliases_print(const struct route_aliases *r, struct arena *a, struct span recipient)
{
	struct walk w = {.r = r, .arena = a, .seen = table_new(ALIASES_MAX, NULL)};

	open_name(&w, lowered_local(a, recipient), false, 1);
	table_free(&w.seen);
	return w.trouble ? -1 : 0;
}
