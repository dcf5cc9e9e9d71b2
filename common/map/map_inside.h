/*
 * map_inside: what map.c and map_watch.c share.
 */
#ifndef POSTERN_MAP_MAP_INSIDE_H
#define POSTERN_MAP_MAP_INSIDE_H

#include <sys/stat.h>

#include "common/map/kinds.h"
#include "common/map/map.h"
#include "common/map/memo.h"

/* What tells that a file is another one now. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
	struct timespec changed;
	bool there;
	uid_t owner;
};

struct map {
	char *name; /* "type:name" as written */
	const struct map_kind *kind; /* NULL: unknown */
	char *path; /* NULL: no file */
	struct map_input input;
	void *table; /* NULL while broken or not yet opened */
	struct error trouble; /* why it is broken */
	map_state *state;
	bool *would_block; /* of the options */
	const uint64_t *question; /* the same */
	struct memo memo;
	bool keep_case; /* of the options */
	bool blocks;
	bool emptied; /* said that the text was emptied in place */
	bool tried; /* open was tried with the file as in stamp */
	bool changed; /* since map_changed() was last asked */
	struct stamp stamp;
	int64_t looked_us;
	int64_t said_us; /* that a key is not UTF-8 */
};

/* The stamp of the file as it is now. */
struct stamp map_stamp_take(const char *path);

/*
 * Opens the table if that was not tried; then at most once a second, or now: has the file changed? A broken table without a
 * changed file is tried again as well.
 */
void map_look(struct map *m, bool now);

void map_table_close(struct map *m);

#endif
