/*
 * writer_lmdb: an LMDB file, by the library.
 */
#include "config.h"

#ifdef HAVE_LMDB

#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/client_library.h"
#include "common/map/lmdbfile.h"
#include "common/map/writer.h"

enum {
	SIZE_LEAST = 16 << 20,
	SIZE_FACTOR = 8,
	PUTS_A_TRANSACTION = 100000,
	LMDB_KEY_MAX = 511 /* the longest key that the library takes */
};

#define LMDB_SYMBOLS(S)                                                                                      \
	S(mdb_env_create)                                                                                    \
	S(mdb_env_set_mapsize)                                                                               \
	S(mdb_env_open)                                                                                      \
	S(mdb_env_close)                                                                                     \
	S(mdb_env_sync)                                                                                      \
	S(mdb_txn_begin)                                                                                     \
	S(mdb_txn_commit)                                                                                    \
	S(mdb_txn_abort)                                                                                     \
	S(mdb_dbi_open)                                                                                      \
	S(mdb_put)                                                                                           \
	S(mdb_del)                                                                                           \
	S(mdb_strerror)
#define LMDB_MEMBER(function) __typeof__(function) *function;

static struct {
	LMDB_SYMBOLS(LMDB_MEMBER)
} lmdb_lib;

#define ROW(function) {#function, (void **)&lmdb_lib.function},
static const struct client_symbol symbols[] = {LMDB_SYMBOLS(ROW){NULL, NULL}};

struct file {
	char *path;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	unsigned puts;
};

static int
trouble(const struct file *f, int status, struct error *err)
{
	return error_set(err, "write %s: %s", f->path, lmdb_lib.mdb_strerror(status));
}

static int
lmdb_close(void *file, bool abandoned, struct error *err)
{
	struct file *f = file;
	int status = 0;

	if (f->txn != NULL && !abandoned)
		status = lmdb_lib.mdb_txn_commit(f->txn);
	else if (f->txn != NULL)
		lmdb_lib.mdb_txn_abort(f->txn);
	if (status == 0 && f->env != NULL && !abandoned)
		status = lmdb_lib.mdb_env_sync(f->env, 1);
	if (status != 0)
		(void)trouble(f, status, err);
	if (f->env != NULL)
		lmdb_lib.mdb_env_close(f->env);
	free(f->path);
	free(f);
	return status == 0 ? 0 : -1;
}

static bool
go_on(struct span key, struct span value, void *context)
{
	(void)key;
	(void)value;
	(void)context;
	return true;
}

/* The library maps the file and trusts it: one that was cut would end this program. */
static int
check_whole(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int result =
	    fd < 0 ? error_errno(err, "open database %s", path) : lmdbfile_each(fd, path, go_on, NULL, err);

	(void)io_close(&fd);
	return result;
}

static void *
lmdb_open(const char *path, const char *type, bool fresh, uint64_t source_bytes, struct error *err)
{
	struct stat st = {0};

	static int loaded;

	(void)type;
	if ((!fresh && check_whole(path, err) < 0) ||
	    client_library_load(LMDB_SONAME, symbols, &loaded, err) < 0)
		return NULL;
	(void)stat(path, &st);
	struct file *f = mem_alloc(sizeof(*f));
	f->path = mem_strdup(path);
	int status = lmdb_lib.mdb_env_create(&f->env);
	if (status == 0)
		status = lmdb_lib.mdb_env_set_mapsize(
		    f->env, SIZE_LEAST + SIZE_FACTOR * (size_t)source_bytes + 2 * (size_t)st.st_size);
	/* Nobody else sees the file: it is synced once, before it gets its name. */
	if (status == 0)
		status = lmdb_lib.mdb_env_open(f->env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600);
	if (status == 0)
		status = lmdb_lib.mdb_txn_begin(f->env, NULL, 0, &f->txn);
	if (status == 0)
		status = lmdb_lib.mdb_dbi_open(f->txn, NULL, 0, &f->dbi);
	if (status == 0)
		return f;
	(void)trouble(f, status, err);
	(void)lmdb_close(f, true, &(struct error){0});
	return NULL;
}

static MDB_val
val_of(struct span bytes)
{
	union {
		const char *in;
		void *out;
	} pointer = {.in = bytes.ptr};
	return (MDB_val){bytes.len, pointer.out};
}

static enum writer_result
lmdb_put(void *file, struct span key, struct span value, bool replace, struct error *err)
{
	struct file *f = file;
	MDB_val k = val_of(key), v = val_of(value);
	int status = 0;

	if (key.len > LMDB_KEY_MAX)
		return (enum writer_result)error_set(
		    err, "a key is longer than LMDB's %d octets: \"%.60s\"", LMDB_KEY_MAX, key.ptr);
	if (f->txn == NULL)
		status = lmdb_lib.mdb_txn_begin(f->env, NULL, 0, &f->txn);
	if (status == 0)
		status = lmdb_lib.mdb_put(f->txn, f->dbi, &k, &v, replace ? 0 : MDB_NOOVERWRITE);
	if (status == MDB_KEYEXIST)
		return WRITER_EXISTS;
	if (status == 0 && ++f->puts % PUTS_A_TRANSACTION == 0) {
		status = lmdb_lib.mdb_txn_commit(f->txn);
		f->txn = NULL;
	}
	return status == 0 ? WRITER_DONE : (enum writer_result)trouble(f, status, err);
}

static enum writer_result
lmdb_remove(void *file, struct span key, struct error *err)
{
	struct file *f = file;
	MDB_val k = val_of(key);

	if (key.len > LMDB_KEY_MAX)
		return WRITER_ABSENT;
	int status = lmdb_lib.mdb_del(f->txn, f->dbi, &k, NULL);
	if (status == MDB_NOTFOUND)
		return WRITER_ABSENT;
	return status == 0 ? WRITER_DONE : (enum writer_result)trouble(f, status, err);
}

const struct writer writer_lmdb = {"lmdb", ".lmdb", true, lmdb_open, lmdb_put, lmdb_remove, lmdb_close};

#endif
