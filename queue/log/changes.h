/*
 * changes: what the log says about messages whose own record replay has not come to yet.
 *
 * Replay goes through the segments from the newest to the oldest, so that the first record of a message that it meets
 * is the last that was written of it, and what came after that is here: positions of records, by id, and the ids
 * of which nothing older counts. About 50 octets for each message that was changed since its own record.
 */
#ifndef POSTERN_QUEUE_CHANGES_H
#define POSTERN_QUEUE_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A set of ids other than 0. */
struct id_set {
	uint64_t *slots;
	size_t slot_count, count;
};

void id_set_free(struct id_set *set);
bool id_set_has(const struct id_set *set, uint64_t id);
void id_set_add(struct id_set *set, uint64_t id);
void id_set_take(struct id_set *set, uint64_t id);

/* All of 'from', which is empty then. */
void id_set_add_all(struct id_set *set, struct id_set *from);

/* Ids in no order; *cursor starts at 0. Returns 0 at the end. */
uint64_t id_set_next(const struct id_set *set, size_t *cursor);

enum { CHANGE_OTHER = UINT32_MAX };

struct changes {
	struct change_slot {
		uint64_t id;
		uint32_t first; /* entry + 1 */
	} * slots;
	size_t slot_count, count;
	struct change {
		uint64_t position;
		uint32_t next; /* entry + 1 */
		uint32_t outcome_of; /* the one recipient that it is an outcome of, or CHANGE_OTHER */
	} * entries;
	size_t entry_count, entry_cap;
	uint32_t unused; /* entry + 1 */
};

void changes_free(struct changes *c);

/* All but the last outcomes of one recipient are forgotten. */
void changes_add(struct changes *c, uint64_t id, uint64_t position, uint32_t outcome_of);

/* Takes all of an id out: positions, ascending, as an array of *count that the caller frees; NULL if there are none. */
uint64_t *changes_take(struct changes *c, uint64_t id, size_t *count);

/* Any id that has some; 0: none. */
uint64_t changes_any(const struct changes *c, size_t *cursor);

#endif
