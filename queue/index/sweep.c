#include "queue/index/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/index/dictionary.h"
#include "queue/index/rows.h"
#include "queue/index/summary.h"

enum { ROWS_A_STEP = 20000, TEXTS_A_STEP = 1000, NEW_MIN = 20000 };

struct sweep {
	uint32_t before; /* numbers from here on are new */
	uint8_t *used; /* bits */
	uint64_t after;
	bool marked;
	size_t kind;
	uint32_t number;
	uint32_t live;
	uint32_t gone[TEXTS_A_STEP];
	size_t gone_count, seen;
};

static const enum dictionary_kind kinds[] = {DICTIONARY_DOMAIN, DICTIONARY_HOP, DICTIONARY_REASON};

bool
sweep_is_due(const struct index *x)
{
	return x->sweep || x->next_number - x->swept_next > NEW_MIN + 2 * x->swept_live;
}

void
sweep_note(struct index *x, uint32_t number)
{
	struct sweep *s = x->sweep;

	if (s && number < s->before)
		s->used[number / 8] |= (uint8_t)(1 << number % 8);
}

void
sweep_stop(struct index *x)
{
	if (!x->sweep)
		return;
	free(x->sweep->used);
	free(x->sweep);
	x->sweep = NULL;
}

static bool
mark(const struct summary *row, void *context)
{
	struct summary s = *row;
	struct summary_recipient r;
	struct index *x = context;

	sweep_note(x, s.sender_domain);
	sweep_note(x, s.own_domain);
	sweep_note(x, s.hold_reason);
	while (summary_next(&s, &r) > 0) {
		sweep_note(x, r.domain);
		sweep_note(x, r.original_domain);
		sweep_note(x, r.hop);
		sweep_note(x, r.reason);
	}
	return true;
}

static bool
look(uint32_t number, struct span text, void *context)
{
	struct sweep *s = context;

	(void)text;
	if (number >= s->before)
		return false;
	s->number = number + 1;
	s->seen++;
	if (s->used[number / 8] >> number % 8 & 1)
		s->live++;
	else
		s->gone[s->gone_count++] = number;
	return s->seen < TEXTS_A_STEP;
}

/* Returns 1 while there may be more of this kind. */
static int
remove_some(struct index *x, struct sweep *s, struct error *err)
{
	DB_TXN *txn;
	int status = 0;

	s->gone_count = s->seen = 0;
	if (dictionary_each(x, kinds[s->kind], s->number, look, s, err) < 0)
		return -1;
	if (s->gone_count > 0) {
		status = x->env->txn_begin(x->env, NULL, &txn, 0);
		if (status != 0)
			return db_error(err, status, "beginning a transaction");
		for (size_t i = 0; i < s->gone_count && status == 0; i++)
			status = dictionary_remove(x, txn, kinds[s->kind], s->gone[i], err);
		if (status != 0) {
			txn->abort(txn);
			return -1;
		}
		status = txn->commit(txn, 0);
		dictionary_forget(x, x->next_number);
		if (status != 0)
			return db_error(err, status, "committing");
	}
	return s->seen == TEXTS_A_STEP;
}

static int
step(struct index *x, struct sweep *s, struct error *err)
{
	bool more;
	int status;

	if (!s->marked) {
		if (rows_each(x, &s->after, UINT64_MAX, ROWS_A_STEP, mark, x, &more, err) < 0)
			return -1;
		s->marked = !more;
		return 1;
	}
	status = remove_some(x, s, err);
	if (status == 0 && ++s->kind < sizeof(kinds) / sizeof(kinds[0])) {
		s->number = 0;
		status = 1;
	}
	return status;
}

int
sweep_step(struct index *x, struct error *err)
{
	int status;

	if (check_open(x, err) < 0)
		return -1;
	if (x->hidden)
		return 0;
	if (!x->sweep) {
		x->sweep = mem_alloc(sizeof(*x->sweep));
		x->sweep->before = x->next_number;
		x->sweep->used = mem_alloc(x->next_number / 8 + 1);
		dictionary_forget(x, x->next_number);
	}
	status = step(x, x->sweep, err);
	if (status == 1)
		return 1;
	x->swept_next = x->next_number;
	x->swept_live = x->sweep->live;
	sweep_stop(x);
	return status;
}
