/*
 * lmdbfile: reads an LMDB file through a descriptor, without the library.
 *
 * The library maps a file and trusts what is in it: one that is cut or damaged ends the process. Here every page is read with pread() and every number in it
 * is checked before use; damage is an error. The format is that of LMDB 0.9 as this machine writes it (64 bits, its own
 * order of octets), one unnamed database a file without sorted duplicates: what postmap(1) and "postern map" make.
 */
#ifndef POSTERN_MAP_LMDBFILE_H
#define POSTERN_MAP_LMDBFILE_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/map/map.h"

struct lmdbfile;

/*
 * For searches. fd is taken over; path is its name for errors and lives as long. At most cache_bytes of pages are kept: they are of
 * one transaction, and go when a writer has made another one.
 */
struct lmdbfile *lmdbfile_open(int fd, const char *path, uint64_t cache_bytes);
void lmdbfile_close(struct lmdbfile **f);

/* Appends the value up to its first NUL. 1, 0 if there is no such key, -1 with err. */
int lmdbfile_find(struct lmdbfile *f, struct span key, struct buf *value, struct error *err);

/* All pairs, as lmdbfile_each(). */
int lmdbfile_list(struct lmdbfile *f, map_visit *visit, void *context, struct error *err);

/*
 * Calls visit for each pair in the order of keys, until it returns false; both end at their first NUL, as Postfix has
 * them. fd stays the caller's; path is its name for the error. -1 with err: damaged, or a value of more than
 * MAP_VALUE_MAX octets. What was read is overwritten afterwards: it may be secret.
 */
int lmdbfile_each(int fd, const char *path, map_visit *visit, void *context, struct error *err);

#endif
