/*
 * Pages 0 and 1 are meta pages, of which the one with the higher transaction counts. It names the root of a tree: branch
 * pages refer to pages below them, leaf pages have the pairs; a long value lies in overflow pages of its own. (lmdb's
 * mdb.c: MDB_page, MDB_meta, MDB_node.)
 */
#include "common/map/lmdbfile.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/base/mem.h"

enum {
	PAGE_LEAST = 512,
	PAGE_MOST = 65536,
	DEPTH_MAX = 32,
	/* of a page */
	AT_FLAGS = 10,
	AT_LOWER = 12,
	PAGE_HEAD = 16,
	PAGE_BRANCH = 0x01,
	PAGE_LEAF = 0x02,
	PAGE_OVERFLOW = 0x04,
	PAGE_META = 0x08,
	PAGE_DIRTY = 0x10, /* left by MDB_WRITEMAP */
	/* of a meta page */
	AT_MAGIC = PAGE_HEAD,
	AT_VERSION = PAGE_HEAD + 4,
	AT_PAGE_SIZE = PAGE_HEAD + 24,
	AT_MAIN_FLAGS = PAGE_HEAD + 24 + 48 + 4,
	AT_MAIN_ROOT = PAGE_HEAD + 24 + 48 + 40,
	AT_TRANSACTION = PAGE_HEAD + 24 + 96 + 8,
	META_SIZE = AT_TRANSACTION + 8,
	MAIN_SORTED_DUPLICATES = 0x04,
	/* of a node */
	NODE_HEAD = 8,
	NODE_BIG = 0x01,
	NODE_OTHER = 0x06 /* sub-databases and duplicates */
};
static const uint32_t MAGIC = 0xBEEFC0DE;
static const uint64_t NO_PAGE = UINT64_MAX;

struct walk {
	int fd;
	const char *path;
	uint64_t size; /* of the file */
	size_t page_size;
	uint64_t left; /* so many pages may still be read: each once */
	map_visit *visit;
	void *context;
	struct error *err;
	uint8_t *pages[DEPTH_MAX]; /* from the root down */
	char value[MAP_VALUE_MAX + 1];
};

static uint16_t
u16(const uint8_t *p)
{
	uint16_t n;
	memcpy(&n, p, sizeof(n));
	return n;
}

static uint32_t
u32(const uint8_t *p)
{
	uint32_t n;
	memcpy(&n, p, sizeof(n));
	return n;
}

static uint64_t
u64(const uint8_t *p)
{
	uint64_t n;
	memcpy(&n, p, sizeof(n));
	return n;
}

static int
damaged(const struct walk *w, const char *what)
{
	return error_set(w->err, "%s is damaged: %s", w->path, what);
}

static int
read_at(const struct walk *w, void *bytes, size_t len, uint64_t at)
{
	if (at > w->size || len > w->size - at)
		return damaged(w, "it refers to what lies behind its end");
	ssize_t got = io_pread_all(w->fd, bytes, len, (off_t)at);
	if (got < 0)
		return error_errno(w->err, "read %s", w->path);
	return (size_t)got == len ? 0 : damaged(w, "it was cut short");
}

/* ---- meta pages ---- */

static int
meta_read(const struct walk *w, uint64_t at, uint8_t *meta)
{
	if (read_at(w, meta, META_SIZE, at) < 0)
		return -1;
	if ((u16(meta + AT_FLAGS) & PAGE_META) == 0 || u32(meta + AT_MAGIC) != MAGIC)
		return error_set(w->err, "%s: not an LMDB file", w->path);
	if (u32(meta + AT_VERSION) != 1)
		return error_set(w->err, "%s: LMDB of another version", w->path);
	return 0;
}

/* The root of the tree, NO_PAGE if it is empty. */
static int
root_find(struct walk *w, uint64_t *root)
{
	uint8_t first[META_SIZE], second[META_SIZE];

	if (meta_read(w, 0, first) < 0)
		return -1;
	w->page_size = u32(first + AT_PAGE_SIZE);
	if (w->page_size < PAGE_LEAST || w->page_size > PAGE_MOST || (w->page_size & (w->page_size - 1)) != 0)
		return damaged(w, "its pages have no size");
	if (meta_read(w, w->page_size, second) < 0)
		return -1;
	const uint8_t *meta = u64(second + AT_TRANSACTION) > u64(first + AT_TRANSACTION) ? second : first;
	if (u16(meta + AT_MAIN_FLAGS) & MAIN_SORTED_DUPLICATES)
		return error_set(w->err, "%s: a key may have several values", w->path);
	w->left = w->size / w->page_size;
	*root = u64(meta + AT_MAIN_ROOT);
	return 0;
}

