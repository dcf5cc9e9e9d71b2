/*
 * conversation: the asker's side of what is under way on a connection.
 *
 * A conversation is found by its number, told when its deadline passes, and while there is no credit for it waits in
 * order with all that was sent in it.
 */
#ifndef POSTERN_IPC_CONVERSATION_H
#define POSTERN_IPC_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ipc/ipc.h"
#include "common/ipc/outqueue.h"

struct conversation {
	uint32_t call;
	enum ipc_type asked; /* what opened it */
	bool waiting; /* for credit */
	ipc_answer *on_answer; /* NULL: cancelled or timed out; the peer still owes the ANSWER */
	void *context;
	int64_t timeout_us;
	int64_t deadline_us; /* 0: none */
	int64_t
	    heap_us; /* the deadline that its place in the heap stands for: never later than deadline_us */
	size_t heap_at; /* place in the heap + 1; 0: not there */
	struct outqueue pending; /* while waiting */
	struct conversation *next_in_bucket;
	struct conversation *next, *previous; /* in the order of asking, while waiting */
};

struct conversations {
	struct conversation **buckets;
	size_t bucket_count, count;
	size_t scan; /* no bucket before this one holds anything */
	struct conversation **heap;
	size_t heap_count, heap_cap;
	struct conversation *first_waiting, *last_waiting;
	size_t waiting_bytes;
	struct conversation *spare;
	uint32_t last_call;
	bool wrapped; /* all numbers were used once */
};

void conversations_clear(struct conversations *all);

/* A new one with the next free number. */
struct conversation *conversation_add(struct conversations *all);
struct conversation *conversation_find(const struct conversations *all, uint32_t call);

/* Any of them, NULL when there is none. */
struct conversation *conversation_any(struct conversations *all);

/* Whether the number was ever given out. */
bool conversation_known(const struct conversations *all, uint32_t call);

/* Takes it out of everything and frees it. */
void conversation_remove(struct conversations *all, struct conversation *c);

void conversation_wait(struct conversations *all, struct conversation *c);
void conversation_stop_waiting(struct conversations *all, struct conversation *c);

/* Moving a deadline later is free: its place in the heap is mended when it comes up. 0: none. */
void conversation_set_deadline(struct conversations *all, struct conversation *c, int64_t deadline_us);

/* The first whose deadline has passed; otherwise NULL, and *next_us says when to ask again (0: never). */
struct conversation *conversation_overdue(struct conversations *all, int64_t now_us, int64_t *next_us);

#endif
