/*
 * canonical(5): an address becomes another. virtual(5): it becomes several, again and again, within
 * virtual_alias_recursion_limit steps, virtual_alias_expansion_limit addresses and virtual_alias_address_length_limit
 * octets each. Beyond a limit the answer is temporary, as in Postfix: mail waits until the table is mended.
 */
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "services/lookup/engine/engine.h"

enum { CANONICAL_STEPS_MAX = 10, RESULT_ADDRESSES_MAX = 100000 };

/* The addresses of one result, in order. */
struct results {
	struct question *q;
	struct span from; /* the address that was looked up */
	struct span extension; /* to be added to each; empty: none */
	struct span *list;
	size_t count, room;
};

/* "@domain" keeps the local part; the extension that the key lacked is copied over. */
static struct span
result_complete(struct results *r, struct span address)
{
	struct arena *a = r->q->arena;
	struct span local, domain;

	if (address.len > 1 && address.ptr[0] == '@') {
		struct span old_local, old_domain;
		address_split(r->from, &old_local, &old_domain);
		return rewrite_address(
		    r->q, address_join(a, address_unquote_local(a, old_local), span_from(address, 1)));
	}
	address = rewrite_address(r->q, address);
	if (r->extension.len == 0)
		return address;
	address_split(address, &local, &domain);
	struct span bare = address_unquote_local(a, local);
	char *longer = arena_printf(a, "%.*s%.*s", SPAN_ARG(bare), SPAN_ARG(r->extension));
	if (longer == NULL)
		return (struct span){0};
	return address_join(a, span_of(longer), domain);
}

static bool
results_add(struct results *r, struct span address)
{
	address = result_complete(r, address);
	if (address.len == 0 || r->count >= RESULT_ADDRESSES_MAX) {
		question_fail(r->q, "an expansion is too large");
		return false;
	}
	if ((int64_t)address.len > r->q->engine->values->virtual_alias_address_length_limit) {
		question_fail(
		    r->q, "an expansion made an address longer than virtual_alias_address_length_limit");
		return false;
	}
	if (r->count == r->room) {
		size_t room = r->room == 0 ? 4 : r->room * 2;
		struct span *list = arena_alloc(r->q->arena, room * sizeof(list[0]));
		if (list == NULL) {
			question_fail(r->q, "an expansion is too large");
			return false;
		}
		if (r->count > 0)
			memcpy(list, r->list, r->count * sizeof(list[0]));
		r->list = list;
		r->room = room;
	}
	r->list[r->count++] = address;
	return true;
}

static bool
on_address(struct span address, void *context)
{
	struct results *r = context;
	struct span copy = arena_copy_span(r->q->arena, address);
	return results_add(r, copy);
}

/* Reads a table's value. "@domain" is no address by itself, so it is taken as it stands. */
static void
results_read(struct results *r, struct span value)
{
	struct error err = {0};
	struct span copy = arena_copy_span(r->q->arena, span_trim(value));

	if (copy.len == 0) {
		question_fail(r->q, "empty result");
		return;
	}
	if (copy.ptr[0] == '@' && span_find(copy, ',') < 0) {
		(void)results_add(r, copy);
		return;
	}
	if (address_list_parse(r->q->arena, copy, on_address, r, &err) < 0 ||
	    (r->count == 0 && !r->q->failed))
		question_fail(r->q, r->q->engine->found.table);
}

/* Looks address up; its results are in *r. False if there are none, or the question failed. */
static bool
results_find(struct results *r, struct question *q, struct maplist *list, struct span address, bool extension)
{
	struct route_engine *e = q->engine;
	struct span unmatched;

	*r = (struct results){.q = q, .from = address};
	enum lookup_status status =
	    map_find(list, LOOKUP_MAIL, address, &e->mail_keys, &e->found, &unmatched);
	if (status == LOOKUP_TEMPORARY)
		question_fail(q, e->found.err.text);
	if (status != LOOKUP_FOUND)
		return false;
	if (extension)
		r->extension = unmatched;
	question_trace(q, "%.*s: becomes %.*s (%s)", SPAN_ARG(address), SPAN_ARG(buf_span(&e->found.value)),
	    question_place(q));
	results_read(r, buf_span(&e->found.value));
	return !q->failed;
}

static struct span
canonical_by(struct question *q, struct maplist *list, struct span address)
{
	struct results r;

	for (unsigned step = 0; step < CANONICAL_STEPS_MAX; step++) {
		if (!results_find(&r, q, list, address, q->engine->extension_canonical))
			return address;
		if (r.count != 1) {
			question_fail(q, "a canonical table has more than one address in a result");
			return address;
		}
		bool same = span_equal_nocase(r.list[0], address);
		address = r.list[0];
		if (same)
			break;
	}
	return address;
}

