/*
 * virtual(5): an address becomes several, again and again, within virtual_alias_recursion_limit steps,
 * virtual_alias_expansion_limit addresses and virtual_alias_address_length_limit octets each. Beyond a limit the answer is
 * temporary, as in Postfix: mail waits until the table is mended.
 */
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/casefold.h"
#include "services/lookup/engine/results.h"

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
	struct span key = casefold_copy(x->q->arena, address);

	if (key.ptr == NULL)
		return false;
	if (table_get(x->seen, key) != NULL)
		return true;
	(void)table_put(x->seen, key, &mark);
	return false;
}

/* An address without an alias: a row of the answer. Routing through this host is undone for good here. */
static void
finish_one(struct expansion *x, struct span address)
{
	struct resolved r;

	if (resolve_address(x->q, address, &r))
		question_add_row(x->q, &r);
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
	size_t before = q->answer->count;
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
	if (q->answer->count == before)
		question_fail(q, "a loop in virtual_alias_maps");
}
