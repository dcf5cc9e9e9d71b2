/*
 * placing: puts a new file in the place of an old one, so that readers see either whole, also after a crash.
 */
#ifndef POSTERN_MAP_PLACING_H
#define POSTERN_MAP_PLACING_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/map/map.h"

enum { MAPFILE_SOURCE_MAX = 1 << 30 };

struct placing {
	char final[MAP_NAME_MAX + 8]; /* the path with its suffix */
	char temporary[MAP_NAME_MAX + 16];
	int old; /* the file that is there now, locked; -1: none */
	mode_t mode;
	uid_t owner;
	gid_t group;
	bool owner_known; /* of the text: root gives the file to whoever owns that */
};

/*
 * Checks the directory, waits for the lock of the old file and makes an empty temporary file. own_mode: 0644 less
 * umask; else the mode of the text at path, where there is one. Until placing_end(), which must follow, *p stays where it is
 * and is the only one of the process: a signal that ends that removes the file.
 */
int placing_begin(struct placing *p, const char *path, const char *suffix, bool own_mode, struct error *err);

/* Copies the old file's bytes into the temporary one. 1, 0 if there is no old file, -1 on error. */
int placing_copy_old(struct placing *p, struct error *err);

/*
 * status 0: syncs the temporary file, renames it and syncs the directory. Else removes it. Returns the status, -1
 * with err if it was 0 and this failed.
 */
int placing_end(struct placing *p, int status, struct error *err);

#endif
