/*
 * writer_cdb: entries are gathered in memory and written in one go, in the order in which they came.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/octets.h"
#include "common/base/table.h"
#include "common/map/cdb.h"
#include "common/map/writer.h"

enum { ENTRIES_MAX = 50000000, TABLES = 256 };

struct entry {
	uint32_t hash, key_len, value_len, at;
	char bytes[]; /* key, value */
};

struct file {
	char *path;
	struct entry **entries;
	size_t count, room;
	struct table *index; /* by key: number of the entry + 1, as a pointer */
	FILE *stream;
	uint64_t at;
};

static void *
cdb_open(const char *path, const char *type, bool fresh, uint64_t source_bytes, struct error *err)
{
	struct file *f = mem_alloc(sizeof(*f));

	(void)type;
	(void)fresh;
	(void)source_bytes;
	(void)err;
	f->path = mem_strdup(path);
	f->index = table_new(ENTRIES_MAX, NULL);
	return f;
}

static enum writer_result
cdb_put(void *file, struct span key, struct span value, bool replace, struct error *err)
{
	struct file *f = file;
	size_t number = (size_t)(uintptr_t)table_get(f->index, key);

	if (number != 0 && !replace)
		return WRITER_EXISTS;
	if (f->count == f->room) {
		f->room = f->room == 0 ? 1024 : f->room * 2;
		f->entries = mem_resize(f->entries, f->room * sizeof(f->entries[0]));
	}
	if (number == 0) {
		number = ++f->count;
		f->entries[number - 1] = NULL;
		if (table_put(f->index, key, (void *)(uintptr_t)number) < 0)
			return (enum writer_result)error_set(err, "too many entries for a cdb file");
	}
	struct entry *e = mem_alloc(sizeof(*e) + key.len + value.len);
	e->hash = cdb_hash(key.ptr, key.len);
	e->key_len = (uint32_t)key.len;
	e->value_len = (uint32_t)value.len;
	memcpy(e->bytes, key.ptr, key.len);
	if (value.len > 0)
		memcpy(e->bytes + key.len, value.ptr, value.len);
	free(f->entries[number - 1]);
	f->entries[number - 1] = e;
	return WRITER_DONE;
}

static void
put_pair(struct file *f, uint32_t a, uint32_t b)
{
	uint8_t bytes[8];

	octets_store(bytes, a, 4);
	octets_store(bytes + 4, b, 4);
	(void)fwrite(bytes, 1, sizeof(bytes), f->stream);
	f->at += sizeof(bytes);
}

static void
put_records(struct file *f)
{
	static const uint8_t head[CDB_HEAD];

	(void)fwrite(head, 1, sizeof(head), f->stream);
	f->at = CDB_HEAD;
	for (size_t i = 0; i < f->count; i++) {
		struct entry *e = f->entries[i];
		e->at = (uint32_t)f->at;
		put_pair(f, e->key_len, e->value_len);
		(void)fwrite(e->bytes, 1, (size_t)e->key_len + e->value_len, f->stream);
		f->at += (uint64_t)e->key_len + e->value_len;
	}
}

/* One of the 256: twice as many slots as entries, each at the first free one from its own place on. */
static void
put_table(struct file *f, struct entry *const *list, size_t count, uint32_t place[2])
{
	size_t slots = 2 * count;
	struct entry **table = mem_alloc_array(slots > 0 ? slots : 1, sizeof(table[0]));

	place[0] = (uint32_t)f->at;
	place[1] = (uint32_t)slots;
	for (size_t i = 0; i < count; i++) {
		size_t slot = (list[i]->hash >> 8) % slots;
		while (table[slot] != NULL)
			slot = (slot + 1) % slots;
		table[slot] = list[i];
	}
	for (size_t i = 0; i < slots; i++)
		put_pair(f, table[i] != NULL ? table[i]->hash : 0, table[i] != NULL ? table[i]->at : 0);
	free(table);
}

static int
write_all(struct file *f, struct error *err)
{
	uint32_t places[TABLES][2];
	size_t starts[TABLES + 1] = {0}, used[TABLES] = {0};
	uint64_t bytes = CDB_HEAD;

	for (size_t i = 0; i < f->count; i++) {
		bytes += 24 + (uint64_t)f->entries[i]->key_len + f->entries[i]->value_len;
		starts[(f->entries[i]->hash & 255) + 1]++;
	}
	if (bytes > UINT32_MAX)
		return error_set(err, "a cdb file holds 4 GB at most: use lmdb or btree");
	for (size_t i = 0; i < TABLES; i++)
		starts[i + 1] += starts[i];
	struct entry **sorted = mem_alloc_array(f->count > 0 ? f->count : 1, sizeof(sorted[0]));
	for (size_t i = 0; i < f->count; i++) {
		size_t n = f->entries[i]->hash & 255;
		sorted[starts[n] + used[n]++] = f->entries[i];
	}
	put_records(f);
	for (size_t i = 0; i < TABLES; i++)
		put_table(f, sorted + starts[i], starts[i + 1] - starts[i], places[i]);
	free(sorted);
	if (fseek(f->stream, 0, SEEK_SET) < 0)
		return error_errno(err, "write %s", f->path);
	for (size_t i = 0; i < TABLES; i++)
		put_pair(f, places[i][0], places[i][1]);
	return 0;
}

static int
cdb_close(void *file, bool abandoned, struct error *err)
{
	struct file *f = file;
	int status = 0;

	if (!abandoned) {
		f->stream = fopen(f->path, "r+e");
		status = f->stream != NULL ? write_all(f, err) : error_errno(err, "open %s", f->path);
	}
	if (f->stream != NULL) {
		bool bad = ferror(f->stream) != 0;
		if ((fclose(f->stream) != 0 || bad) && status == 0)
			status = error_errno(err, "write %s", f->path);
	}
	for (size_t i = 0; i < f->count; i++)
		free(f->entries[i]);
	free(f->entries);
	table_free(&f->index);
	free(f->path);
	free(f);
	return status;
}

const struct writer writer_cdb = {"cdb", ".cdb", false, cdb_open, cdb_put, NULL, cdb_close};
