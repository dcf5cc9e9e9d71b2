/*
 * mapfile: builds the file of a hash, btree, cdb or lmdb table from its text: postmap(1), postalias(1), newaliases(1).
 *
 * A build never touches the old file: the new one is written beside it, synced, and renamed over it, under the
 * fcntl locks that Postfix takes, so that its programs may go on reading and writing the same tables. Keys and values
 * end in NUL, as Postfix writes them on Linux. What differs between the formats is in writer.h.
 *
 * Root refuses a directory that another user owns or that everybody may write: whoever can rename files there could
 * lead us to others (catalogue E2).
 */
#ifndef POSTERN_MAP_MAPFILE_H
#define POSTERN_MAP_MAPFILE_H

#include "common/map/map.h"

enum mapfile_form {
	MAPFILE_MAP, /* key, white space, value */
	MAPFILE_ALIAS /* name: value; with the entries that sendmail and NIS look for */
};

enum mapfile_duplicates { MAPFILE_WARN, MAPFILE_IGNORE, MAPFILE_REPLACE };

struct mapfile_options {
	enum mapfile_form form;
	enum mapfile_duplicates duplicates;
	bool keep_case;
	bool octets; /* lines may be anything but UTF-8: see struct map_options */
	bool no_nul;
	bool anew; /* of mapfile_add: what was in the table goes */
	bool own_mode; /* 0644 less umask, not the text's mode */
	bool
	    file_values; /* values name files, whose content is stored: file_values.h; nobody else may read the table */
	const char *hostname; /* YP_MASTER_NAME */
	map_complain *complain;
	void *context;
};

/* type: one of writer.c. path: the text, without the suffix. */
int mapfile_build(
    const char *type, const char *path, const struct mapfile_options *options, struct error *err);

/* Adds the entries in text to the table (a copy of it takes its place). It is made if it is not there. */
int mapfile_add(const char *type, const char *path, struct span text, const struct mapfile_options *options,
    struct error *err);

/* Takes keys out. *removed counts those that were there. */
int mapfile_remove(const char *type, const char *path, const struct span *keys, size_t count,
    const struct mapfile_options *options, size_t *removed, struct error *err);

#endif
