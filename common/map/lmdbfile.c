/*
 * Pages 0 and 1 are meta pages, of which the one with the higher transaction counts. It names the root of a tree: branch
 * pages refer to pages below them, leaf pages have the pairs; a long value lies in overflow pages of its own. (lmdb's
 * mdb.c: MDB_page, MDB_meta, MDB_node.)
 *
 * A writer changes no page of the transaction that counts, so a search needs no lock: it looks at both ends of it which one counts. What is
 * kept of one answers alone for a second at most.
 */
#include "common/map/lmdbfile.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/blocks.h"

enum {
	TRIES = 5,
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
	MAIN_REVERSED_KEYS = 0x02,
	MAIN_SORTED_DUPLICATES = 0x04,
	MAIN_NUMBERS = 0x08,
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
	struct blocks *blocks; /* NULL: nothing is kept */
	bool alone; /* what is not kept is not read */
	uint64_t size; /* of the file */
	uint64_t transaction; /* that counts */
	unsigned flags; /* MAIN_* */
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
read_at(struct walk *w, void *bytes, size_t len, uint64_t at)
{
	const uint8_t *kept = w->blocks ? blocks_kept(w->blocks, len, at) : NULL;

	if (kept) {
		memcpy(bytes, kept, len);
		return 0;
	}
	if (w->alone)
		return -1;
	if (at > w->size || len > w->size - at)
		return damaged(w, "it refers to what lies behind its end");
	ssize_t got =
	    w->blocks ? blocks_read(w->blocks, bytes, len, at) : io_pread_all(w->fd, bytes, len, (off_t)at);
	if (got < 0)
		return error_errno(w->err, "read %s", w->path);
	return (size_t)got == len ? 0 : damaged(w, "it was cut short");
}

/* ---- meta pages ---- */

static int
meta_read(struct walk *w, uint64_t at, uint8_t *meta)
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
	w->flags = u16(meta + AT_MAIN_FLAGS);
	w->transaction = u64(meta + AT_TRANSACTION);
	if (w->flags & MAIN_SORTED_DUPLICATES)
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
	const uint8_t *kept = w->blocks ? blocks_kept(w->blocks, w->page_size, number * w->page_size) : NULL;
	if (kept)
		return kept;
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

struct node {
	const uint8_t *bytes; /* NULL: none */
	struct span key;
	size_t room; /* behind the key, to the end of the page */
};

/* The number of nodes of a page of the tree; *leaf: they have values. -1 with err. */
static int
nodes_of(const struct walk *w, const uint8_t *page, bool *leaf)
{
	unsigned flags = u16(page + AT_FLAGS) & ~(unsigned)PAGE_DIRTY;
	size_t lower = u16(page + AT_LOWER);

	if (flags != PAGE_BRANCH && flags != PAGE_LEAF)
		return damaged(w, "a page of another kind in its tree");
	if (lower < PAGE_HEAD || lower > w->page_size)
		return damaged(w, "a page has more nodes than room");
	*leaf = flags == PAGE_LEAF;
	return (int)((lower - PAGE_HEAD) / 2);
}

static int
node_read(const struct walk *w, const uint8_t *page, size_t number, struct node *node)
{
	size_t offset = u16(page + PAGE_HEAD + 2 * number);

	if (offset < u16(page + AT_LOWER) || offset > w->page_size - NODE_HEAD)
		return damaged(w, "a node leaves its page");
	size_t room = w->page_size - offset - NODE_HEAD, len = u16(page + offset + 6);
	if (len > room)
		return damaged(w, "a pair leaves its page");
	*node =
	    (struct node){page + offset, span_make((const char *)page + offset + NODE_HEAD, len), room - len};
	return 0;
}

/* Of a branch page: the page below. */
static uint64_t
node_page(const struct node *n)
{
	return (uint64_t)u16(n->bytes) | (uint64_t)u16(n->bytes + 2) << 16 |
	       (uint64_t)u16(n->bytes + 4) << 32;
}

/* Of a leaf page: the value, in w->value, up to its first NUL. */
static int
node_value(struct walk *w, const struct node *n, struct span *value)
{
	size_t len = (size_t)u16(n->bytes) | (size_t)u16(n->bytes + 2) << 16;
	const uint8_t *data = (const uint8_t *)n->key.ptr + n->key.len;
	unsigned flags = u16(n->bytes + 4);

	if (flags & NODE_OTHER)
		return error_set(w->err, "%s: a database in the database", w->path);
	if ((flags & NODE_BIG ? sizeof(uint64_t) : len) > n->room)
		return damaged(w, "a pair leaves its page");
	if (len > MAP_VALUE_MAX + 1)
		return error_set(w->err, "%s: a value of more than %d octets", w->path, MAP_VALUE_MAX);
	if ((flags & NODE_BIG) == 0)
		memcpy(w->value, data, len);
	else if (overflow_read(w, u64(data), len) < 0)
		return -1;
	*value = span_make(w->value, strnlen(w->value, len));
	return 0;
}

/* ---- the whole tree ---- */

/* A pair of a leaf page: 1: go on, 0: enough, -1. */
static int
leaf_visit(struct walk *w, const struct node *node)
{
	struct span value;

	if (node_value(w, node, &value) < 0)
		return -1;
	return w->visit(span_sub(node->key, 0, strnlen(node->key.ptr, node->key.len)), value, w->context);
}

/* Walks what is below that page, at most DEPTH_MAX deep: 1 go on, 0 enough, -1. */
static int
page_walk(struct walk *w, uint64_t number, unsigned depth)
{
	const uint8_t *page = page_read(w, number, depth);
	struct node node;
	int more = 1, count;
	bool leaf;

	if (page == NULL || (count = nodes_of(w, page, &leaf)) < 0)
		return -1;
	for (int i = 0; more == 1 && i < count; i++) {
		if (node_read(w, page, (size_t)i, &node) < 0)
			return -1;
		more = leaf ? leaf_visit(w, &node) : page_walk(w, node_page(&node), depth + 1);
	}
	return more;
}

/* Forgets what may be secret. */
static void
walk_free(struct walk *w)
{
	for (unsigned i = 0; i < DEPTH_MAX && w->pages[i] != NULL; i++) {
		explicit_bzero(w->pages[i], w->page_size);
		free(w->pages[i]);
	}
	explicit_bzero(w->value, sizeof(w->value));
	free(w);
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
	walk_free(w);
	return result < 0 ? -1 : 0;
}

/* ---- one key ---- */

struct lmdbfile {
	struct walk *walk;
	struct blocks blocks;
	uint64_t cache_bytes;
	uint64_t size, transaction, root; /* of what is kept */
	bool known; /* something is kept */
	int64_t fresh_until_us; /* until then it may answer alone */
};

struct lmdbfile *
lmdbfile_open(int fd, const char *path, uint64_t cache_bytes)
{
	struct lmdbfile *f = mem_alloc(sizeof(*f));

	f->walk = mem_alloc(sizeof(*f->walk));
	*f->walk = (struct walk){.fd = fd, .path = path};
	f->cache_bytes = cache_bytes;
	return f;
}

void
lmdbfile_close(struct lmdbfile **f)
{
	if (*f == NULL)
		return;
	blocks_fini(&(*f)->blocks);
	(void)io_close(&(*f)->walk->fd);
	walk_free((*f)->walk);
	free(*f);
	*f = NULL;
}

int
lmdbfile_list(struct lmdbfile *f, map_visit *visit, void *context, struct error *err)
{
	return lmdbfile_each(f->walk->fd, f->walk->path, visit, context, err);
}

/* Shorter ones come first. */
static int
compare(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

	return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

/* Memory of a large table is in no cache of the processor: what may be looked at next is on its way while this is. */
static void
node_expect(const uint8_t *page, int low, int high)
{
	if (low < high)
		__builtin_prefetch(page + u16(page + PAGE_HEAD + 2 * (size_t)(low + (high - low) / 2)));
}

/* The last node of a page, from the one numbered first, whose key is not behind this one; -1: none. -2 with err. */
static int
node_before(
    const struct walk *w, const uint8_t *page, int first, int count, struct span key, struct node *node)
{
	int low = first, high = count; /* all in front of low are such nodes, none from high on */

	while (low < high) {
		int middle = low + (high - low) / 2;
		node_expect(page, low, middle);
		node_expect(page, middle + 1, high);
		if (node_read(w, page, (size_t)middle, node) < 0)
			return -2;
		if (compare(node->key, key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return -1;
	return node_read(w, page, (size_t)low - 1, node) < 0 ? -2 : low - 1;
}

static int
search(struct walk *w, uint64_t root, struct span key, struct buf *value)
{
	uint64_t number = root;
	struct node node;
	struct span found;
	bool leaf;

	for (;;) {
		const uint8_t *page = page_read(w, number, 0);
		int count = page == NULL ? -1 : nodes_of(w, page, &leaf);
		if (count < 0)
			return -1;
		if (!leaf && count == 0)
			return damaged(w, "a branch without a leaf");
		/* The first key of a branch page is less than all. */
		int at = node_before(w, page, leaf ? 0 : 1, count, key, &node);
		if (at == -2)
			return -1;
		if (leaf && (at < 0 || compare(node.key, key) != 0))
			return 0;
		if (leaf)
			break;
		number = node_page(&node);
	}
	if (node_value(w, &node, &found) < 0)
		return -1;
	(void)buf_append_span(value, found);
	return 1;
}

/* The file as it is now. Reads past what is kept. */
static int
look(struct walk *w, uint64_t *root)
{
	struct blocks *kept = w->blocks;
	struct stat st;

	if (fstat(w->fd, &st) < 0)
		return error_errno(w->err, "fstat %s", w->path);
	w->size = (uint64_t)st.st_size;
	w->blocks = NULL;
	int result = root_find(w, root);
	w->blocks = kept;
	if (result == 0 && w->flags & (MAIN_REVERSED_KEYS | MAIN_NUMBERS))
		return error_set(w->err, "%s: its keys are in another order", w->path);
	return result;
}

/* What is kept is of this transaction, or nothing. */
static void
keep_of_now(struct lmdbfile *f)
{
	struct walk *w = f->walk;

	if (f->known && f->transaction == w->transaction && f->size == w->size)
		return;
	blocks_fini(&f->blocks);
	blocks_init(&f->blocks, w->fd, w->size, f->cache_bytes);
	w->blocks = &f->blocks;
	f->transaction = w->transaction;
	f->size = w->size;
	f->known = true;
	f->fresh_until_us = 0;
}

/* 1 and 0 as below, -1: it cannot say. */
static int
find_kept(struct lmdbfile *f, struct span key, struct buf *value)
{
	struct walk *w = f->walk;

	w->left = w->size / w->page_size;
	w->alone = true;
	buf_clear(value);
	int got = f->root == NO_PAGE ? 0 : search(w, f->root, key, value);
	w->alone = false;
	return got;
}

int
lmdbfile_find(struct lmdbfile *f, struct span key, struct buf *value, struct error *err)
{
	struct walk *w = f->walk;
	int64_t now_us = clock_mono_us();
	uint64_t root, again;
	int got = 0;

	w->err = err;
	if (f->known && now_us < f->fresh_until_us && (got = find_kept(f, key, value)) >= 0)
		return got;
	/* A writer uses pages again that the last but one transaction had: then the answer is none. */
	for (int i = 0; i < TRIES; i++) {
		size_t page_size = w->page_size;

		if (look(w, &root) < 0)
			return -1;
		if (page_size != 0 && page_size != w->page_size) {
			w->page_size = page_size;
			return damaged(w, "its pages have another size now");
		}
		keep_of_now(f);
		buf_clear(value);
		got = root == NO_PAGE ? 0 : search(w, root, key, value);
		if (look(w, &again) < 0)
			return -1;
		if (f->transaction == w->transaction && f->size == w->size) {
			f->root = root;
			f->fresh_until_us = now_us + US_PER_SECOND;
			return got;
		}
	}
	return error_set(err, "%s: is written all the time", w->path);
}
