/*
 * segment: one file of the spool's log.
 *
 * A segment file is a slot: written with zeros and synced once, then used again and again. Its first page is the
 * header (format version, number, random salt, first log position, high-water mark of ids, spool time), twice;
 * a page of zeros means that the slot is free. Log positions run on across segments: a record lies at
 * first + offset in the file. Nothing is ever appended to a segment of an earlier run.
 */
#ifndef POSTERN_QUEUE_SEGMENT_H
#define POSTERN_QUEUE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "queue/log/record.h"

enum { SEGMENT_HEADER_SIZE = 4096, SEGMENT_PAGE = 4096, SEGMENT_VERSION = 5, SEGMENT_SLOT_MAX = 999999 };

struct segment {
	int fd;
	bool read_only; /* as the file system was when it was opened */
	bool named; /* its file had a name then, as the file system counts names */
	int sync_error; /* errno of the sync that opening it makes; 0: that succeeded */
	unsigned slot; /* names the file */
	uint64_t number;
	uint64_t first; /* log position of octet 0 */
	uint64_t size;
	uint64_t id_high;
	int64_t spool_us;
	uint8_t salt[RECORD_SALT_SIZE];
};

/* 64 MiB, or a sixteenth of a small file system. */
uint64_t segment_size_for(int dir_fd);

/* "segments/000012" without the folder. */
void segment_name(unsigned slot, char name[16]);

/* False: no slot has that name. "12" is none, although it is the number of 000012. */
bool segment_name_parse(const char *name, unsigned *slot);

enum { SEGMENT_FREE, SEGMENT_USED, SEGMENT_DAMAGED };

/*
 * Opens a slot and says what it is (damaged: something is there, but no valid header). -1: err; err->number is 0 if a
 * newer version wrote it.
 */
int segment_open(int dir_fd, unsigned slot, struct segment *s, struct error *err);

/* Creates the file of a slot, empty. Fill it with zeros by segment_fill_step() until that returns 0; -1 is an error. */
int segment_create(int dir_fd, unsigned slot, uint64_t size, struct segment *s, struct error *err);
int segment_fill_step(struct segment *s, uint64_t *done, struct error *err);

/* Makes a filled slot last: file and directory are synced. */
int segment_fill_end(struct segment *s, int dir_fd, struct error *err);

/* Makes a slot free: invariant 5, its header is durably gone before it may be used again. */
int segment_erase(struct segment *s, int dir_fd, struct error *err);

/* Somebody deleted its file: it can be written and read until it is closed, and is gone then. */
bool segment_is_gone(const struct segment *s);

/* The header page of a segment that begins to be used. */
void segment_header(const struct segment *s, uint8_t page[SEGMENT_HEADER_SIZE]);

#endif
