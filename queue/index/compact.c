#include "queue/index/compact.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

/*
 * Each call of Berkeley DB's sorts all free pages of a table, however few rows it is for: where that takes the most time,
 * rows are taken in larger steps.
 */
enum { ROWS_A_STEP = 1000, ROWS_MAX = 64000, STEP_US = 20000 };
enum { LEAST_OCTETS = 16 << 20, FILL_PERCENT = 90, HOLE = 2, GAIN_OF = 16 };

static DB *
table_at(const struct index *x, unsigned at)
{
	DB *const tables[] = {x->messages, x->summaries, x->keys, x->texts};

	return at < sizeof(tables) / sizeof(tables[0]) ? tables[at] : NULL;
}

/* Octets of a table's file. */
static uint64_t
table_octets(DB *table)
{
	DB_BTREE_STAT *stat;
	uint64_t octets;

	if (table->stat(table, NULL, &stat, DB_FAST_STAT) != 0)
		return 0;
	octets = (uint64_t)stat->bt_pagecnt * stat->bt_pagesize;
	free(stat);
	return octets;
}

static u_int32_t
page_size(DB *table)
{
	u_int32_t size = 0;

	table->get_pagesize(table, &size);
	return size;
}

void
compact_note(struct index *x, size_t octets)
{
	x->changed += octets;
}

void
compact_note_gone(struct index *x, size_t octets)
{
	x->changed += HOLE * octets;
}

static uint64_t
all_octets(const struct index *x)
{
	uint64_t octets = 0;
	DB *table;

	for (unsigned i = 0; (table = table_at(x, i)); i++)
		octets += table_octets(table);
	return octets;
}

bool
compact_is_due(const struct index *x)
{
	if (x->busy)
		return false;
	if (x->compacting || !x->env || x->changed < LEAST_OCTETS)
		return x->compacting;
	return x->changed >= all_octets(x);
}

/* The key some rows behind x->compact_from, into x->compact_to. 1, 0 if the table ends before, -1. */
static int
find_stop(struct index *x, DB *table, struct error *err)
{
	DBT key = dbt_of(buf_span(&x->compact_from)), data;
	DBC *cursor;
	int status = table->cursor(table, NULL, &cursor, 0);

	if (status != 0)
		return db_error(err, status, "opening a cursor");
	memset(&data, 0, sizeof(data));
	data.flags = DB_DBT_PARTIAL; /* of no length: keys are wanted */
	status = cursor->get(cursor, &key, &data, DB_SET_RANGE);
	for (uint32_t i = 0; i < x->compact_rows && status == 0; i++)
		status = cursor->get(cursor, &key, &data, DB_NEXT);
	buf_clear(&x->compact_to);
	if (status == 0)
		buf_append(&x->compact_to, key.data, key.size);
	cursor->close(cursor);
	if (status != 0 && status != DB_NOTFOUND)
		return db_error(err, status, "reading keys");
	return status == 0;
}

static int
compact_range(struct index *x, DB *table, bool last, struct error *err)
{
	DBT from = dbt_of(buf_span(&x->compact_from)), to = dbt_of(buf_span(&x->compact_to));
	DB_COMPACT how;
	int status;

	memset(&how, 0, sizeof(how));
	how.compact_fillpercent = FILL_PERCENT;
	status = table->compact(table, NULL, &from, last ? NULL : &to, &how, DB_FREE_SPACE, NULL);
	if (status != 0)
		return db_error(err, status, "compacting");
	x->compact_gain +=
	    (uint64_t)(how.compact_pages_free + how.compact_pages_truncated) * page_size(table);
	return 0;
}

static void
begin(struct index *x)
{
	x->compacting = true;
	x->compact_table = 0;
	x->compact_rows = ROWS_A_STEP;
	x->compact_gain = 0;
	buf_clear(&x->compact_from);
}

static int
end(struct index *x, int status)
{
	x->compacting = false;
	x->changed = 0;
	return status;
}

int
compact_step(struct index *x, struct error *err)
{
	int64_t begun = clock_mono_us();
	DB *table;
	struct buf swap;
	int more;

	if (check_open(x, err) < 0)
		return end(x, -1);
	if (!x->compacting)
		begin(x);
	table = table_at(x, x->compact_table);
	if (!table && x->compact_gain < all_octets(x) / GAIN_OF)
		return end(x, 0);
	if (!table) {
		/*
		 * Only pages at the end of a file can be given back, and only a pass that begins with many free ones moves
		 * what lies behind them.
		 */
		begin(x);
		return 1;
	}
	more = find_stop(x, table, err);
	if (more < 0 || index_trim_log(x, err) < 0 || compact_range(x, table, more == 0, err) < 0)
		return end(x, -1);
	swap = x->compact_from;
	x->compact_from = x->compact_to;
	x->compact_to = swap;
	if (clock_mono_us() - begun > STEP_US && x->compact_rows < ROWS_MAX)
		x->compact_rows *= 2;
	if (more == 0) {
		x->compact_table++;
		x->compact_rows = ROWS_A_STEP;
		buf_clear(&x->compact_from);
	}
	return 1;
}
