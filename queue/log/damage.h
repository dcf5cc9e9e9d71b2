/*
 * damage: what cannot be read or must not be believed is set aside for whoever can make sense of it.
 *
 * In the folder "damaged" of the spool: pieces of the log by their position, whole segments whose header is gone,
 * message files whose record is. Each is reported once. The folder is bounded; beyond that there is only the log line.
 */
#ifndef POSTERN_QUEUE_DAMAGE_H
#define POSTERN_QUEUE_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "queue/log/segment.h"

/* Keeps [position, position + len) of the segment. False: it was set aside before, or is not kept. */
bool damage_keep(int damaged_dir, const struct segment *s, uint64_t position, uint64_t len);

/* Moves a file there. */
bool damage_move(int dir, const char *name, int damaged_dir, const char *new_name);

/* How many there are; bounded. */
unsigned damage_count(int damaged_dir);

#endif
