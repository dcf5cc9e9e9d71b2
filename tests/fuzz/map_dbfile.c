/* .db, .cdb and .lmdb files: the input is one. All readers see it. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/map/dbfile.h"
#include "common/map/lmdbfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
say_nothing(const char *file, unsigned line, const char *text, void *context)
{
	(void)file;
	(void)line;
	(void)text;
	(void)context;
}

static bool
count_entry(struct span key, struct span value, void *context)
{
	*(size_t *)context += key.len + value.len;
	return true;
}

static void
read_as(const char *path, enum dbfile_type type)
{
	const struct map_input in = {.name = "", .path = path, .complain = say_nothing};
	struct error err = {0};
	struct buf value;
	size_t total = 0;

	struct dbfile *f = dbfile_open(&in, type, &err);
	if (f == NULL)
		return;
	buf_init(&value, MAP_VALUE_MAX);
	struct map_hit hit = {.value = &value};
	(void)dbfile_lookup(f, SPAN_LIT("a"), &hit, &err);
	(void)dbfile_lookup(f, SPAN_LIT("user@example.com"), &hit, &err);
	(void)dbfile_each(f, count_entry, &total, &err);
	buf_free(&value);
	dbfile_close(f);
}

static void
read_cdb(const char *path)
{
	const struct map_input in = {.name = "", .path = path, .complain = say_nothing};
	struct error err = {0};
	struct buf value;
	size_t total = 0;

	void *table = map_kind_cdb.open(&in, &err);
	if (table == NULL)
		return;
	buf_init(&value, MAP_VALUE_MAX);
	struct map_hit hit = {.value = &value};
	(void)map_kind_cdb.lookup(table, SPAN_LIT("a"), &hit, &err);
	(void)map_kind_cdb.lookup(table, SPAN_LIT("user@example.com"), &hit, &err);
	(void)map_kind_cdb.each(table, count_entry, &total, &err);
	buf_free(&value);
	map_kind_cdb.close(table);
}

static void
find_in_lmdb(int fd, const char *path)
{
	struct lmdbfile *f = lmdbfile_open(dup(fd), path, 1 << 20);
	struct error err;
	struct buf value;

	buf_init(&value, MAP_VALUE_MAX);
	(void)lmdbfile_find(f, SPAN_LIT("a"), &value, &err);
	(void)lmdbfile_find(f, SPAN_LIT("user@example.com"), &value, &err);
	buf_free(&value);
	lmdbfile_close(&f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct error ignored;
	size_t total = 0;
	char path[64];

	if (fd < 0)
		fd = memfd_create("db", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || io_pwrite_all(fd, data, size, 0) < 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_as(path, DBFILE_HASH);
	read_as(path, DBFILE_BTREE);
	read_cdb(path);
	(void)lmdbfile_each(fd, path, count_entry, &total, &ignored);
	find_in_lmdb(fd, path);
	return 0;
}
