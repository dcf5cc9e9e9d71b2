/*
 * lmdb: OpenLDAP's memory-mapped tables: lmdb_table(5), files with ".lmdb".
 *
 * The library trusts its files and maps them, so a file that was cut short would end the process: before each search
 * it is looked whether the file is as it was when it was opened. One that took its place by rename() is map.c's affair.
 */
#include "config.h"

#ifdef HAVE_LMDB

#include "common/map/lmdb.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/map/client_library.h"
#include "common/map/kinds.h"
#include "common/map/source_age.h"

struct lmdb_functions lmdb_lib;

#define ROW(function) {#function, (void **)&lmdb_lib.function},
static const struct client_symbol symbols[] = {LMDB_SYMBOLS(ROW){NULL, NULL}};

struct lmdb {
	const char *path;
	MDB_env *env;
	MDB_txn *txn; /* at rest between searches */
	MDB_dbi dbi;
	int fd; /* the library's */
	struct stat seen;
	int with_nul; /* keys end in NUL: 1 yes, 0 no, -1 not yet known */
};

int
lmdb_load(struct error *err)
{
	static int loaded;
	return client_library_load(LMDB_SONAME, symbols, &loaded, err);
}

static int
trouble(const struct lmdb *l, int status, struct error *err)
{
	return error_set(err, "open database %s: %s", l->path, lmdb_lib.mdb_strerror(status));
}

static void
env_close(struct lmdb *l)
{
	if (l->txn != NULL)
		lmdb_lib.mdb_txn_abort(l->txn);
	if (l->env != NULL)
		lmdb_lib.mdb_env_close(l->env);
	l->txn = NULL;
	l->env = NULL;
}

/* Searches go to any place of the file: what lies beside it need not be read with it. */
enum { ENV_FLAGS = MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NORDAHEAD };

static int
env_open(struct lmdb *l, struct error *err)
{
	MDB_txn *txn = NULL;

	if (stat(l->path, &l->seen) < 0)
		return error_errno(err, "open database %s", l->path);
	if (!S_ISREG(l->seen.st_mode) || l->seen.st_size < 8192)
		return error_set(err, "open database %s: not an LMDB file, or cut short", l->path);
	int status = lmdb_lib.mdb_env_create(&l->env);
	if (status == 0)
		status = lmdb_lib.mdb_env_open(l->env, l->path, ENV_FLAGS, 0);
	if (status == 0)
		status = lmdb_lib.mdb_env_get_fd(l->env, &l->fd);
	if (status == 0)
		status = lmdb_lib.mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (status == 0) {
		status = lmdb_lib.mdb_dbi_open(txn, NULL, 0, &l->dbi);
		(void)lmdb_lib.mdb_txn_commit(txn);
	}
	if (status == 0)
		status = lmdb_lib.mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->txn);
	if (status == 0) {
		lmdb_lib.mdb_txn_reset(l->txn);
		return 0;
	}
	(void)trouble(l, status, err);
	env_close(l);
	return -1;
}

static int
make_fresh(struct lmdb *l, struct error *err)
{
	struct stat now;

	if (l->env != NULL && fstat(l->fd, &now) == 0 && now.st_ino == l->seen.st_ino &&
	    now.st_size == l->seen.st_size && now.st_mtim.tv_sec == l->seen.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == l->seen.st_mtim.tv_nsec)
		return 0;
	env_close(l);
	return env_open(l, err);
}

static int
get(struct lmdb *l, const char *key, size_t len, MDB_val *value)
{
	char copy[LMDB_KEY_MAX];

	if (len > sizeof(copy))
		return MDB_NOTFOUND;
	memcpy(copy, key, len);
	MDB_val k = {len, copy};
	return lmdb_lib.mdb_get(l->txn, l->dbi, &k, value);
}

static enum lookup_status
lmdb_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct lmdb *l = table;
	char with_nul[MAP_KEY_MAX + 1];
	MDB_val value;

	if (make_fresh(l, err) < 0)
		return LOOKUP_TEMPORARY;
	memcpy(with_nul, key.ptr, key.len);
	with_nul[key.len] = '\0';
	int status = lmdb_lib.mdb_txn_renew(l->txn);
	if (status != 0) {
		(void)trouble(l, status, err);
		return LOOKUP_TEMPORARY;
	}
	status = MDB_NOTFOUND;
	if (l->with_nul != 0) {
		status = get(l, with_nul, key.len + 1, &value);
		l->with_nul = status == 0 ? 1 : l->with_nul;
	}
	if (status == MDB_NOTFOUND && l->with_nul != 1) {
		status = get(l, with_nul, key.len, &value);
		l->with_nul = status == 0 ? 0 : l->with_nul;
	}
	if (status == 0)
		(void)buf_append(hit->value, value.mv_data, strnlen(value.mv_data, value.mv_size));
	lmdb_lib.mdb_txn_reset(l->txn);
	if (status != 0 && status != MDB_NOTFOUND) {
		(void)trouble(l, status, err);
		return LOOKUP_TEMPORARY;
	}
	return status == 0 ? LOOKUP_FOUND : LOOKUP_NOT_FOUND;
}

static int
lmdb_each(void *table, map_visit *visit, void *context, struct error *err)
{
	struct lmdb *l = table;
	MDB_cursor *cursor = NULL;
	MDB_txn *txn = NULL;
	MDB_val k, v;

	if (make_fresh(l, err) < 0)
		return -1;
	int status = lmdb_lib.mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (status == 0)
		status = lmdb_lib.mdb_cursor_open(txn, l->dbi, &cursor);
	while (status == 0 && (status = lmdb_lib.mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0)
		if (!visit(span_make(k.mv_data, strnlen(k.mv_data, k.mv_size)),
			span_make(v.mv_data, strnlen(v.mv_data, v.mv_size)), context))
			break;
	if (cursor != NULL)
		lmdb_lib.mdb_cursor_close(cursor);
	if (txn != NULL)
		lmdb_lib.mdb_txn_abort(txn);
	return status == 0 || status == MDB_NOTFOUND ? 0 : trouble(l, status, err);
}

static void
lmdb_close(void *table)
{
	struct lmdb *l = table;

	env_close(l);
	free(l);
}

static void *
lmdb_open(const struct map_input *in, struct error *err)
{
	if (lmdb_load(err) < 0)
		return NULL;
	struct lmdb *l = mem_alloc(sizeof(*l));
	l->path = in->path;
	l->with_nul = -1;
	if (env_open(l, err) < 0) {
		lmdb_close(l);
		return NULL;
	}
	source_age_check(in, l->seen.st_mtime);
	return l;
}

const struct map_kind map_kind_lmdb = {
    .name = "lmdb",
    .suffix = ".lmdb",
    .needs = MAP_LIBRARY_LMDB,
    .open = lmdb_open,
    .lookup = lmdb_lookup,
    .close = lmdb_close,
    .each = lmdb_each,
    .preload = lmdb_load,
};

#endif
