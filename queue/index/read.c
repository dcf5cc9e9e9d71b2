/*
 * read: what the index answers from single rows and keys. Answers to filters come from the summaries (query.c).
 */
#include <string.h>

#include "queue/index/dictionary.h"
#include "queue/index/keys.h"

enum { ROW_HEAD = 24 };

int
index_decode_row(uint64_t id, const DBT *value, struct index_row *row)
{
	const char *p = value->data;

	if (value->size < ROW_HEAD)
		return -1;
	row->id = id;
	row->position = index_get_u64(p);
	row->content_position = index_get_u64(p + 8);
	row->segment = index_get_u64(p + 16);
	row->payload = span_make(p + ROW_HEAD, value->size - ROW_HEAD);
	return 0;
}

DBT
id_key(uint64_t id, char bytes[8])
{
	for (int i = 7; i >= 0; i--, id >>= 8)
		bytes[i] = (char)id;
	return dbt_of(span_make(bytes, 8));
}

int
index_load(struct index *x, uint64_t id, struct buf *out, struct index_row *row, struct error *err)
{
	char bytes[8];
	DBT key = id_key(id, bytes), value;
	int status;

	if (x->hidden)
		return 0;
	if (check_open(x, err) < 0)
		return -1;
	memset(&value, 0, sizeof(value));
	status = x->messages->get(x->messages, NULL, &key, &value, 0);
	if (status == DB_NOTFOUND)
		return 0;
	if (status != 0)
		return db_error(err, status, "reading a message");
	buf_clear(out);
	if (buf_append(out, value.data, value.size) < 0)
		return error_set(err, "index: a row is too large");
	value.data = buf_ptr(out);
	return index_decode_row(id, &value, row) < 0 ? error_set(err, "index: a row is damaged") : 1;
}

int
index_each(struct index *x, uint64_t after, index_visit *visit, void *context, struct error *err)
{
	char bytes[8];
	DBT key = id_key(after + 1, bytes), value;
	DBC *cursor;
	int status;

	if (x->hidden)
		return 0;
	if (check_open(x, err) < 0)
		return -1;
	status = x->messages->cursor(x->messages, NULL, &cursor, 0);
	if (status != 0)
		return db_error(err, status, "opening a cursor");
	memset(&value, 0, sizeof(value));
	status = cursor->get(cursor, &key, &value, DB_SET_RANGE);
	while (status == 0) {
		struct index_row row;

		if (key.size != 8 || index_decode_row(index_get_u64(key.data), &value, &row) < 0) {
			cursor->close(cursor);
			return error_set(err, "index: a row is damaged");
		}
		if (!visit(&row, context))
			break;
		status = cursor->get(cursor, &key, &value, DB_NEXT);
	}
	cursor->close(cursor);
	return status == 0 || status == DB_NOTFOUND ? 0 : db_error(err, status, "reading messages");
}

/* Walks keys that begin with prefix, from 'from' on. step: returns false to stop; may move 'from' and set *seek. */
typedef bool key_step(struct span key, struct buf *from, bool *seek, void *context);

static int
each_key(
    struct index *x, struct span prefix, struct buf *from, key_step *step, void *context, struct error *err)
{
	DBT key = dbt_of(buf_span(from)), value;
	DBC *cursor;
	int status;
	bool seek = true;

	if (x->hidden)
		return 0;
	if (check_open(x, err) < 0)
		return -1;
	status = x->keys->cursor(x->keys, NULL, &cursor, 0);
	if (status != 0)
		return db_error(err, status, "opening a cursor");
	memset(&value, 0, sizeof(value));
	for (;;) {
		struct span found;

		if (seek)
			key = dbt_of(buf_span(from));
		status = cursor->get(cursor, &key, &value, seek ? DB_SET_RANGE : DB_NEXT);
		if (status != 0)
			break;
		found = span_make(key.data, key.size);
		if (!span_equal(span_sub(found, 0, prefix.len), prefix))
			break;
		seek = false;
		if (!step(found, from, &seek, context))
			break;
	}
	cursor->close(cursor);
	return status == 0 || status == DB_NOTFOUND ? 0 : db_error(err, status, "reading keys");
}

