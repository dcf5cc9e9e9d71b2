/*
 * recovery: the index is brought up to date with the log, or made anew from it, while mail is accepted and delivered.
 *
 * After the start, when the index turned out to be damaged, and when an operator asks for it. Two ways:
 *   - the index knows the log up to a position: what comes after is read, and until it is merged nobody reads the index
 *     (index_hide), for a row in it may say that mail is due which was delivered;
 *   - whole: the index begins empty, and every row that comes into it is final, to be listed, retried and removed.
 * Meanwhile the index's position stays where it was, no segment is freed, and answers to the tools are incomplete.
 */
#ifndef POSTERN_QUEUE_RECOVERY_H
#define POSTERN_QUEUE_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

struct queue;
struct recovery;

/* At the start: the log ended at 'limit'. The threads run. */
void recovery_start(struct queue *q, uint64_t limit);

/*
 * Makes the index anew. False if that is being done already, or cannot be begun at this moment. 'sound': nothing is wrong with the one that
 * is there, and it is believed where it knows of mail that the log has lost.
 */
bool recovery_rebuild(struct queue *q, bool sound);
void recovery_free(struct queue *q);

/* The index cannot be written to at present. */
bool recovery_holds_stores(const struct queue *q);

/* Where replay would have to start, if queue ended now: as in young_replay_position(), never beyond this. */
uint64_t recovery_floor(const struct queue *q);

/* Whether a message at that position, in the index, is in the segments' counts already. */
bool recovery_has_counted(const struct queue *q, uint64_t id, uint64_t position);

/* "" or what to tell whoever asks for a listing. */
const char *recovery_note(const struct queue *q);

/* An error that passes: no space, no right to write, no memory. */
bool recovery_error_passes(const struct error *err);

#endif
