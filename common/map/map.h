/*
 * map: one lookup table, "type:name".
 *
 * Kinds are rows of kinds.c, one file each. A table is opened at its first use and never fails to be: one that
 * cannot be read answers LOOKUP_TEMPORARY with the file and the trouble, until the file is in order again; it never
 * answers LOOKUP_NOT_FOUND. Files that changed or were replaced are noticed (at most one stat a second) and opened
 * anew; a text that is being written in place keeps its old content until the writer has been still for a second, and
 * one that was emptied in place keeps it until the next open. "proxy:" in front of a type is accepted and means
 * nothing here.
 *
 * Keys of fixed tables are folded to lower case (casefold.h). Tables of patterns (regexp, cidr) see only whole keys.
 * As with Postfix's smtputf8_enable, keys, values and lines are UTF-8 where they are not ASCII: another key is in no
 * table, which is logged at most once a second; another value is LOOKUP_TEMPORARY; another line is left out.
 */
#ifndef POSTERN_MAP_MAP_H
#define POSTERN_MAP_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"
#include "common/ipc/protocol.h"

/* MAP_TEXT_MAX: a line that tables of patterns are asked about, a header field with all its folded lines. */
enum { MAP_KEY_MAX = 2000, MAP_TEXT_MAX = 131072, MAP_VALUE_MAX = 50000, MAP_NAME_MAX = 4000 };

/* Told of each mistake in a table's text. line is 0 where there is none. */
typedef void map_complain(const char *file, unsigned line, const char *text, void *context);

/* Told how each search went: the table's trouble, or NULL where it answered. A key that it need not be asked for tells nothing. */
typedef void map_state(const char *table, const char *trouble, void *context);

/* For who hears of it elsewhere. With a state, a table does not complain of itself that it cannot be opened: map_check() says why. */
map_complain map_complain_to_nobody;
map_state map_state_to_nobody;

struct map_options {
	map_complain *complain; /* NULL: warnings go to the log, "FILE, line N: text" */
	void *context;
	map_state *state; /* may be NULL */
	/*
	 * For an event loop, which waits for nothing: not NULL: a table that may wait for a server is not asked. Its
	 * answer is LOOKUP_TEMPORARY, and this is set: the question is to be asked again elsewhere.
	 */
	bool *would_block;
	bool
	    octets; /* keys and values may be anything, and case is ignored in ASCII alone: header_checks, 'map -u' */
	bool keep_case; /* keys of indexed files are asked for as they are: 'map -f' */
	/*
	 * The number of the question that the searches are for, counted by the caller from 1 on: within one question a table is
	 * asked for a key once (memo.h). NULL: each search asks the table.
	 */
	const uint64_t *question;
};

/* What a search found. Initialise with map_found_init(); may be used again and again. */
struct map_found {
	struct buf value;
	struct buf key; /* the key that hit */
	const char *table; /* "hash:/etc/postern/virtual": lives as long as the table */
	unsigned line; /* of its text, 0 where it is not known */
	uid_t owner; /* of the table's file; 0 (root): there is none */
	bool substituted; /* the value holds parts of the key ($1 of a pattern), which strangers chose */
	bool
	    loose; /* and these have blanks, commas or quotes of their own: they could be more than one word */
	bool of_token; /* the key is a token, the value the user whose it is */
	struct error err; /* when temporary: file and trouble; when a token is nobody's: why */
};

void map_found_init(struct map_found *f);
void map_found_free(struct map_found *f);

struct map;

/* options may be NULL; kept by value. */
struct map *map_open(const char *type_and_name, const struct map_options *options);
void map_close(struct map **m);

/* partial: the key is a part of what was asked for (a domain, a user): tables of patterns are passed over. */
enum lookup_status map_lookup(struct map *m, struct span key, bool partial, struct map_found *found);

/* An open table whose keys are tokens, and the values their users. */
bool map_of_tokens(const struct map *m);

/* What the table said last was refused where it was used, and has this mark: common/base/mark.h. */
void map_refused(struct map *m, uint64_t mark);

/* Looks whether the file changed, now. True when the content differs from what the last call saw. */
bool map_changed(struct map *m);

const char *map_name(const struct map *m);

/* The file that is read; NULL if there is none. */
const char *map_path(const struct map *m);

/* Opens the table if it is not: -1 with the trouble. For "postern check". */
int map_check(struct map *m, struct error *err);

/* Walks all entries (hash, btree, texthash, inline). Returns -1 with err; visit returns false to stop. */
typedef bool map_visit(struct span key, struct span value, void *context);
int map_each(struct map *m, map_visit *visit, void *context, struct error *err);

/* Walks the rules of a table of patterns (cidr, regexp, pcre): the line of each, and its result with $1 as it is written. */
typedef void map_visit_rule(unsigned line, struct span result, void *context);
void map_each_rule(struct map *m, map_visit_rule *visit, void *context);

/* "type:name" is well formed and its type is one of kinds.c. */
bool map_type_known(struct span type_and_name);

/* What tables want that a sandbox must allow and a loop must not do. Tables inside a table count for it. */
enum map_needs {
	MAP_BLOCKS = 1 << 0, /* it may wait: for a server, or for another program's lock */
	MAP_NETWORK = 1 << 1,
	/* A library, which map_preload() loads. */
	MAP_LIBRARY_LDAP = 1 << 2,
	MAP_LIBRARY_MYSQL = 1 << 3,
	MAP_LIBRARY_PCRE = 1 << 4,
	MAP_LIBRARY_PGSQL = 1 << 5,
	MAP_LIBRARY_SQLITE = 1 << 6,
	MAP_LIBRARY_OAUTH2 = 1 << 7,
	MAP_KEEPS_TOKENS = 1 << 8 /* it replaces files below queue_directory/tokens */
};
unsigned map_needs(struct span type_and_name);

/* Loads what the tables' kinds need of libraries: before a sandbox closes. Trouble is told by the tables later. */
void map_preload(struct span type_and_name);

#endif
