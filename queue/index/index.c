#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "queue/index/dictionary.h"
#include "queue/index/durable.h"
#include "queue/index/index_db.h"
#include "queue/index/keys.h"
#include "queue/index/sweep.h"
#include "queue/index/zones.h"

/*
 * Changes lie all over the keys: with few of them between checkpoints nearly each takes a page that is written again.
 * More are more to recover after a crash.
 */
enum { CHECKPOINT_KB = 4096, CHECKPOINT_LOGS = 12 };

enum {
	LOCKS = 20000,
	KEY_MAX = 64,
	META_SIZE = 8 + 8 + 4 + INDEX_SALT_SIZE + 8,
	MEMORY_CACHE = 512 << 20,
	MEMORY_LOG = 8 << 20,
	PAGE_LARGE = 16384,
	PAGE_SMALL = 8192
};

static const char meta_key[] = "state";

int
db_error(struct error *err, int status, const char *what)
{
	error_set(err, "index: %s: %s", what, db_strerror(status));
	err->number = status > 0 ? status : 0;
	return -1;
}

DBT
dbt_of(struct span s)
{
	DBT t;

	memset(&t, 0, sizeof(t));
	memcpy(&t.data, &s.ptr, sizeof(t.data)); /* Berkeley DB's interface lacks a const */
	t.size = (u_int32_t)s.len;
	return t;
}

static int
open_table(struct index *x, DB **db, const char *name, u_int32_t page, u_int32_t create, struct error *err)
{
	int status = db_create(db, x->env, 0);

	if (status != 0)
		return db_error(err, status, name);
	(*db)->set_errfile(*db, NULL);
	(*db)->set_pagesize(*db, page);
	/* A page that a power cut tore is known for what it is, and the index rebuilt. */
	(*db)->set_flags(*db, DB_CHKSUM);
	status = (*db)->open(*db, NULL, x->in_memory ? NULL : name, x->in_memory ? name : NULL, DB_BTREE,
	    create | DB_AUTO_COMMIT, 0600);
	return status == 0 ? 0 : db_error(err, status, name);
}

/* The row of meta: version, position, next number, salt, sequence. 0: there is none yet. */
static int
load_meta(struct index *x, struct error *err)
{
	DBT key = dbt_of(span_of(meta_key)), value;
	const char *p;
	int status;

	memset(&value, 0, sizeof(value));
	status = x->meta->get(x->meta, NULL, &key, &value, 0);
	x->position = x->sequence = x->swept_next = x->swept_live = 0;
	dictionary_forget(x, 1);
	if (status == DB_NOTFOUND) {
		if (getrandom(x->salt, sizeof(x->salt), 0) != sizeof(x->salt))
			panic("getrandom");
		return 0;
	}
	if (status != 0)
		return db_error(err, status, "reading its state");
	p = value.data;
	if (value.size != META_SIZE || index_get_u64(p) != INDEX_VERSION || index_get_u32(p + 16) == 0)
		return error_set(err, "index: another version");
	x->position = index_get_u64(p + 8);
	dictionary_forget(x, index_get_u32(p + 16));
	memcpy(x->salt, p + 20, sizeof(x->salt));
	x->sequence = index_get_u64(p + 20 + sizeof(x->salt));
	return 1;
}

int
index_put_meta(struct index *x, DB_TXN *txn, uint64_t position, struct error *err)
{
	DBT key = dbt_of(span_of(meta_key)), value;
	int status;

	buf_clear(&x->scratch);
	index_put_u64(&x->scratch, INDEX_VERSION);
	index_put_u64(&x->scratch, position);
	index_put_u32(&x->scratch, x->next_number);
	buf_append(&x->scratch, x->salt, sizeof(x->salt));
	index_put_u64(&x->scratch, x->sequence + 1);
	value = dbt_of(buf_span(&x->scratch));
	status = x->meta->put(x->meta, txn, &key, &value, 0);
	return status == 0 ? 0 : db_error(err, status, "storing its state");
}

static int
open_env(struct index *x, struct error *err)
{
	size_t cache_bytes = x->in_memory ? MEMORY_CACHE : x->cache_bytes;
	size_t log_bytes = x->in_memory ? MEMORY_LOG : x->log_bytes;
	int status;

	index_durable_names();
	if (!x->in_memory && index_durable_content(x->dir, err) < 0)
		return -1;
	status = db_env_create(&x->env, 0);
	if (status != 0) {
		x->env = NULL;
		return db_error(err, status, "creating the environment");
	}
	x->env->set_errfile(x->env, NULL);
	/* Berkeley DB makes a quarter more of it. */
	cache_bytes = cache_bytes / 5 * 4;
	x->env->set_cachesize(
	    x->env, (u_int32_t)(cache_bytes >> 30), (u_int32_t)(cache_bytes & 0x3fffffff), 1);
	x->env->set_lg_max(x->env, (u_int32_t)log_bytes);
	/* In memory its log is all in the buffer. */
	x->env->set_lg_bsize(x->env, (u_int32_t)(x->in_memory ? log_bytes * 4 : log_bytes / 8));
	x->env->set_lk_max_locks(x->env, LOCKS);
	x->env->set_lk_max_objects(x->env, LOCKS);
	x->env->set_flags(x->env, DB_TXN_WRITE_NOSYNC, 1);
	x->env->log_set_config(x->env, x->in_memory ? DB_LOG_IN_MEMORY : DB_LOG_AUTO_REMOVE, 1);
	/* One thread at a time, one process: the regions are private memory, and nothing needs to wait for a lock. */
	status = x->env->open(x->env, x->in_memory ? NULL : x->dir,
	    DB_CREATE | DB_INIT_MPOOL | DB_INIT_TXN | DB_INIT_LOG | DB_PRIVATE |
		(x->in_memory ? 0 : DB_RECOVER),
	    0600);
	return status == 0 ? 0 : db_error(err, status, "opening the environment");
}