/* ---- pages ---- */

/* The page at that depth of the tree. NULL with err. */
static const uint8_t *
page_read(struct walk *w, uint64_t number, unsigned depth)
{
	if (depth == DEPTH_MAX || w->left == 0 || number > w->size / w->page_size) {
		(void)damaged(w, "its tree leads nowhere");
		return NULL;
	}
	w->left--;
	if (w->pages[depth] == NULL)
		w->pages[depth] = mem_alloc(w->page_size);
	return read_at(w, w->pages[depth], w->page_size, number * w->page_size) == 0 ? w->pages[depth] : NULL;
}

static int
overflow_read(struct walk *w, uint64_t number, size_t len)
{
	uint8_t head[PAGE_HEAD];

	if (number > w->size / w->page_size || read_at(w, head, sizeof(head), number * w->page_size) < 0)
		return damaged(w, "a long value is not there");
	if ((u16(head + AT_FLAGS) & PAGE_OVERFLOW) == 0)
		return damaged(w, "a long value lies in a page of another kind");
	return read_at(w, w->value, len, number * w->page_size + PAGE_HEAD);
}

/* A pair of a leaf page. room: octets from the node to the end of its page. 1: go on, 0: enough, -1. */
static int
leaf_visit(struct walk *w, const uint8_t *node, size_t room)
{
	size_t len = (size_t)u16(node) | (size_t)u16(node + 2) << 16, key_len = u16(node + 6);
	unsigned flags = u16(node + 4);
	const uint8_t *key = node + NODE_HEAD, *data = key + key_len;
	size_t stored = flags & NODE_BIG ? sizeof(uint64_t) : len;

	if (flags & NODE_OTHER)
		return error_set(w->err, "%s: a database in the database", w->path);
	room -= NODE_HEAD;
	if (key_len > room || stored > room - key_len)
		return damaged(w, "a pair leaves its page");
	if (len > MAP_VALUE_MAX + 1)
		return error_set(w->err, "%s: a value of more than %d octets", w->path, MAP_VALUE_MAX);
	if ((flags & NODE_BIG) == 0)
		memcpy(w->value, data, len);
	else if (overflow_read(w, u64(data), len) < 0)
		return -1;
	return w->visit(span_make((const char *)key, strnlen((const char *)key, key_len)),
	    span_make(w->value, strnlen(w->value, len)), w->context);
}

/* Walks what is below that page, at most DEPTH_MAX deep: 1 go on, 0 enough, -1. */
static int
page_walk(struct walk *w, uint64_t number, unsigned depth)
{
	const uint8_t *page = page_read(w, number, depth);
	int more = 1;

	if (page == NULL)
		return -1;
	unsigned flags = u16(page + AT_FLAGS) & ~(unsigned)PAGE_DIRTY;
	size_t lower = u16(page + AT_LOWER);
	if (flags != PAGE_BRANCH && flags != PAGE_LEAF)
		return damaged(w, "a page of another kind in its tree");
	if (lower < PAGE_HEAD || lower > w->page_size)
		return damaged(w, "a page has more nodes than room");
	for (size_t at = PAGE_HEAD; more == 1 && at + 2 <= lower; at += 2) {
		size_t offset = u16(page + at);
		if (offset < lower || offset > w->page_size - NODE_HEAD)
			return damaged(w, "a node leaves its page");
		const uint8_t *node = page + offset;
		more = flags == PAGE_LEAF ? leaf_visit(w, node, w->page_size - offset)
					  : page_walk(w,
						(uint64_t)u16(node) | (uint64_t)u16(node + 2) << 16 |
						    (uint64_t)u16(node + 4) << 32,
						depth + 1);
	}
	return more;
}

int
lmdbfile_each(int fd, const char *path, map_visit *visit, void *context, struct error *err)
{
	struct walk *w = mem_alloc(sizeof(*w));
	uint64_t root = NO_PAGE;
	struct stat st;
	int result;

	*w = (struct walk){.fd = fd, .path = path, .visit = visit, .context = context, .err = err};
	if (fstat(fd, &st) < 0) {
		result = error_errno(err, "fstat %s", path);
	} else {
		w->size = (uint64_t)st.st_size;
		result = root_find(w, &root);
		if (result == 0 && root != NO_PAGE)
			result = page_walk(w, root, 0);
	}
	for (unsigned i = 0; i < DEPTH_MAX && w->pages[i] != NULL; i++) {
		explicit_bzero(w->pages[i], w->page_size);
		free(w->pages[i]);
	}
	explicit_bzero(w->value, sizeof(w->value));
	free(w);
	return result < 0 ? -1 : 0;
}
