#include "queue/index/index.h"

#include <db.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "queue/index/keys.h"

struct index {
	DB_ENV *env;
	DB *messages;
	DB *keys;
	DB *meta;
	uint64_t position;
	struct buf scratch;
	const char *dir; /* kept by reference */
	size_t cache_bytes, log_bytes;
	bool hidden;
};

enum { ROW_HEAD = 24, LOCKS = 20000 };

static const char meta_key[] = "state";

static int
db_error(struct error *err, int status, const char *what)
{
	error_set(err, "index: %s: %s", what, db_strerror(status));
	err->number = status > 0 ? status : 0;
	return -1;
}

static DBT
dbt_of(struct span s)
{
	DBT t;

	memset(&t, 0, sizeof(t));
	memcpy(&t.data, &s.ptr, sizeof(t.data)); /* Berkeley DB's interface lacks a const */
	t.size = (u_int32_t)s.len;
	return t;
}

static int
open_table(struct index *x, DB **db, const char *name, struct error *err)
{
	int status = db_create(db, x->env, 0);

	if (status != 0)
		return db_error(err, status, name);
	(*db)->set_errfile(*db, NULL);
	status = (*db)->open(*db, NULL, name, NULL, DB_BTREE, DB_CREATE | DB_AUTO_COMMIT, 0600);
	return status == 0 ? 0 : db_error(err, status, name);
}

/* The row of meta: version, position. */
static int
load_meta(struct index *x, struct error *err)
{
	DBT key = dbt_of(span_of(meta_key)), value;
	int status;

	memset(&value, 0, sizeof(value));
	status = x->meta->get(x->meta, NULL, &key, &value, 0);
	if (status == DB_NOTFOUND)
		return 0;
	if (status != 0)
		return db_error(err, status, "reading its state");
	if (value.size != 16 || index_get_u64(value.data) != INDEX_VERSION)
		return error_set(err, "index: another version");
	x->position = index_get_u64((const char *)value.data + 8);
	return 0;
}

static int
open_env(struct index *x, const char *dir, size_t cache_bytes, size_t log_bytes, struct error *err)
{
	int status = db_env_create(&x->env, 0);

	if (status != 0) {
		x->env = NULL;
		return db_error(err, status, "creating the environment");
	}
	x->env->set_errfile(x->env, NULL);
	x->env->set_cachesize(
	    x->env, (u_int32_t)(cache_bytes >> 30), (u_int32_t)(cache_bytes & 0x3fffffff), 1);
	x->env->set_lg_max(x->env, (u_int32_t)log_bytes);
	x->env->set_lg_bsize(x->env, (u_int32_t)log_bytes / 8);
	x->env->set_lk_max_locks(x->env, LOCKS);
	x->env->set_lk_max_objects(x->env, LOCKS);
	x->env->set_flags(x->env, DB_TXN_WRITE_NOSYNC, 1);
	x->env->log_set_config(x->env, DB_LOG_AUTO_REMOVE, 1);
	/* One thread at a time, one process: the regions are private memory, and nothing needs to wait for a lock. */
	status = x->env->open(x->env, dir,
	    DB_CREATE | DB_INIT_MPOOL | DB_INIT_TXN | DB_INIT_LOG | DB_RECOVER | DB_PRIVATE, 0600);
	return status == 0 ? 0 : db_error(err, status, "opening the environment");
}

static int
open_all(struct index *x, struct error *err)
{
	if (open_env(x, x->dir, x->cache_bytes, x->log_bytes, err) < 0 ||
	    open_table(x, &x->messages, "messages.db", err) < 0 ||
	    open_table(x, &x->keys, "keys.db", err) < 0 || open_table(x, &x->meta, "meta.db", err) < 0)
		return -1;
	return load_meta(x, err);
}

static void
close_all(struct index *x)
{
	if (x->messages)
		x->messages->close(x->messages, 0);
	if (x->keys)
		x->keys->close(x->keys, 0);
	if (x->meta)
		x->meta->close(x->meta, 0);
	if (x->env)
		x->env->close(x->env, 0);
	x->messages = x->keys = x->meta = NULL;
	x->env = NULL;
}

struct index *
index_new(const char *dir, size_t cache_bytes, size_t log_bytes)
{
	struct index *x = mem_alloc(sizeof(*x));

	buf_init(&x->scratch, 64 << 20);
	x->dir = dir;
	x->cache_bytes = cache_bytes;
	x->log_bytes = log_bytes;
	return x;
}

struct index *
index_open(const char *dir, size_t cache_bytes, size_t log_bytes, struct error *err)
{
	struct index *x = index_new(dir, cache_bytes, log_bytes);

	if (open_all(x, err) < 0)
		index_close(&x);
	return x;
}

void
index_hide(struct index *x, bool hidden)
{
	x->hidden = hidden;
}

