/*
 * cdb: the format, for the reader (cdb.c) and the writer (writer_cdb.c): 256 pairs of (place, slots), the records, and
 * 256 hash tables of (hash, place of the record). All numbers have 32 bits, the lowest octet first.
 */
#ifndef POSTERN_MAP_CDB_H
#define POSTERN_MAP_CDB_H

#include <stddef.h>
#include <stdint.h>

enum { CDB_HEAD = 2048 };

uint32_t cdb_u32(const uint8_t *p);
uint32_t cdb_hash(const void *bytes, size_t len);

#endif
