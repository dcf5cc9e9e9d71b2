/*
 * What lookup is asked during an expansion: is a name an alias, has it an owner, where does an address go?
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/casefold.h"
#include "common/mail/member_name.h"
#include "common/server/server.h"
#include "delivery/local/expansion.h"

enum { ASK_TIMEOUT_MS = 60000, NAME_SIZE = 1000 };

/* One question. */
struct item {
	struct expansion *expansion;
	struct members *from; /* held; NULL: of the recipient itself */
	bool stands_for; /* the address is a name of ours */
	bool renamed; /* a table made the name of another */
	char *asked; /* the local part that was asked about */
	char *member; /* the address, with its domain; NULL: a command or file */
	char *name; /* of the alias */
	char *alias; /* the key that was found */
	char *value; /* of the alias */
	uid_t owner; /* of the table */
	/* Of a name: what it is if it is no alias. */
	char *recipient, *nexthop;
};

static struct item *
item_new(struct expansion *x, struct members *from)
{
	struct item *item = mem_alloc(sizeof(*item));

	item->expansion = x;
	item->from = from;
	if (from)
		from->holds++;
	x->asked++;
	return item;
}

static void
item_end(struct item *item)
{
	struct expansion *x = item->expansion;

	x->asked--;
	if (item->from)
		members_release(item->from);
	free(item->asked);
	free(item->member);
	free(item->name);
	free(item->alias);
	free(item->value);
	free(item->recipient);
	free(item->nexthop);
	free(item);
	expansion_pump_soon(x);
}

/* While a file was read it may have ended, and another one have come. NULL: it is not there. */
static struct ipc_channel *
lookup_of(const struct expansion *x)
{
	return server_peer(x->server, ROLE_LOOKUP, 0);
}

static char *
text_of(struct span s)
{
	return mem_strndup(s.len > 0 ? s.ptr : "", s.len);
}

static void
fail_lookup(struct expansion *x, struct span reason)
{
	expansion_fail(x, OUTCOME_DEFERRED, "4.3.0", "alias database unavailable%s%.*s",
	    reason.len > 0 ? ": " : "", SPAN_ARG(reason));
}

/*
 * own: the alias or user itself, a command or a file: nobody else's. Other local users are in the hands of the alias they
 * stand in if that has no owner, and got mail passed on else, as in Postfix.
 */
static bool
tell(struct item *item, bool own, struct span recipient, struct span transport, struct span nexthop)
{
	struct expansion *x = item->expansion;
	const struct members *from = item->from;
	struct expand_address a = {
	    .recipient = recipient,
	    .sender = span_of(from->sender),
	    .transport = transport,
	    .nexthop = nexthop,
	    .generation = x->generation,
	    .passed_on = !own && (from->owned || !span_is(transport, "local")),
	    .through = from->address ? span_of(from->address) : span_make("", 0),
	};
	char shown[MEMBER_SHOWN_SIZE];

	if (from->listed)
		a.member = own || !item->member ? member_shown(recipient, shown) : span_of(item->member);

	if (x->result.status != EXPAND_DONE)
		return false;
	if (x->result.count >= EXPAND_ADDRESSES_MAX) {
		expansion_fail(x, OUTCOME_BOUNCED, "5.4.6", "alias expands to too much");
		return false;
	}
	if (!x->listener->address(x->context, &a)) {
		x->looped = true;
		return false;
	}
	x->result.count++;
	return true;
}

/*
 * In an alias without owner a local name gets the mail once, whatever of our domains it is written with. What is passed on is
 * told apart by address alone, both as in Postfix.
 */
static void
tell_local(struct item *item, const char *name, struct span recipient, struct span nexthop)
{
	struct table *told = item->expansion->told;
	bool once = !item->from->owned;

	if (once && table_get(told, span_of(name)))
		return;
	if (tell(item, false, recipient, SPAN_LIT("local"), nexthop) && once)
		(void)table_put(told, span_of(name), item->expansion);
}

/* ---- aliases ---- */

/* Has the alias an owner-NAME? Without one it is as before, or not (reset_owner_alias). */
enum alias_owner { OWNER_AS_BEFORE, OWNER_NONE, OWNER_FOUND };

static void
open_alias(struct item *item, enum alias_owner owner, char *sender)
{
	struct expansion *x = item->expansion;
	const struct conf_values *v = x->conf->values;
	size_t key_len = strlen(item->alias);
	char reason[200] = "";
	struct members *s;

	s = members_new(x, item->from, EXPAND_IN_ALIAS);
	s->name = mem_strdup(item->name);
	s->own = !item->from;
	s->sender = sender;
	if (item->from)
		s->address = mem_strdup(item->recipient);
	if (owner != OWNER_AS_BEFORE)
		s->owned = owner == OWNER_FOUND;
	s->listed = s->listed || owner == OWNER_FOUND;
	s->renamed = owner != OWNER_FOUND && (s->renamed || item->renamed);
	if (strlen(item->name) > key_len && strncmp(item->name, item->alias, key_len) == 0 &&
	    conf_list_has(v->propagate_unmatched_extensions, "alias"))
		s->extension = mem_strdup(item->name + key_len);
	members_read_value(s, span_of(item->value));
	if (target_of_owner(x->finder, v, item->owner, &s->rights, reason) != TARGET_FOUND)
		expansion_complain(x, "alias %s: %s", item->name, reason);
	members_release(s);
}