static int
open_all(struct index *x, struct error *err)
{
	u_int32_t create;
	int known;

	if (open_env(x, err) < 0 || open_table(x, &x->meta, "meta.db", PAGE_SMALL, DB_CREATE, err) < 0 ||
	    (known = load_meta(x, err)) < 0)
		return -1;
	/* A table that has gone missing is not made anew beside the others: rows would point into nothing. */
	create = known ? 0 : DB_CREATE;
	if (open_table(x, &x->messages, "messages.db", PAGE_LARGE, create, err) < 0 ||
	    open_table(x, &x->summaries, "summaries.db", PAGE_LARGE, create, err) < 0 ||
	    open_table(x, &x->keys, "keys.db", PAGE_SMALL, create, err) < 0 ||
	    open_table(x, &x->texts, "texts.db", PAGE_SMALL, create, err) < 0)
		return -1;
	return 0;
}

static void
close_all(struct index *x)
{
	DB **tables[] = {&x->messages, &x->summaries, &x->keys, &x->texts, &x->meta};

	sweep_stop(x);
	x->compacting = false;
	zones_forget(&x->zones);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (*tables[i])
			(*tables[i])->close(*tables[i], 0);
		*tables[i] = NULL;
	}
	if (x->env)
		x->env->close(x->env, 0);
	x->env = NULL;
}

struct index *
index_new(const char *dir, size_t cache_bytes, size_t log_bytes)
{
	struct index *x = mem_alloc(sizeof(*x));

	buf_init(&x->scratch, 64 << 20);
	buf_init(&x->compact_from, KEY_MAX);
	buf_init(&x->compact_to, KEY_MAX);
	x->dir = dir;
	x->cache_bytes = cache_bytes;
	x->log_bytes = log_bytes;
	x->hidden = true;
	zones_init(&x->zones, ZONE_ROWS);
	return x;
}

struct index *
index_open(const char *dir, size_t cache_bytes, size_t log_bytes, struct error *err)
{
	struct index *x = index_new(dir, cache_bytes, log_bytes);

	x->hidden = false;
	if (open_all(x, err) < 0)
		index_close(&x);
	return x;
}

void
index_hide(struct index *x, bool hidden)
{
	x->hidden = hidden;
}

void
index_in_memory(struct index *x)
{
	x->in_memory = true;
}

void
index_busy(struct index *x, bool busy)
{
	x->busy = busy;
}

int
index_reopen(struct index *x, struct error *err)
{
	uint64_t known = x->sequence;
	int status;

	close_all(x);
	x->position = 0;
	status = open_all(x, err);
	if (status == 0 && x->sequence < known)
		status = error_set(err, "index: its latest changes are lost");
	if (status == 0)
		return 0;
	x->sequence = known;
	close_all(x);
	x->why = err->number;
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
	zones_fini(&gone->zones);
	buf_free(&gone->scratch);
	buf_free(&gone->compact_from);
	buf_free(&gone->compact_to);
	free(gone->bulk);
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
		if (e->d_name[0] == '.' || unlinkat(dirfd(d), e->d_name, 0) == 0)
			continue;
		if (errno != EISDIR)
			status = error_errno(err, "removing %s/%s", dir, e->d_name);
		else /* lost+found of a disk of its own stays */
			(void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
	return status;
}

int
index_renew(struct index *x, struct error *err)
{
	close_all(x);
	x->position = 0;
	if (!x->in_memory && index_wipe(x->dir, err) < 0)
		return -1;
	if (open_all(x, err) == 0)
		return 0;
	close_all(x);
	x->why = err->number;
	return -1;
}

uint64_t
index_position(const struct index *x)
{
	return x->position;
}

int
check_open(const struct index *x, struct error *err)
{
	if (x->env)
		return 0;
	errno = x->why;
	if (errno > 0)
		return error_errno(err, "index: not available");
	error_set(err, "index: not available");
	err->number = ENOSPC; /* it may pass */
	return -1;
}

int
index_trim_log(struct index *x, struct error *err)
{
	size_t kilobytes = CHECKPOINT_LOGS * x->log_bytes / 1024;
	int status;

	if (kilobytes < CHECKPOINT_KB)
		kilobytes = CHECKPOINT_KB;
	status = x->env->txn_checkpoint(x->env, (u_int32_t)kilobytes, 0, 0);
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
