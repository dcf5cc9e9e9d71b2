/*
 * lmdbfile: walks an LMDB file through a descriptor, without the library.
 *
 * For processes that open no files and map nothing of strangers: every page is read with pread() and every number in it
 * is checked before use; damage is an error. The format is that of LMDB 0.9 as this machine writes it (64 bits, its own
 * order of octets), one unnamed database a file without sorted duplicates: what postmap(1) and "postern map" make.
 */
#ifndef POSTERN_MAP_LMDBFILE_H
#define POSTERN_MAP_LMDBFILE_H

#include "common/base/error.h"
#include "common/map/map.h"

/*
 * Calls visit for each pair in the order of keys, until it returns false; both end at their first NUL, as Postfix has
 * them. fd stays the caller's; path is its name for the error. -1 with err: damaged, or a value of more than
 * MAP_VALUE_MAX octets. What was read is overwritten afterwards: it may be secret.
 */
int lmdbfile_each(int fd, const char *path, map_visit *visit, void *context, struct error *err);

#endif