/* Where the owner's mail goes, if that is one address. */
static char *
only_address(struct expansion *x, struct span value)
{
	struct arena *a = arena_new(200000);
	struct span rest = value, text, more, local, domain;
	enum alias_member kind, other;
	char *found = NULL;

	if (alias_next_member(a, &rest, &kind, &text) && kind == ALIAS_ADDRESS &&
	    !alias_next_member(a, &rest, &other, &more)) {
		address_split(text, &local, &domain);
		if (domain.len == 0)
			text = address_join(a, address_unquote_local(a, local), x->domain);
		found = text_of(text);
	}
	arena_free(&a);
	return found;
}

static char *
owner_address(const struct item *item)
{
	struct arena *a = arena_new(10000);
	struct span address =
	    address_join(a, span_of(arena_printf(a, "owner-%.900s", item->alias)), item->expansion->domain);
	char *text = text_of(address);

	arena_free(&a);
	return text;
}

static void
open_without_owner(struct item *item)
{
	struct expansion *x = item->expansion;

	if (!item->from)
		open_alias(item, OWNER_NONE, text_of(x->sender));
	else if (x->conf->values->reset_owner_alias)
		open_alias(item, OWNER_NONE, mem_strdup(item->from->sender));
	else
		open_alias(item, OWNER_AS_BEFORE, mem_strdup(item->from->sender));
}

static int
on_owner(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct item *item = context;
	struct expansion *x = item->expansion;
	const struct msg_map_answer *m = frame ? &frame->map_answer : NULL;
	char *sender = NULL;

	(void)err;
	if (!m || m->status >= LOOKUP_TEMPORARY) {
		fail_lookup(x, m ? m->reason : span_make("", 0));
	} else if (m->status == LOOKUP_FOUND) {
		if (!item->from)
			x->result.has_owner = true;
		if (x->conf->values->expand_owner_alias)
			sender = only_address(x, m->value);
		open_alias(item, OWNER_FOUND, sender ? sender : owner_address(item));
	} else {
		open_without_owner(item);
	}
	item_end(item);
	return 0;
}

static bool
ask_map(struct item *item, struct span key, ipc_answer *answer)
{
	struct expansion *x = item->expansion;
	struct msg_map_ask ask = {
	    .tables = span_of(x->conf->values->alias_maps), .form = LOOKUP_LOCAL, .key = key};

	return ipc_ask(lookup_of(x), IPC_MAP_ASK, &ask, ASK_TIMEOUT_MS, answer, item) != 0;
}

static void
take_alias(struct item *item, const struct msg_map_answer *m)
{
	struct expansion *x = item->expansion;
	char key[NAME_SIZE];

	if (table_get(x->seen, span_of(item->name)) || table_put(x->seen, span_of(item->name), x) < 0) {
		x->looped = true; /* it is open already, or was */
		item_end(item);
		return;
	}
	item->alias = text_of(m->found_key.len > 0 ? m->found_key : span_of(item->name));
	item->value = text_of(m->value);
	item->owner = m->owner;
	if (!item->from)
		expansion_found(x);
	if (!x->conf->values->owner_request_special) {
		open_without_owner(item);
		item_end(item);
		return;
	}
	snprintf(key, sizeof(key), "owner-%.*s", NAME_SIZE - 10, item->alias);
	if (!ask_map(item, span_of(key), on_owner)) {
		fail_lookup(x, span_make("", 0));
		item_end(item);
	}
}

/*
 * Its own name within a list: past that list, when it comes back. An alias leads on to the user's .forward, a .forward
 * to the mailbox.
 */
static void
tell_own_name(struct item *item, const char *name, struct span recipient, struct span nexthop)
{
	struct span local, domain;
	const char *marks = item->expansion->user ? "\\" : "\\\\";
	struct arena *a = arena_new(10000);

	address_split(recipient, &local, &domain);
	(void)tell(item, true, address_join(a, span_of(arena_printf(a, "%s%s", marks, name)), domain),
	    SPAN_LIT("local"), nexthop);
	arena_free(&a);
}

/* The user whose .forward this is, found by an alias in it: as if the user stood there. */
static bool
is_forwarding_user(const struct item *item)
{
	const struct expansion *x = item->expansion;

	return x->user && strcmp(item->name, x->user->name) == 0;
}

static int
on_name(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct item *item = context;
	const struct msg_map_answer *m = frame ? &frame->map_answer : NULL;

	(void)err;
	if (!m || m->status >= LOOKUP_TEMPORARY) {
		fail_lookup(item->expansion, m ? m->reason : span_make("", 0));
	} else if (m->status == LOOKUP_FOUND) {
		take_alias(item, m);
		return 0;
	} else if (item->from && is_forwarding_user(item)) {
		tell_own_name(item, item->name, span_of(item->recipient), span_of(item->nexthop));
	} else if (item->from) {
		tell_local(item, item->name, span_of(item->recipient), span_of(item->nexthop));
	}
	item_end(item);
	return 0;
}

