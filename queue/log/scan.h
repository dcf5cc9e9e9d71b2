/*
 * scan: the records of a segment in order, read a bounded piece at a time.
 *
 * What cannot be read as a record and has a commit mark somewhere behind it is damage; without one it is a tail that
 * was never acknowledged. A page that the disk cannot read counts as zeros. Memory: a piece, or the longest record.
 */
#ifndef POSTERN_QUEUE_SCAN_H
#define POSTERN_QUEUE_SCAN_H

#include "queue/log/segment.h"

/* What scanning a segment found. */
struct segment_scan {
	uint64_t end; /* log position behind the last valid record */
	uint64_t damaged; /* octets of records that are no more */
	unsigned damages; /* runs of such octets */
	unsigned unreadable; /* pages */
	uint64_t id_high;
	int64_t spool_us;
};

/* Returns -1 with err to stop. bytes of a record live until it returns. */
typedef int segment_found(
    const struct segment *s, const struct record *record, void *context, struct error *err);

/* A run of octets that should have been records. */
typedef void segment_damage(const struct segment *s, uint64_t position, uint64_t len, void *context);

struct scanner {
	const struct segment *s;
	uint8_t *bytes; /* from offset 'base' of the file */
	uint64_t base;
	size_t len, cap;
	uint64_t at; /* offset of the next record */
	uint64_t limit; /* offset at which to stop */
	struct segment_scan result;
};

/* From log position 'from' on (rounded up to the segment's first record) to 'limit', or the end of the file. */
void scan_begin(struct scanner *c, const struct segment *s, uint64_t from, uint64_t limit);

/* Goes through about so many octets: 1 if there are more, 0 at the end, -1 with err if found() says so. */
int scan_step(struct scanner *c, uint64_t octets, segment_found *found, segment_damage *damage, void *context,
    struct error *err);
void scan_end(struct scanner *c);

/* All of it at once. */
int segment_each(const struct segment *s, uint64_t from, segment_found *found, segment_damage *damage,
    void *context, struct segment_scan *result, struct error *err);

/* Ids and times beyond these are nobody's: a record that claims one is damaged, and must not be believed. */
bool scan_id_is_sane(uint64_t id);
bool scan_time_is_sane(int64_t spool_us);

#endif