struct key_walk {
	struct index *x;
	index_visit_id *visit_id;
	index_visit_hop *visit_hop;
	index_visit_due *visit_due;
	size_t key_len;
	void *context;
	struct error *err;
	bool bad;
};

static bool
step_id(struct span key, struct buf *from, bool *seek, void *context)
{
	struct key_walk *w = context;

	(void)from;
	(void)seek;
	if (key.len != w->key_len)
		return true;
	return w->visit_id(index_get_u64(key.ptr + key.len - 8), w->context);
}

int
index_each_key(struct index *x, enum index_key kind, struct span text, uint64_t after, index_visit_id *visit,
    void *context, struct error *err)
{
	struct key_walk w = {.visit_id = visit, .context = context, .key_len = 1 + text.len + 8};
	struct buf prefix, from;
	char first = (char)kind;
	int status;

	buf_init(&prefix, 64);
	buf_init(&from, 64);
	buf_append(&prefix, &first, 1);
	buf_append_span(&prefix, text);
	buf_append_span(&from, buf_span(&prefix));
	index_put_u64(&from, after + 1);
	status = each_key(x, buf_span(&prefix), &from, step_id, &w, err);
	buf_free(&prefix);
	buf_free(&from);
	return status;
}

/* Over to the next hop's keys after each. */
static bool
step_hop(struct span key, struct buf *from, bool *seek, void *context)
{
	struct key_walk *w = context;
	struct buf hop;
	uint32_t number;
	int got;
	bool on = true;

	if (key.len != DUE_KEY_SIZE)
		return true;
	number = index_get_u32(key.ptr + 1);
	buf_init(&hop, DICTIONARY_TEXT_MAX);
	got = dictionary_text(w->x, DICTIONARY_HOP, number, &hop, w->err);
	w->bad = got < 0;
	if (got > 0)
		on = w->visit_hop(
		    number, buf_span(&hop), (int64_t)index_get_u64(key.ptr + DUE_PREFIX_SIZE), w->context);
	buf_free(&hop);
	buf_clear(from);
	buf_append(from, key.ptr, 1);
	index_put_u32(from, number + 1);
	*seek = true;
	return on && !w->bad;
}

int
index_each_hop(struct index *x, uint32_t first, index_visit_hop *visit, void *context, struct error *err)
{
	struct key_walk w = {.x = x, .visit_hop = visit, .context = context, .err = err};
	char kind = INDEX_DUE;
	struct buf from;
	int status;

	buf_init(&from, 64);
	buf_append(&from, &kind, 1);
	index_put_u32(&from, first);
	status = each_key(x, span_make(&kind, 1), &from, step_hop, &w, err);
	buf_free(&from);
	return w.bad ? -1 : status;
}

static bool
step_due(struct span key, struct buf *from, bool *seek, void *context)
{
	struct key_walk *w = context;

	(void)from;
	(void)seek;
	if (key.len != DUE_KEY_SIZE)
		return true;
	return w->visit_due(index_get_u64(key.ptr + DUE_KEY_SIZE - 8),
	    (int64_t)index_get_u64(key.ptr + DUE_PREFIX_SIZE), w->context);
}

int
index_each_due(struct index *x, struct span hop, index_visit_due *visit, void *context, struct error *err)
{
	struct key_walk w = {.visit_due = visit, .context = context};
	char kind = INDEX_DUE;
	struct buf from, prefix;
	uint32_t number;
	int status;

	if (check_open(x, err) < 0 || dictionary_number(x, NULL, DICTIONARY_HOP, hop, &number, err) < 0)
		return -1;
	if (number == 0)
		return 0;
	buf_init(&prefix, 64);
	buf_init(&from, 64);
	buf_append(&prefix, &kind, 1);
	index_put_u32(&prefix, number);
	buf_append_span(&from, buf_span(&prefix));
	status = each_key(x, buf_span(&prefix), &from, step_due, &w, err);
	buf_free(&prefix);
	buf_free(&from);
	return status;
}
