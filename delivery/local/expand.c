#include "delivery/local/expand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "delivery/local/alias_value.h"

enum { ARENA_BYTES = 32 << 20, WINDOW = 16, ASK_TIMEOUT_MS = 60000 };

enum item_kind {
	ITEM_NAME, /* a local name: is it an alias? */
	ITEM_OWNER, /* its alias was found: has it an owner? */
	ITEM_ADDRESS /* where does it go? */
};

struct item {
	TAILQ_ENTRY(item) link; /* while it waits to be asked for */
	struct expansion *expansion;
	enum item_kind kind;
	struct span text; /* name or address */
	struct span sender;
	struct span parent; /* the alias that it stands in */
	struct span value; /* of the alias */
	struct expand_address leaf; /* of a name: what it is if it is no alias */
	unsigned depth;
};

TAILQ_HEAD(item_list, item);

struct expansion {
	struct arena *arena;
	struct ipc_channel *lookup;
	const char *alias_maps;
	struct span domain;
	struct item_list waiting;
	size_t items;
	size_t asked; /* answers that are still to come */
	bool pumping;
	struct table *seen; /* addresses already taken */
	size_t room;
	struct expand_address *addresses;
	uint64_t generation; /* the oldest of the routes */
	struct expand_result result;
	expand_done *done;
	void *context;
};

static void pump(struct expansion *x);

static void
fail(struct expansion *x, enum outcome_class class, const char *code, const char *format, struct span about)
{
	if (x->result.status == EXPAND_FAILED)
		return;
	x->result.status = EXPAND_FAILED;
	x->result.class = class;
	x->result.code = code;
	x->result.text = span_of(arena_printf(x->arena, format, SPAN_ARG(about)));
}

static void
fail_lookup(struct expansion *x, struct span reason)
{
	fail(x, OUTCOME_DEFERRED, "4.3.0",
	    reason.len > 0 ? "alias database unavailable: %.*s" : "alias database unavailable%.*s", reason);
}

static struct item *
add_item(struct expansion *x, enum item_kind kind, const struct item *from)
{
	struct item *item;

	if (++x->items > EXPAND_ITEMS_MAX || (from && from->depth > EXPAND_DEPTH_MAX)) {
		fail(x, OUTCOME_BOUNCED, "5.4.6", "alias database loop for %.*s",
		    from ? from->parent : span_make("", 0));
		return NULL;
	}
	item = arena_alloc(x->arena, sizeof(*item));
	if (!item) {
		fail(x, OUTCOME_BOUNCED, "5.4.6", "alias expands to too much%.*s", span_make("", 0));
		return NULL;
	}
	if (from)
		*item = *from;
	item->expansion = x;
	item->kind = kind;
	TAILQ_INSERT_TAIL(&x->waiting, item, link);
	return item;
}

static void
add_leaf(struct expansion *x, const struct expand_address *leaf)
{
	if (table_get(x->seen, leaf->recipient))
		return;
	if (table_put(x->seen, leaf->recipient, x) < 0) {
		fail(x, OUTCOME_BOUNCED, "5.4.6", "alias expands to too much%.*s", span_make("", 0));
		return;
	}
	if (x->result.count == x->room) {
		x->room = x->room ? 2 * x->room : 16;
		x->addresses = mem_resize(x->addresses, x->room * sizeof(*x->addresses));
	}
	x->addresses[x->result.count++] = *leaf;
}

/* ---- what an alias holds ---- */

static void
open_alias(struct expansion *x, const struct item *item)
{
	static const char *const unsupported[] = {
	    [ALIAS_COMMAND] = "alias %.*s: delivery to commands is not supported by this version",
	    [ALIAS_FILE] = "alias %.*s: delivery to files is not supported by this version",
	    [ALIAS_INCLUDE] = "alias %.*s: :include: files are not supported by this version",
	    [ALIAS_MALFORMED] = "alias %.*s: malformed address in the alias database",
	};
	struct span rest = item->value, text;
	enum alias_member kind;

	while (alias_next_member(x->arena, &rest, &kind, &text)) {
		struct item *member;

		if (kind != ALIAS_ADDRESS) {
			fail(x, OUTCOME_DEFERRED, "4.3.5", unsupported[kind], item->text);
			return;
		}
		member = add_item(x, ITEM_ADDRESS, item);
		if (!member)
			return;
		member->text = text;
		member->parent = item->text;
		member->depth++;
	}
}

static struct span
join_owner(struct expansion *x, struct span name)
{
	return address_join(
	    x->arena, span_of(arena_printf(x->arena, "owner-%.*s", SPAN_ARG(name))), x->domain);
}

static void
take_name_answer(struct item *item, const struct msg_map_answer *m)
{
	struct expansion *x = item->expansion;

	if (m->status == LOOKUP_FOUND) {
		item->value = arena_copy_span(x->arena, m->value);
		item->kind = ITEM_OWNER;
		if (span_starts_nocase(item->text, "owner-"))
			open_alias(x, item);
		else
			TAILQ_INSERT_TAIL(&x->waiting, item, link);
	} else if (item->depth == 0) {
		x->result.status = EXPAND_NO_ALIAS;
	} else {
		add_leaf(x, &item->leaf);
	}
}

