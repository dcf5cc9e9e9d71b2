/*
 * dbfile: reads Berkeley DB files (hash and btree) without Berkeley DB.
 *
 * The library trusts the files that it opens; ours may have been made by anyone who may write an alias file, and
 * may be rewritten in place under our eyes (postmap(1) of Postfix does). So here every page is read with pread() and
 * every number in it is checked against the page before use; damage is LOOKUP_TEMPORARY with the page's number. What
 * is kept from one search to the next is dropped when the file changes. Writing is left to the library.
 *
 * Format: DB 4.2 to 5.3 and 6, both byte orders, neither encrypted nor with checksums, one database a file: what
 * postmap, postalias and makemap write.
 */
#ifndef POSTERN_MAP_DBFILE_H
#define POSTERN_MAP_DBFILE_H

#include <stdint.h>
#include <sys/stat.h>

#include "common/map/chunks.h"
#include "common/map/kinds.h"

enum dbfile_type { DBFILE_BTREE, DBFILE_HASH };

enum {
	DBFILE_PAGE_MAX = 65536,
	DBFILE_HEADER = 26, /* of each page; offsets of its items follow */
	DBFILE_SPARES = 32
};

/* Types of pages and items that are met here (db_page.h). */
enum {
	PAGE_NONE = 0,
	PAGE_HASH_UNSORTED = 2,
	PAGE_BTREE_INTERNAL = 3,
	PAGE_BTREE_LEAF = 5,
	PAGE_OVERFLOW = 7,
	PAGE_HASH = 13
};
enum { HASH_ITEM_DATA = 1, HASH_ITEM_OFFPAGE = 3 };
enum { BTREE_ITEM_DATA = 1, BTREE_ITEM_OVERFLOW = 3, BTREE_ITEM_DELETED = 0x80 };

/*
 * A page in the cache; number 0: empty. What most searches end with lies side by side: of a page that has not the key nothing else is
 * looked at.
 */
struct dbslot {
	uint8_t *bytes;
	uint64_t *guide; /* see struct dbpage */
	uint32_t number;
	uint32_t next;
	uint16_t entries;
	uint16_t prints_count;
	uint8_t type;
	bool has_guide;
	uint8_t prints[]; /* see struct dbpage */
};

struct dbfile {
	const char *path; /* the input's */
	int fd;
	enum dbfile_type type;
	bool swapped; /* written with the other byte order */
	struct stat seen; /* when the first page was last read */
	uint32_t page_size;
	uint32_t last_page;
	/* hash */
	uint32_t max_bucket, high_mask, low_mask, spares[DBFILE_SPARES];
	/* btree */
	uint32_t root;
	/* Pages that were read lately, by their number modulo 'slots'; all are dropped when the file changes. */
	uint8_t *cache;
	uint32_t slots;
	uint32_t slot_size; /* octets of each */
	uint32_t cache_bytes; /* the most that is kept */
	struct chunks chunks; /* their memory */
	int64_t fresh_until_us; /* until then the cache may answer alone */
	bool reading; /* the lock is held, and the first page is the present one */
	bool changed; /* the file changed during the search: it begins anew */
	uint8_t *side; /* for overflow pages */
	struct buf item; /* an item that lay in overflow pages */
	struct buf value; /* the same for a walk's values */
	int with_nul; /* keys end in NUL: 1 yes, 0 no, -1 not yet known */
};

/* A page in memory, its header decoded and checked: item offsets lie within the page. */
struct dbpage {
	const struct dbfile *file;
	const uint8_t *bytes;
	uint32_t number;
	uint32_t next;
	unsigned entries;
	unsigned type;
	const uint8_t *prints; /* an octet of each key's hash, made when the page was read; NULL: none */
	const uint64_t *guide; /* for btree_guide_narrow(); NULL: none */
};

/* NULL with err. complain is told when the file is older than the text behind it. */
struct dbfile *dbfile_open(const struct map_input *in, enum dbfile_type type, struct error *err);
void dbfile_close(void *file);

/* Looks key up as Postfix does: with a NUL behind it, then without, until it is known which. */
enum lookup_status dbfile_lookup(void *file, struct span key, struct map_hit *hit, struct error *err);
int dbfile_each(void *file, map_visit *visit, void *context, struct error *err);

/* Numbers in the file's byte order; the caller has checked that they lie in the page. */
uint16_t dbfile_u16(const struct dbfile *f, const uint8_t *p);
uint32_t dbfile_u32(const struct dbfile *f, const uint8_t *p);

/* The first page: what kind of file this is. Drops the cache. */
int dbfile_meta(struct dbfile *f, struct error *err);

/*
 * A search or walk is between begin and end: the first page that is not in the cache takes the lock and looks whether
 * the file changed.
 */
int dbfile_read_begin(struct dbfile *f, struct error *err);
void dbfile_read_end(struct dbfile *f);
void dbfile_cache_drop(struct dbfile *f);

/* A page, checked; its bytes live until the next page is asked for. */
int dbfile_page(struct dbfile *f, uint32_t number, struct dbpage *page, struct error *err);

/* Offset of item i; i < entries. */
unsigned dbpage_offset(const struct dbpage *p, unsigned i);

/* Gathers len octets of overflow pages from 'first' on in out. */
int dbfile_overflow(struct dbfile *f, uint32_t first, uint32_t len, struct buf *out, struct error *err);

int dbfile_damaged(const struct dbfile *f, uint32_t page, const char *what, struct error *err);

/* Searches of the two access methods: 1 found (value appended to out), 0 not, -1 with err. */
int hash_search(struct dbfile *f, struct span key, struct buf *out, struct error *err);
int btree_search(struct dbfile *f, struct span key, struct buf *out, struct error *err);

/* An octet that equal keys share. */
uint8_t dbfile_print(struct span key);

/* The first pair from i on whose key may have that print; behind all if there is none. */
unsigned dbpage_next_pair(const struct dbpage *p, unsigned i, uint8_t print);

/* Key i, if it lies in the page as it is. */
bool hash_key(const struct dbpage *p, unsigned i, struct span *key);
bool btree_key(const struct dbpage *p, unsigned i, struct span *key);

/* Item i of a page as bytes: in the page, or gathered in spare. -1 with err. *deleted may be set (btree). */
int hash_item(struct dbfile *f, const struct dbpage *p, unsigned i, struct buf *spare, struct span *item,
    struct error *err);
int btree_item(struct dbfile *f, const struct dbpage *p, unsigned i, struct buf *spare, struct span *item,
    bool *deleted, struct error *err);

#endif