int
index_reopen(struct index *x, struct error *err)
{
	close_all(x);
	x->position = 0;
	if (open_all(x, err) == 0)
		return 0;
	close_all(x);
	return -1;
}

void
index_close(struct index **x)
{
	struct index *gone = *x;

	*x = NULL;
	if (!gone)
		return;
	close_all(gone);
	buf_free(&gone->scratch);
	free(gone);
}

int
index_wipe(const char *dir, struct error *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int status = 0;

	if (!d)
		return error_errno(err, "opening %s", dir);
	while ((e = readdir(d))) {
		if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) < 0)
			status = error_errno(err, "removing %s/%s", dir, e->d_name);
	}
	closedir(d);
	return status;
}

uint64_t
index_position(const struct index *x)
{
	return x->position;
}

static int
decode_row(uint64_t id, const DBT *value, struct index_row *row)
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

static DBT
id_key(uint64_t id, char bytes[8])
{
	for (int i = 7; i >= 0; i--, id >>= 8)
		bytes[i] = (char)id;
	return dbt_of(span_make(bytes, 8));
}

/* It is closed after an error that it could not be opened again from. */
static int
check_open(const struct index *x, struct error *err)
{
	if (x->env)
		return 0;
	errno = ENOSPC;
	return error_errno(err, "index: not available");
}

/* ---- changing ---- */

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

static int
put_row(struct index *x, DB_TXN *txn, const struct index_change *c, struct error *err)
{
	char id[8];
	DBT key = id_key(c->id, id), value;
	int status;

	if (!c->row.ptr) {
		status = x->messages->del(x->messages, txn, &key, 0);
		return status == 0 || status == DB_NOTFOUND ? 0 : db_error(err, status, "removing a message");
	}
	buf_clear(&x->scratch);
	index_put_u64(&x->scratch, c->position);
	index_put_u64(&x->scratch, c->content_position);
	index_put_u64(&x->scratch, c->segment);
	if (buf_append_span(&x->scratch, c->row) < 0)
		return error_set(err, "index: a row is too large");
	value = dbt_of(buf_span(&x->scratch));
	status = x->messages->put(x->messages, txn, &key, &value, 0);
	return status == 0 ? 0 : db_error(err, status, "storing a message");
}

static int
change_one(struct index *x, DB_TXN *txn, const struct index_change *c, struct error *err)
{
	struct key_list old, new;
	struct index_row row;
	char id[8];
	DBT key = id_key(c->id, id), value;
	int status;

	key_list_init(&old);
	key_list_init(&new);
	memset(&value, 0, sizeof(value));
	status = x->messages->get(x->messages, txn, &key, &value, 0);
	if (status != 0 && status != DB_NOTFOUND)
		status = db_error(err, status, "reading a message");
	else if (status == 0)
		status = decode_row(c->id, &value, &row) < 0 ? error_set(err, "index: a row is damaged")
							     : index_keys_of(&row, &old, err);
	else
		status = 0;
	if (status == 0 && c->row.ptr) {
		row = (struct index_row){c->id, c->position, c->content_position, c->segment, c->row};
		status = index_keys_of(&row, &new, err);
	}
	if (status == 0)
		status = change_keys(x, txn, &old, &new, err);
	if (status == 0)
		status = put_row(x, txn, c, err);
	key_list_free(&old);
	key_list_free(&new);
	return status;
}

static int
put_meta(struct index *x, DB_TXN *txn, uint64_t position, struct error *err)
{
	DBT key = dbt_of(span_of(meta_key)), value;
	int status;

	buf_clear(&x->scratch);
	index_put_u64(&x->scratch, INDEX_VERSION);
	index_put_u64(&x->scratch, position);
	value = dbt_of(buf_span(&x->scratch));
	status = x->meta->put(x->meta, txn, &key, &value, 0);
	return status == 0 ? 0 : db_error(err, status, "storing its state");
}

int
index_apply(
    struct index *x, const struct index_change *changes, size_t count, uint64_t position, struct error *err)
{
	DB_TXN *txn;
	int status;

	if (check_open(x, err) < 0)
		return -1;
	status = x->env->txn_begin(x->env, NULL, &txn, 0);
	if (status != 0)
		return db_error(err, status, "beginning a transaction");
	for (size_t i = 0; i < count && status == 0; i++)
		status = change_one(x, txn, &changes[i], err);
	if (status == 0)
		status = put_meta(x, txn, position, err);
	if (status != 0) {
		txn->abort(txn);
		return -1;
	}
	status = txn->commit(txn, 0);
	if (status != 0)
		return db_error(err, status, "committing");
	x->position = position;
	/* By octets of log: the call does nothing before that much was written. */
	status = x->env->txn_checkpoint(x->env, 4096, 0, 0);
	return status == 0 ? 0 : db_error(err, status, "checkpoint");
}