void
expansion_ask_name(struct expansion *x, struct members *from, struct span name)
{
	struct item *item = item_new(x, from);

	item->name = text_of(name);
	if (!ask_map(item, span_of(item->name), on_name)) {
		fail_lookup(x, span_make("", 0));
		item_end(item);
	}
}

/* ---- addresses ---- */

/* The local part as aliases and users know it. */
static char *
local_name(struct arena *a, struct span address)
{
	struct span local, domain;

	address_split(address, &local, &domain);
	return text_of(casefold_copy(a, address_unquote_local(a, local)));
}

static void
take_route(struct item *item, const struct msg_resolve_rcpt *m)
{
	struct expansion *x = item->expansion;
	struct arena *a = arena_new(20000);
	char *name = NULL;

	if (item->stands_for || !span_is(m->transport, "local")) {
		(void)tell(item, item->stands_for, m->recipient, m->transport, m->nexthop);
	} else {
		name = local_name(a, m->recipient);
		if (name[0] != '\\' && strcmp(name, item->from->name) == 0) {
			tell_own_name(item, name, m->recipient, m->nexthop);
		} else if (name[0] == '\\') {
			(void)tell(item, true, m->recipient, m->transport, m->nexthop);
		} else if (x->conf->values->alias_maps[0] == '\0') {
			tell_local(item, name, m->recipient, m->nexthop);
		} else {
			struct item *next = item_new(x, item->from);

			next->name = mem_strdup(name);
			next->member = item->member ? mem_strdup(item->member) : NULL;
			next->renamed = !item->asked || strcmp(name, item->asked) != 0;
			next->recipient = text_of(m->recipient);
			next->nexthop = text_of(m->nexthop);
			if (!ask_map(next, span_of(next->name), on_name)) {
				fail_lookup(x, span_make("", 0));
				item_end(next);
			}
		}
	}
	free(name);
	arena_free(&a);
}

static int
on_route(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct item *item = context;
	struct expansion *x = item->expansion;

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT) {
		take_route(item, &frame->resolve_rcpt);
		return 0;
	}
	if (!frame || frame->resolve_done.status == LOOKUP_TEMPORARY)
		fail_lookup(x, frame ? frame->resolve_done.reason : span_make("", 0));
	else
		x->generation = frame->resolve_done.generation;
	item_end(item);
	return 0;
}

/* "user" becomes "user+ext". */
static struct span
with_extension(struct arena *a, struct span address, const char *extension)
{
	struct span local, domain, bare;

	address_split(address, &local, &domain);
	bare = address_unquote_local(a, local);
	if (bare.len == 0 || bare.ptr[0] == '\\')
		return address;
	return address_join(a, span_of(arena_printf(a, "%.*s%s", SPAN_ARG(bare), extension)), domain);
}

/*
 * As in Postfix mail for first.last -> user is delivered, and does not go round by user -> first.last of a canonical or
 * virtual table; a list, an :include: and a .forward send new mail, to which these tables apply.
 */
static unsigned
resolve_flags(const struct members *from, bool stands_for)
{
	if (stands_for)
		return RESOLVE_ROUTE;
	return RESOLVE_EXPAND | (from->owned && !from->renamed ? 0 : RESOLVE_LOCAL_STAYS);
}

/* As lookup completes it. */
static char *
full_address(const struct expansion *x, struct arena *a, struct span address)
{
	struct span local, domain;

	address_split(address, &local, &domain);
	if (domain.len > 0)
		return text_of(address);
	return text_of(address_join(a, address_unquote_local(a, local), span_of(x->conf->values->myorigin)));
}

void
expansion_ask_address(struct members *from, struct span address, bool stands_for)
{
	struct expansion *x = from->expansion;
	struct item *item = item_new(x, from);
	struct msg_resolve_ask ask = {
	    .address = address,
	    .sender = span_of(from->sender),
	    .flags = resolve_flags(from, stands_for),
	};

	item->stands_for = stands_for;
	if (from->extension && !stands_for)
		ask.address = with_extension(from->arena, address, from->extension);
	if (ask.address.len <= ADDRESS_MAX && !stands_for) {
		struct arena *a = arena_new(4 * ADDRESS_MAX);

		item->asked = local_name(a, ask.address);
		item->member = full_address(x, a, ask.address);
		arena_free(&a);
	}
	if (ask.address.len == 0 || ask.address.len > ADDRESS_MAX) {
		expansion_complain(x, "list %s: an address is too long", from->name);
		item_end(item);
	} else if (ipc_ask(lookup_of(x), IPC_RESOLVE_ASK, &ask, ASK_TIMEOUT_MS, on_route, item) == 0) {
		fail_lookup(x, span_make("", 0));
		item_end(item);
	}
}