static int
on_map(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct item *item = context;
	struct expansion *x = item->expansion;

	(void)err;
	x->asked--;
	if (!frame || frame->type != IPC_MAP_ANSWER || frame->map_answer.status >= LOOKUP_TEMPORARY) {
		fail_lookup(
		    x, frame && frame->type == IPC_MAP_ANSWER ? frame->map_answer.reason : span_make("", 0));
	} else if (item->kind == ITEM_NAME) {
		take_name_answer(item, &frame->map_answer);
	} else {
		if (frame->map_answer.status == LOOKUP_FOUND) {
			item->sender = join_owner(x, item->text);
			x->result.has_owner = true;
		}
		open_alias(x, item);
	}
	pump(x);
	return 0;
}

/* ---- where an address goes ---- */

/* The local part as aliases and users know it. */
static struct span
local_name(struct arena *a, struct span address)
{
	struct span local, domain;
	char *name;

	address_split(address, &local, &domain);
	local = address_unquote_local(a, local);
	name = arena_copy(a, local);
	if (!name)
		return span_make("", 0);
	text_lower(name, local.len);
	return span_make(name, local.len);
}

static void
take_route(struct item *item, const struct msg_resolve_rcpt *m)
{
	struct expansion *x = item->expansion;
	struct expand_address leaf = {
	    .recipient = arena_copy_span(x->arena, m->recipient),
	    .sender = item->sender,
	    .transport = arena_copy_span(x->arena, m->transport),
	    .nexthop = arena_copy_span(x->arena, m->nexthop),
	};
	struct span name, local, domain;
	struct item *next;

	if (!span_is(m->transport, "local")) {
		add_leaf(x, &leaf);
		return;
	}
	name = local_name(x->arena, leaf.recipient);
	if (span_equal(name, item->parent)) {
		/* Its own name within an alias: past all aliases, when it comes back. */
		address_split(leaf.recipient, &local, &domain);
		leaf.recipient =
		    address_join(x->arena, span_of(arena_printf(x->arena, "\\%.*s", SPAN_ARG(name))), domain);
		add_leaf(x, &leaf);
		return;
	}
	if (name.len > 0 && name.ptr[0] == '\\') {
		add_leaf(x, &leaf);
		return;
	}
	next = add_item(x, ITEM_NAME, item);
	if (next) {
		next->text = name;
		next->leaf = leaf;
	}
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
	x->asked--;
	if (!frame || frame->type != IPC_RESOLVE_DONE || frame->resolve_done.status == LOOKUP_TEMPORARY)
		fail_lookup(x,
		    frame && frame->type == IPC_RESOLVE_DONE ? frame->resolve_done.reason : span_make("", 0));
	else if (x->generation == 0 || frame->resolve_done.generation < x->generation)
		x->generation = frame->resolve_done.generation;
	pump(x);
	return 0;
}

/* ---- asking ---- */

static bool
ask(struct item *item)
{
	struct expansion *x = item->expansion;
	struct msg_resolve_ask route = {
	    .address = item->text, .sender = item->sender, .flags = RESOLVE_EXPAND};
	struct msg_map_ask map = {.tables = span_of(x->alias_maps), .form = LOOKUP_LOCAL, .key = item->text};

	if (item->kind == ITEM_ADDRESS)
		return ipc_ask(x->lookup, IPC_RESOLVE_ASK, &route, ASK_TIMEOUT_MS, on_route, item) != 0;
	if (item->kind == ITEM_OWNER)
		map.key = span_of(arena_printf(x->arena, "owner-%.*s", SPAN_ARG(item->text)));
	return ipc_ask(x->lookup, IPC_MAP_ASK, &map, ASK_TIMEOUT_MS, on_map, item) != 0;
}

static void
end(struct expansion *x)
{
	if (x->result.status == EXPAND_DONE && x->result.count == 0)
		fail(x, OUTCOME_DEFERRED, "4.3.5", "the alias is empty%.*s", span_make("", 0));
	for (size_t i = 0; i < x->result.count; i++)
		x->addresses[i].generation = x->generation;
	x->result.addresses = x->addresses;
	x->done(x->context, &x->result);
	table_free(&x->seen);
	free(x->addresses);
	arena_free(&x->arena);
	free(x);
}

/* Asks what may be asked; ends when nothing is left. */
static void
pump(struct expansion *x)
{
	struct item *item;

	if (x->pumping)
		return;
	x->pumping = true;
	while (x->result.status == EXPAND_DONE && x->asked < WINDOW &&
	       (item = TAILQ_FIRST(&x->waiting)) != NULL) {
		TAILQ_REMOVE(&x->waiting, item, link);
		x->asked++;
		if (!ask(item)) {
			x->asked--;
			fail_lookup(x, span_make("", 0));
		}
	}
	x->pumping = false;
	if (x->asked == 0)
		end(x);
}

void
expand_start(const struct expand_request *request, expand_done *done, void *context)
{
	struct expansion *x = mem_alloc(sizeof(*x));
	struct item *first;

	x->arena = arena_new(ARENA_BYTES);
	x->lookup = request->lookup;
	x->alias_maps = arena_strdup(x->arena, request->alias_maps);
	x->domain = arena_copy_span(x->arena, request->domain);
	x->seen = table_new(EXPAND_ITEMS_MAX, NULL);
	x->result.status = EXPAND_DONE;
	x->done = done;
	x->context = context;
	TAILQ_INIT(&x->waiting);
	first = add_item(x, ITEM_NAME, NULL);
	first->text = arena_copy_span(x->arena, request->name);
	first->sender = arena_copy_span(x->arena, request->sender);
	pump(x);
}