struct span
canonical_address(struct question *q, struct span address, bool sender)
{
	const struct route_engine *e = q->engine;

	if (sender ? e->sender_canonical_applies : e->recipient_canonical_applies)
		address = canonical_by(q, sender ? e->sender_canonical : e->recipient_canonical, address);
	return q->failed ? address : canonical_by(q, e->canonical, address);
}

/* ---- virtual aliases ---- */

/* Addresses that wait for their turn. A stack would turn the order of a list round: so a queue. */
struct waiting {
	struct span address;
	unsigned depth;
	struct waiting *next;
};

struct expansion {
	struct question *q;
	struct table *seen; /* addresses that had their turn, folded */
	struct waiting *first, **last;
	size_t total;
	size_t room; /* of the answer's list */
};

static bool
expansion_add(struct expansion *x, struct span address, unsigned depth)
{
	struct waiting *w = arena_alloc(x->q->arena, sizeof(*w));

	if (w == NULL || ++x->total > (size_t)x->q->engine->values->virtual_alias_expansion_limit) {
		question_fail(x->q,
		    "unreasonable virtual_alias_maps expansion: more than virtual_alias_expansion_limit");
		return false;
	}
	*w = (struct waiting){.address = address, .depth = depth};
	*x->last = w;
	x->last = &w->next;
	return true;
}

/* True if it was there already. */
static bool
seen_before(struct expansion *x, struct span address)
{
	static char mark;
	char folded[ADDRESS_MAX + 100];

	if (address.len > sizeof(folded))
		return false;
	memcpy(folded, address.ptr, address.len);
	text_lower(folded, address.len);
	struct span key = span_make(folded, address.len);
	if (table_get(x->seen, key) != NULL)
		return true;
	(void)table_put(x->seen, key, &mark);
	return false;
}

/* An address without an alias: a row of the answer. Routing through this host is undone for good here. */
static void
finish_one(struct expansion *x, struct span address)
{
	struct question *q = x->q;
	struct route_answer *answer = q->answer;
	struct resolved r;

	if (!resolve_address(q, address, &r))
		return;
	if (answer->count == x->room) {
		size_t room = x->room == 0 ? 2 : x->room * 2;
		struct route_recipient *list = arena_alloc(q->arena, room * sizeof(list[0]));
		if (list == NULL) {
			question_fail(q, "an expansion is too large");
			return;
		}
		if (answer->count > 0)
			memcpy(list, answer->list, answer->count * sizeof(list[0]));
		answer->list = list;
		x->room = room;
	}
	answer->list[answer->count++] = (struct route_recipient){r.address, r.transport, r.nexthop};
}

/* The addresses that w's alias leads to are put into the queue. */
static void
expand_one(struct expansion *x, const struct waiting *w, const struct results *r)
{
	struct question *q = x->q;

	if ((int64_t)w->depth >= q->engine->values->virtual_alias_recursion_limit) {
		question_fail(
		    q, "unreasonable virtual_alias_maps nesting: more than virtual_alias_recursion_limit");
		return;
	}
	for (size_t i = 0; i < r->count && !q->failed; i++) {
		/* virtual(5): an address that is in its own result stays as it is. */
		if (span_equal_nocase(r->list[i], w->address))
			finish_one(x, r->list[i]);
		else
			(void)expansion_add(x, r->list[i], w->depth + 1);
	}
}

void
expand_address(struct question *q, struct span address)
{
	const struct route_engine *e = q->engine;
	struct expansion x = {.q = q, .last = &x.first};
	struct results r;

	/* Most addresses have no alias. */
	if (!results_find(&r, q, e->virtual_aliases, address, e->extension_virtual)) {
		if (!q->failed)
			finish_one(&x, address);
		return;
	}
	x.seen = table_new((size_t)e->values->virtual_alias_expansion_limit + 1, NULL);
	(void)seen_before(&x, address);
	const struct waiting start = {.address = address};
	expand_one(&x, &start, &r);
	for (const struct waiting *w = x.first; w != NULL && !q->failed; w = w->next) {
		/* What was met before had its turn: that ends loops and drops duplicates. */
		if (seen_before(&x, w->address))
			continue;
		if (results_find(&r, q, e->virtual_aliases, w->address, e->extension_virtual))
			expand_one(&x, w, &r);
		else if (!q->failed)
			finish_one(&x, w->address);
	}
	table_free(&x.seen);
}
