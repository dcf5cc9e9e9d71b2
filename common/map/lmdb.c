/*
 * lmdb: OpenLDAP's memory-mapped tables: lmdb_table(5), files with ".lmdb". They are read by lmdbfile.c and written by the
 * library (writer_lmdb.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/kinds.h"
#include "common/map/lmdbfile.h"
#include "common/map/source_age.h"

enum { CACHE_BYTES_LOOP = 128 << 20, SIZE_LEAST = 8192 };

struct lmdb {
	const char *path;
	const int *given; /* while it is opened: what to read instead; NULL: what has that path */
	uint64_t cache_bytes;
	struct lmdbfile *file; /* NULL: there was trouble with it, it is opened anew */
	time_t modified; /* when it was opened */
	int with_nul; /* keys end in NUL: 1 yes, 0 no, -1 not yet known */
};

static int
file_open(struct lmdb *l, struct error *err)
{
	struct stat st;

	int fd = l->given ? fcntl(*l->given, F_DUPFD_CLOEXEC, 0)
			  : open(l->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_errno(err, "open database %s", l->path);
		(void)io_close(&fd);
		return -1;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < SIZE_LEAST) {
		(void)io_close(&fd);
		return error_set(err, "open database %s: not an LMDB file, or cut short", l->path);
	}
	l->modified = st.st_mtime;
	l->file = lmdbfile_open(fd, l->path, l->cache_bytes);
	return 0;
}

static enum lookup_status
lmdb_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct lmdb *l = table;
	char with_nul[MAP_KEY_MAX + 1];
	int got = 0;

	if (l->file == NULL && file_open(l, err) < 0)
		return LOOKUP_TEMPORARY;
	memcpy(with_nul, key.ptr, key.len);
	with_nul[key.len] = '\0';
	if (l->with_nul != 0) {
		got = lmdbfile_find(l->file, span_make(with_nul, key.len + 1), hit->value, err);
		l->with_nul = got == 1 ? 1 : l->with_nul;
	}
	if (got == 0 && l->with_nul != 1) {
		got = lmdbfile_find(l->file, key, hit->value, err);
		l->with_nul = got == 1 ? 0 : l->with_nul;
	}
	if (got < 0)
		lmdbfile_close(&l->file);
	return got < 0 ? LOOKUP_TEMPORARY : got == 1 ? LOOKUP_FOUND : LOOKUP_NOT_FOUND;
}

static int
lmdb_each(void *table, map_visit *visit, void *context, struct error *err)
{
	struct lmdb *l = table;

	if (l->file == NULL && file_open(l, err) < 0)
		return -1;
	return lmdbfile_list(l->file, visit, context, err);
}

static void
lmdb_close(void *table)
{
	struct lmdb *l = table;

	lmdbfile_close(&l->file);
	free(l);
}

static void *
lmdb_open(const struct map_input *in, struct error *err)
{
	struct lmdb *l = mem_alloc(sizeof(*l));

	l->path = in->path;
	l->given = in->fd;
	l->cache_bytes = in->would_block ? CACHE_BYTES_LOOP : 0;
	l->with_nul = -1;
	if (file_open(l, err) < 0) {
		lmdb_close(l);
		return NULL;
	}
	l->given = NULL; /* it is the caller's */
	source_age_check(in, l->modified);
	return l;
}

const struct map_kind map_kind_lmdb = {
    .name = "lmdb",
    .suffix = ".lmdb",
    .open = lmdb_open,
    .lookup = lmdb_lookup,
    .close = lmdb_close,
    .each = lmdb_each,
};
