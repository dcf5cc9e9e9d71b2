/*
 * journal: records of the loop on their way to the log.
 */
#ifndef POSTERN_QUEUE_JOURNAL_H
#define POSTERN_QUEUE_JOURNAL_H

#include "queue/queue.h"

/* bytes: a whole record, malloc()ed; done frees w and, where it owns them, the bytes. must: see log_writer.h. */
struct log_work *journal_put(struct queue *q, enum record_type type, uint64_t id, uint8_t *bytes, size_t len,
    bool must, void (*done)(struct log_work *w), void *context);

/* Builds and puts a record about a message that is in memory; when it is durable, the index is owed an update. */
void journal_hold(struct queue *q, struct message *m); /* as it is now */
void journal_edit(struct queue *q, struct message *m, const struct part_edit *edit);
void journal_recipients(struct queue *q, struct message *m, uint32_t first, uint32_t count);
void journal_remove(struct queue *q, struct message *m, enum removal_reason why);
void journal_snapshot(struct queue *q, struct message *m, struct span content);

/* The recipient's fate changed: to be recorded within spool_outcome_delay. */
void journal_outcome(struct queue *q, struct message *m, struct recipient *r);

/* What is unrecorded goes to the writer now. */
void journal_flush_outcomes(struct queue *q);
void journal_kick(struct queue *q);
int journal_start(struct queue *q, uint64_t number, uint64_t first, struct error *err);

#endif
