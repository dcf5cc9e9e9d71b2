/*
 * apply: transactions of the index.
 */
#include <string.h>

#include "queue/index/compact.h"
#include "queue/index/derive.h"
#include "queue/index/dictionary.h"
#include "queue/index/summary.h"

enum { ROW_COST = 500 /* with summary and keys, roughly */ };

static int
change_keys(
    struct index *x, DB_TXN *txn, const struct key_list *old, const struct key_list *new, struct error *err)
{
	size_t i = 0, j = 0;
	int status = 0;

	while ((i < old->count || j < new->count) && status == 0) {
		int order = i == old->count   ? 1
			    : j == new->count ? -1
					      : span_compare(key_list_at(old, i), key_list_at(new, j));
		DBT key, value;

		if (order == 0) {
			i++;
			j++;
		} else if (order < 0) {
			key = dbt_of(key_list_at(old, i++));
			status = x->keys->del(x->keys, txn, &key, 0);
			if (status == DB_NOTFOUND)
				status = 0;
		} else {
			key = dbt_of(key_list_at(new, j++));
			value = dbt_of(SPAN_LIT(""));
			status = x->keys->put(x->keys, txn, &key, &value, 0);
		}
	}
	return status == 0 ? 0 : db_error(err, status, "changing keys");
}

static void
note_row(struct index *x, struct span key, struct span value)
{
	struct summary s;

	if (summary_decode(key, value, &s) == 0)
		zones_add(&x->zones, &s);
}

/* Parts from new->parts on are gone. */
static int
change_summaries(struct index *x, DB_TXN *txn, uint64_t id, uint32_t old_parts, const struct key_list *new,
    struct error *err)
{
	char bytes[SUMMARY_KEY_SIZE];
	int status = 0;

	id_key(id, bytes);
	if (old_parts > 0)
		zones_replace(&x->zones, id);
	for (uint32_t part = 0; (part < old_parts || part < new->count) && status == 0; part++) {
		DBT key = dbt_of(span_make(bytes, sizeof(bytes))), value;

		for (int i = 0; i < 4; i++)
			bytes[8 + i] = (char)(part >> (24 - 8 * i));
		if (part < new->count) {
			note_row(x, span_make(bytes, sizeof(bytes)), key_list_at(new, part));
			value = dbt_of(key_list_at(new, part));
			status = x->summaries->put(x->summaries, txn, &key, &value, 0);
		} else {
			zones_remove(&x->zones, id);
			status = x->summaries->del(x->summaries, txn, &key, 0);
			if (status == DB_NOTFOUND)
				status = 0;
		}
	}
	return status == 0 ? 0 : db_error(err, status, "changing summaries");
}

/* at: stands on the row where there is one, of old_len octets. */
static int
put_row(
    struct index *x, DB_TXN *txn, DBC *at, const struct index_change *c, size_t old_len, struct error *err)
{
	char id[8];
	DBT key = id_key(c->id, id), value;
	int status;

	if (c->row.ptr)
		compact_note(x, ROW_COST + c->row.len);
	else if (old_len > 0)
		compact_note_gone(x, ROW_COST + old_len);
	if (!c->row.ptr) {
		status = old_len > 0 ? at->del(at, 0) : 0;
		return status == 0 ? 0 : db_error(err, status, "removing a message");
	}
	buf_clear(&x->scratch);
	index_put_u64(&x->scratch, c->position);
	index_put_u64(&x->scratch, c->content_position);
	index_put_u64(&x->scratch, c->segment);
	if (buf_append_span(&x->scratch, c->row) < 0)
		return error_set(err, "index: a row is too large");
	value = dbt_of(buf_span(&x->scratch));
	status = old_len > 0 ? at->put(at, &key, &value, DB_CURRENT)
			     : x->messages->put(x->messages, txn, &key, &value, 0);
	return status == 0 ? 0 : db_error(err, status, "storing a message");
}

/* at: the transaction's cursor on messages, which finds a row once for what is read and what is written. */
static int
change_one(struct index *x, DB_TXN *txn, DBC *at, const struct index_change *c, struct error *err)
{
	struct derived old, new;
	struct index_row row;
	char id[8];
	DBT key = id_key(c->id, id), value;
	size_t old_len;
	int status;

	derived_init(&old);
	derived_init(&new);
	memset(&value, 0, sizeof(value));
	status = at->get(at, &key, &value, DB_SET);
	old_len = status == 0 ? value.size : 0;
	if (status != 0 && status != DB_NOTFOUND)
		status = db_error(err, status, "reading a message");
	else if (status == 0)
		status = index_decode_row(c->id, &value, &row) < 0 ? error_set(err, "index: a row is damaged")
								   : derive(x, NULL, &row, &old, err);
	else
		status = 0;
	if (status == 0 && c->row.ptr) {
		row = (struct index_row){c->id, c->position, c->content_position, c->segment, c->row};
		status = derive(x, txn, &row, &new, err);
	}
	if (status == 0)
		status = change_keys(x, txn, &old.keys, &new.keys, err);
	if (status == 0)
		status = change_summaries(x, txn, c->id, old.parts, &new.summaries, err);
	if (status == 0)
		status = put_row(x, txn, at, c, old_len, err);
	derived_free(&old);
	derived_free(&new);
	return status;
}

static int
change_all(struct index *x, DB_TXN *txn, const struct index_change *changes, size_t count, struct error *err)
{
	DBC *at;
	int status = x->messages->cursor(x->messages, txn, &at, 0);

	if (status != 0)
		return db_error(err, status, "opening a cursor");
	for (size_t i = 0; i < count && status == 0; i++)
		status = change_one(x, txn, at, &changes[i], err);
	if (at->close(at) != 0 && status == 0)
		status = error_set(err, "index: closing a cursor");
	return status;
}

/* It failed: what it brought is not there. */
static void
forget_transaction(struct index *x, uint32_t next_number)
{
	dictionary_forget(x, next_number);
	zones_forget(&x->zones);
}

int
index_apply(
    struct index *x, const struct index_change *changes, size_t count, uint64_t position, struct error *err)
{
	uint32_t next_number = x->next_number;
	DB_TXN *txn;
	int status;

	if (check_open(x, err) < 0)
		return -1;
	/* Not behind the transaction, for what is reported as failed must not be there. */
	if (index_trim_log(x, err) < 0)
		return -1;
	status = x->env->txn_begin(x->env, NULL, &txn, 0);
	if (status != 0)
		return db_error(err, status, "beginning a transaction");
	status = change_all(x, txn, changes, count, err);
	if (status == 0)
		status = index_put_meta(x, txn, position, err);
	if (status != 0) {
		txn->abort(txn);
		forget_transaction(x, next_number);
		return -1;
	}
	status = txn->commit(txn, 0);
	if (status != 0) {
		forget_transaction(x, next_number);
		return db_error(err, status, "committing");
	}
	x->position = position;
	x->sequence++;
	return 0;
}
