/*
 * space: the segments as a whole: which is next, which is dead, what is left of the disk.
 */
#ifndef POSTERN_QUEUE_SPACE_H
#define POSTERN_QUEUE_SPACE_H

#include "queue/queue.h"

/* NULL: that position is in no segment. */
struct segment_info *space_segment_of(struct queue *q, uint64_t position);
int space_segment_add(struct queue *q, const struct segment *s, uint64_t end, bool sealed);

/* What a message takes of the log: the head of its record (of a list with ten thousand recipients, nearly all), and content. */
uint64_t space_octets(uint64_t position, uint64_t content_position, const struct part_envelope *e);

/* A message's record lies in the log from now on; no longer. */
void space_message_added(struct queue *q, const struct message *m);
void space_message_gone(struct queue *q, const struct message *m);

void space_on_writer(struct queue *q, struct log_work *w);
void space_want_spare(struct queue *q);
void space_check(struct queue *q);

/* reclaim.c: frees or empties the oldest segment, if it is time; frees it if nothing lives in it any more. */
void reclaim_check(struct queue *q);

/* Each second, before that: notes segments whose file was deleted, which are emptied first. */
void reclaim_look(struct queue *q);
void reclaim_empty(struct queue *q);

void space_tell_peer(struct queue *q, struct ipc_channel *peer);
bool space_refuses(const struct queue *q);

/*
 * A transaction of the index will not find the disk full. One that does leaves an index that nobody can read until
 * there is space, so that no deferred mail would be tried.
 */
bool space_index_has_room(const struct queue *q);

/* What room.h keeps back. In any thread. */
size_t space_room_octets(const struct queue *q);

/* In any thread. */
bool space_is_read_only(const struct queue *q);

/* What becomes of a delivery can be recorded: while it cannot, nothing is tried. */
bool space_can_record(const struct queue *q);

/* That much may be taken and the index can still grow. */
bool space_has_room(const struct queue *q, uint64_t octets);

#endif
