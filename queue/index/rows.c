#include "queue/index/rows.h"

#include <db.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/index/index_db.h"

enum { BULK_BYTES = 1 << 16 };

struct bulk {
	DBC *cursor;
	DBT key, data;
	char start[SUMMARY_KEY_SIZE];
};

static int
bulk_open(struct bulk *b, struct index *x, uint64_t after, struct error *err)
{
	int status = x->summaries->cursor(x->summaries, NULL, &b->cursor, DB_CURSOR_BULK);

	if (status != 0)
		return db_error(err, status, "opening a cursor");
	memset(b->start, 0, sizeof(b->start));
	id_key(after + 1, b->start);
	b->key = dbt_of(span_make(b->start, sizeof(b->start)));
	memset(&b->data, 0, sizeof(b->data));
	if (!x->bulk)
		x->bulk = mem_alloc(BULK_BYTES);
	b->data.data = x->bulk;
	b->data.ulen = BULK_BYTES;
	b->data.flags = DB_DBT_USERMEM;
	return 0;
}

struct row_walk {
	row_visit *visit;
	void *context;
	uint64_t id; /* of the row before */
	uint64_t last;
	size_t rows, max_rows;
	bool stop;
	bool ended; /* the rows that were wanted are through */
	bool past; /* and that were all up to 'last' */
};

/* 0, or -1 with err. */
static int
walk_bulk(struct row_walk *w, DBT *data, struct error *err)
{
	void *at;

	DB_MULTIPLE_INIT(at, data);
	for (;;) {
		struct summary s;
		void *key, *value;
		size_t key_len, value_len;

		DB_MULTIPLE_KEY_NEXT(at, data, key, key_len, value, value_len);
		if (!at)
			return 0;
		if (summary_decode(span_make(key, key_len), span_make(value, value_len), &s) < 0)
			return error_set(err, "index: a summary is damaged");
		if (s.id > w->last) {
			w->past = w->ended = true;
			return 0;
		}
		/* Never between two rows of one message. */
		if (s.id != w->id && (w->stop || w->rows >= w->max_rows)) {
			w->ended = true;
			return 0;
		}
		w->id = s.id;
		w->rows++;
		if (!w->visit(&s, w->context))
			w->stop = true;
	}
}

int
rows_each(struct index *x, uint64_t *after, uint64_t last, size_t max_rows, row_visit *visit, void *context,
    bool *more, struct error *err)
{
	struct row_walk w = {
	    .visit = visit, .context = context, .max_rows = max_rows, .id = *after, .last = last};
	struct bulk b;
	int status, bad = 0;

	*more = false;
	if (x->hidden || *after == UINT64_MAX)
		return 0;
	if (check_open(x, err) < 0)
		return -1;
	if (bulk_open(&b, x, *after, err) < 0)
		return -1;
	status = b.cursor->get(b.cursor, &b.key, &b.data, DB_SET_RANGE | DB_MULTIPLE_KEY);
	while (status == 0) {
		bad = walk_bulk(&w, &b.data, err);
		if (bad < 0 || w.ended)
			break;
		status = b.cursor->get(b.cursor, &b.key, &b.data, DB_NEXT | DB_MULTIPLE_KEY);
	}
	b.cursor->close(b.cursor);
	if (bad < 0)
		return -1;
	if (status != 0 && status != DB_NOTFOUND)
		return db_error(err, status, "reading summaries");
	*after = w.id;
	*more = w.ended && !w.past;
	return 0;
}
