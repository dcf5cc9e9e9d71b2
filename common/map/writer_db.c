/*
 * writer_db: hash and btree files, by Berkeley DB itself.
 */
#include <db.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/map/writer.h"

enum { CACHE_BYTES = 64 << 20, BUCKETS_HINT = 4096 };

struct file {
	DB *db;
	char *path;
};

static int
trouble(const struct file *f, int status, const char *what, struct error *err)
{
	return error_set(err, "%s %s: %s", what, f->path, db_strerror(status));
}

static int
db_close(void *file, bool abandoned, struct error *err)
{
	struct file *f = file;
	int status = f->db != NULL ? f->db->close(f->db, abandoned ? DB_NOSYNC : 0) : 0;

	if (status != 0 && !abandoned)
		(void)trouble(f, status, "write", err);
	free(f->path);
	free(f);
	return status == 0 || abandoned ? 0 : -1;
}

static void *
db_open(const char *path, const char *type, bool fresh, uint64_t source_bytes, struct error *err)
{
	DBTYPE kind = strcmp(type, "hash") == 0 ? DB_HASH : DB_BTREE;
	struct file *f = mem_alloc(sizeof(*f));

	(void)source_bytes;
	f->path = mem_strdup(path);
	int status = db_create(&f->db, NULL, 0);
	if (status == 0) {
		f->db->set_errfile(f->db, NULL);
		(void)f->db->set_cachesize(f->db, 0, CACHE_BYTES, 0);
		if (kind == DB_HASH)
			(void)f->db->set_h_nelem(f->db, BUCKETS_HINT);
		status =
		    f->db->open(f->db, NULL, path, NULL, kind, fresh ? DB_CREATE | DB_TRUNCATE : 0, 0600);
	}
	if (status == 0)
		return f;
	(void)trouble(f, status, "open", err);
	(void)db_close(f, true, err);
	return NULL;
}

static DBT
dbt_of(struct span bytes)
{
	union {
		const char *in;
		void *out;
	} pointer = {.in = bytes.ptr};
	return (DBT){.data = pointer.out, .size = (u_int32_t)bytes.len};
}

static enum writer_result
db_put(void *file, struct span key, struct span value, bool replace, struct error *err)
{
	struct file *f = file;
	DBT k = dbt_of(key), v = dbt_of(value);

	int status = f->db->put(f->db, NULL, &k, &v, replace ? 0 : DB_NOOVERWRITE);
	if (status == DB_KEYEXIST)
		return WRITER_EXISTS;
	return status == 0 ? WRITER_DONE : (enum writer_result)trouble(f, status, "write", err);
}

static enum writer_result
db_remove(void *file, struct span key, struct error *err)
{
	struct file *f = file;
	DBT k = dbt_of(key);

	int status = f->db->del(f->db, NULL, &k, 0);
	if (status == DB_NOTFOUND)
		return WRITER_ABSENT;
	return status == 0 ? WRITER_DONE : (enum writer_result)trouble(f, status, "write", err);
}

const struct writer writer_hash = {"hash", ".db", true, db_open, db_put, db_remove, db_close};
const struct writer writer_btree = {"btree", ".db", true, db_open, db_put, db_remove, db_close};