int
index_checkpoint(struct index *x, struct error *err)
{
	int status;

	if (check_open(x, err) < 0)
		return -1;
	status = x->env->txn_checkpoint(x->env, 0, 0, DB_FORCE);
	return status == 0 ? 0 : db_error(err, status, "checkpoint");
}

/* ---- reading ---- */

int
index_load(struct index *x, uint64_t id, struct buf *out, struct index_row *row, struct error *err)
{
	char bytes[8];
	DBT key = id_key(id, bytes), value;
	int status;

	if (check_open(x, err) < 0)
		return -1;
	if (x->hidden)
		return 0;
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
	return decode_row(id, &value, row) < 0 ? error_set(err, "index: a row is damaged") : 1;
}

int
index_each(struct index *x, uint64_t after, index_visit *visit, void *context, struct error *err)
{
	char bytes[8];
	DBT key = id_key(after + 1, bytes), value;
	DBC *cursor;
	int status;

	if (check_open(x, err) < 0)
		return -1;
	if (x->hidden)
		return 0;
	status = x->messages->cursor(x->messages, NULL, &cursor, 0);
	if (status != 0)
		return db_error(err, status, "opening a cursor");
	memset(&value, 0, sizeof(value));
	status = cursor->get(cursor, &key, &value, DB_SET_RANGE);
	while (status == 0) {
		struct index_row row;

		if (key.size != 8 || decode_row(index_get_u64(key.data), &value, &row) < 0) {
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

	if (check_open(x, err) < 0)
		return -1;
	if (x->hidden)
		return 0;
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
	index_visit_id *visit_id;
	index_visit_hop *visit_hop;
	index_visit_due *visit_due;
	size_t prefix_len;
	void *context;
};

static bool
step_id(struct span key, struct buf *from, bool *seek, void *context)
{
	struct key_walk *w = context;

	(void)from;
	(void)seek;
	if (key.len != w->prefix_len + 8)
		return true;
	return w->visit_id(index_get_u64(key.ptr + key.len - 8), w->context);
}

int
index_each_key(struct index *x, enum index_key kind, struct span text, uint64_t after, index_visit_id *visit,
    void *context, struct error *err)
{
	struct key_walk w = {.visit_id = visit, .context = context};
	struct buf prefix, from;
	int status;

	buf_init(&prefix, 4096);
	buf_init(&from, 4096);
	index_key_prefix(&prefix, kind, text);
	w.prefix_len = prefix.len;
	buf_append_span(&from, buf_span(&prefix));
	index_put_u64(&from, after + 1);
	status = each_key(x, buf_span(&prefix), &from, step_id, &w, err);
	buf_free(&prefix);
	buf_free(&from);
	return status;
}

/* Over to the next hop: its keys come after all with this one's NUL. */
static bool
step_hop(struct span key, struct buf *from, bool *seek, void *context)
{
	struct key_walk *w = context;
	struct span hop;

	if (key.len < 1 + 1 + 16)
		return true;
	hop = span_sub(key, 1, key.len - 1 - 1 - 16);
	if (!w->visit_hop(hop, (int64_t)index_get_u64(key.ptr + key.len - 16), w->context))
		return false;
	buf_clear(from);
	buf_append_span(from, span_sub(key, 0, 1 + hop.len));
	buf_append(from, "\1", 1);
	*seek = true;
	return true;
}

int
index_each_hop(struct index *x, index_visit_hop *visit, void *context, struct error *err)
{
	struct key_walk w = {.visit_hop = visit, .context = context};
	char kind = INDEX_DUE;
	struct buf from;
	int status;

	buf_init(&from, 4096);
	buf_append(&from, &kind, 1);
	status = each_key(x, span_make(&kind, 1), &from, step_hop, &w, err);
	buf_free(&from);
	return status;
}

static bool
step_due(struct span key, struct buf *from, bool *seek, void *context)
{
	struct key_walk *w = context;

	(void)from;
	(void)seek;
	if (key.len != w->prefix_len + 16)
		return true;
	return w->visit_due(
	    index_get_u64(key.ptr + key.len - 8), (int64_t)index_get_u64(key.ptr + key.len - 16), w->context);
}

int
index_each_due(struct index *x, struct span hop, index_visit_due *visit, void *context, struct error *err)
{
	struct key_walk w = {.visit_due = visit, .context = context};
	struct buf prefix, from;
	int status;

	buf_init(&prefix, 4096);
	buf_init(&from, 4096);
	index_key_prefix(&prefix, INDEX_DUE, hop);
	w.prefix_len = prefix.len;
	buf_append_span(&from, buf_span(&prefix));
	status = each_key(x, buf_span(&prefix), &from, step_due, &w, err);
	buf_free(&prefix);
	buf_free(&from);
	return status;
}
