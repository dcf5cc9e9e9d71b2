/*
 * kinds: what a kind of table has to offer. A new kind is a file of its own and a row in kinds.c.
 *
 * None of today's kinds waits for anything but a local file, so lookup asks them in its loop. A kind that talks to a
 * server (a database, a socket) sets 'blocks': map_lookup() is then called in a worker of services/lookup, never
 * in the loop. No other code needs to know.
 */
#ifndef POSTERN_MAP_KINDS_H
#define POSTERN_MAP_KINDS_H

#include "common/map/map.h"

struct map_input {
	const char *name; /* what stands behind "type:" */
	const char *path; /* the file that is read; NULL for kinds without one, and for rules in the name */
	map_complain *complain;
	void *context;
};

struct map_hit {
	struct buf *value; /* appended to */
	unsigned line;
};

struct map_kind {
	const char *name;
	const char *suffix; /* of the file behind the name (".db", ""); NULL: no file */
	bool pattern; /* whole keys only, not folded */
	bool blocks;
	/* NULL with err when the table cannot be used. */
	void *(*open)(const struct map_input *in, struct error *err);
	/* key is 1..MAP_KEY_MAX octets without NUL. */
	enum lookup_status (*lookup)(void *table, struct span key, struct map_hit *hit, struct error *err);
	void (*close)(void *table);
	int (*each)(void *table, map_visit *visit, void *context, struct error *err); /* may be NULL */
};

/* NULL if there is none. */
const struct map_kind *map_kind_find(struct span type);

extern const struct map_kind map_kind_btree, map_kind_cidr, map_kind_fail, map_kind_hash, map_kind_inline,
    map_kind_regexp, map_kind_static, map_kind_texthash, map_kind_unix;

#endif
