/*
 * virtual(5): an address becomes several, again and again, within virtual_alias_recursion_limit steps,
 * virtual_alias_expansion_limit addresses and virtual_alias_address_length_limit octets each. Beyond a limit, and where
 * addresses lead in a circle, the answer is temporary, as in Postfix: mail waits until the table is mended.
 */
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/casefold.h"
#include "services/lookup/engine/results.h"

/* An address that was met: who leads to whom, for circles. */
struct node {
	struct node *next; /* all of them; later those that nobody leads to any more */
	struct arrow *arrows;
	size_t arrivals;
	bool itself; /* it is in its own result: Postfix goes on no further from there */
};

struct arrow {
	struct arrow *next;
	struct node *to;
};

/* Addresses that wait for their turn. A stack would turn the order of a list round: so a queue. */
struct waiting {
	struct span address;
	struct node *from; /* who leads there */
	unsigned depth;
	struct waiting *next;
};

struct expansion {
	struct question *q;
	struct table *seen; /* nodes of addresses that had their turn, folded */
	struct node *nodes;
	struct waiting *first, **last;
	size_t total;
};

static bool
expansion_add(struct expansion *x, struct span address, struct node *from, unsigned depth)
{
	struct waiting *w = arena_alloc(x->q->arena, sizeof(*w));

	if (w == NULL || ++x->total > (size_t)x->q->engine->values->virtual_alias_expansion_limit) {
		question_fail(x->q,
		    "unreasonable virtual_alias_maps expansion: more than virtual_alias_expansion_limit");
		return false;
	}
	*w = (struct waiting){.address = address, .from = from, .depth = depth};
	*x->last = w;
	x->last = &w->next;
	return true;
}

/* Counts that from leads there. NULL if the address had its turn, or there is no room. */
static struct node *
meet(struct expansion *x, struct span address, struct node *from)
{
	struct span key = casefold_copy(x->q->arena, address);
	struct node *n = key.ptr != NULL ? table_get(x->seen, key) : NULL, *added = NULL;
	struct arrow *arrow = arena_alloc(x->q->arena, sizeof(*arrow));

	if (n == NULL && (added = n = arena_alloc(x->q->arena, sizeof(*n))) != NULL && key.ptr != NULL) {
		(void)table_put(x->seen, key, n);
		n->next = x->nodes;
		x->nodes = n;
	}
	if (n == NULL || arrow == NULL || key.ptr == NULL) {
		question_fail(x->q, "an expansion is too large");
		return NULL;
	}
	if (from != NULL && !from->itself) {
		*arrow = (struct arrow){.next = from->arrows, .to = n};
		from->arrows = arrow;
		n->arrivals++;
	}
	return added;
}

/* Addresses to which nobody leads are taken away, again and again: what is left leads in a circle, or out of one. */
static bool
has_circle(const struct expansion *x)
{
	struct node *free_ones = NULL, *n, *next;
	size_t left = 0;

	for (n = x->nodes; n != NULL; n = next) {
		next = n->next;
		left++;
		if (n->arrivals == 0) {
			n->next = free_ones;
			free_ones = n;
		}
	}
	while ((n = free_ones) != NULL) {
		free_ones = n->next;
		left--;
		for (const struct arrow *a = n->arrows; a != NULL; a = a->next)
			if (--a->to->arrivals == 0) {
				a->to->next = free_ones;
				free_ones = a->to;
			}
	}
	return left > 0;
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
expand_one(struct expansion *x, const struct waiting *w, struct node *node, const struct results *r)
{
	struct question *q = x->q;

	if ((int64_t)w->depth >= q->engine->values->virtual_alias_recursion_limit) {
		question_fail(
		    q, "unreasonable virtual_alias_maps nesting: more than virtual_alias_recursion_limit");
		return;
	}
	for (size_t i = 0; i < r->count; i++)
		node->itself = node->itself || span_equal_nocase(r->list[i], w->address);
	for (size_t i = 0; i < r->count && !q->failed; i++) {
		/* virtual(5): an address that is in its own result stays as it is. */
		if (span_equal_nocase(r->list[i], w->address))
			finish_one(x, r->list[i]);
		else
			(void)expansion_add(x, r->list[i], node, w->depth + 1);
	}
}

void
expand_address(struct question *q, struct span address)
{
	const struct route_engine *e = q->engine;
	struct expansion x = {.q = q, .last = &x.first};
	const struct waiting start = {.address = address};
	size_t before = q->answer->count;
	struct node *node;
	struct results r;

	/* Most addresses have no alias. */
	if (!results_find(&r, q, e->virtual_aliases, address, e->extension_virtual)) {
		if (!q->failed)
			finish_one(&x, address);
		return;
	}
	x.seen = table_new((size_t)e->values->virtual_alias_expansion_limit + 1, NULL);
	if ((node = meet(&x, address, NULL)) != NULL)
		expand_one(&x, &start, node, &r);
	for (const struct waiting *w = x.first; w != NULL && !q->failed; w = w->next) {
		/* What was met before had its turn: that drops duplicates. */
		if ((node = meet(&x, w->address, w->from)) == NULL)
			continue;
		if (results_find(&r, q, e->virtual_aliases, w->address, e->extension_virtual))
			expand_one(&x, w, node, &r);
		else if (!q->failed)
			finish_one(&x, w->address);
	}
	table_free(&x.seen);
	/* Postfix goes round until it reaches a limit. */
	if (!q->failed && has_circle(&x)) {
		question_fail(q, "unreasonable virtual_alias_maps expansion: a circle");
		q->answer->count = before;
	}
}
