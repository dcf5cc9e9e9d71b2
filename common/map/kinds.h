/*
 * kinds: what a kind of table has to offer. A new kind is a file of its own and a row in kinds.c.
 *
 * Kinds that wait for a server, or for another program's lock, say MAP_BLOCKS: lookup asks them in a thread of its own
 * and never in the loop. Each thread has tables of its own, so that a table needs no lock; what threads share of a
 * server (whether it answers) is in clients.h.
 */
#ifndef POSTERN_MAP_KINDS_H
#define POSTERN_MAP_KINDS_H

#include "common/map/map.h"

struct map_input {
	const char *name; /* what stands behind "type:" */
	const char *
	    path; /* the file that is read; NULL for kinds without one, for rules in the name and parameters in postern.conf */
	map_complain *complain;
	void *context;
	bool *would_block, octets; /* see struct map_options; also for tables inside */
	const int *
	    fd; /* hash, btree, cdb, lmdb: read this file, where it cannot be opened by its path; NULL: open it */
};

struct rules;

struct map_hit {
	struct buf *value; /* appended to */
	unsigned line;
	bool partial; /* asked with a part of the question: for tables inside a table */
	bool unasked; /* the key cannot be in the table: how that fares is not known */
	bool substituted, loose, of_token; /* see struct map_found */
};

enum map_keys_of_kind {
	MAP_KEYS_FIXED, /* keys are folded to lower case */
	MAP_KEYS_PATTERN, /* whole keys only, not folded */
	MAP_KEYS_INNER /* tables inside, or a server, decide: all keys, not folded */
};

struct map_kind {
	const char *name;
	const char *suffix; /* of the file behind the name (".db", ""); NULL: no file */
	enum map_keys_of_kind keys;
	bool text; /* written by people and programs in place: see still_written() in map.c */
	bool texts; /* keys may be as long as MAP_TEXT_MAX */
	bool inline_rules; /* rules or parameters may stand in the name instead of a file, in braces */
	unsigned needs; /* enum map_needs */
	/* NULL with err when the table cannot be used. */
	void *(*open)(const struct map_input *in, struct error *err);
	/* key is 1..MAP_KEY_MAX octets (MAP_TEXT_MAX where texts) without NUL. */
	enum lookup_status (*lookup)(void *table, struct span key, struct map_hit *hit, struct error *err);
	void (*close)(void *table);
	int (*each)(void *table, map_visit *visit, void *context, struct error *err); /* may be NULL */
	/* Of a table of patterns; may be NULL. */
	const struct rules *(*rules)(const void *table);
	/* Did a file behind the table change? For tables inside a table; may be NULL. */
	bool (*changed)(void *table);
	/* Loads the client library; may be NULL. */
	int (*preload)(struct error *err);
	/* A value whose secret part has this mark (common/base/mark.h) was refused where it was used. May be NULL. */
	void (*refused)(void *table, uint64_t mark);
	/* Its keys are tokens, and its values their users: found->of_token. May be NULL: they are not. */
	bool (*of_tokens)(const void *table);
	/* Takes the next table inside out of *rest, which begins as the name. False at the end. May be NULL. */
	bool (*inner)(struct span *rest, struct span *table);
};

/* NULL if there is none. */
const struct map_kind *map_kind_find(struct span type);

/* The kinds of this build in order of names. */
void map_kinds_each(void (*visit)(const char *name, void *context), void *context);

/* Why there is none: a kind that was left out of this build, one that Postern does not have, or no kind at all. */
void map_kind_explain(struct span type, struct error *err);

/* A key as tables keep it, in room for MAP_KEY_MAX octets. False, room of no use: no table can have it (see map.h). */
bool map_key_fold(struct span key, bool octets, char *room, struct span *folded);

/* A logical line of a table's text: NULL, or what is wrong with it before it is taken apart. */
const char *map_line_wrong(struct span line, bool octets);

extern const struct map_kind map_kind_btree, map_kind_cdb, map_kind_cidr, map_kind_environ, map_kind_fail,
    map_kind_hash, map_kind_inline, map_kind_ldap, map_kind_lmdb, map_kind_mysql, map_kind_oauth2,
    map_kind_pcre, map_kind_pgsql, map_kind_pipemap, map_kind_randmap, map_kind_regexp, map_kind_socketmap,
    map_kind_sqlite, map_kind_static, map_kind_tcp, map_kind_texthash, map_kind_unionmap, map_kind_unix;

#endif
