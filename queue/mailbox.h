/*
 * mailbox: a list of work that one thread gives to another.
 *
 * Works are linked through their first member, belong to whoever holds them, and keep their order. Waking costs a
 * system call only when the other side sleeps: a thread on a semaphore, the event loop on an eventfd. What
 * is in flight is bounded by whoever makes the works (submission budget, jobs, indexer batches).
 */
#ifndef POSTERN_QUEUE_MAILBOX_H
#define POSTERN_QUEUE_MAILBOX_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct work {
	struct work *next;
};

struct work_list {
	struct work *head;
	struct work *tail;
};

struct mailbox {
	pthread_mutex_t lock;
	sem_t wake;
	struct work_list list;
	int event_fd; /* -1 where a thread waits */
	bool sleeping; /* the reader waits: it must be woken */
};

void work_append(struct work_list *list, struct work *w);
struct work *work_take(struct work_list *list);
void work_append_list(struct work_list *list, struct work_list *from);

/* for_loop: the reader is the event loop, which watches event_fd. */
int mailbox_init(struct mailbox *m, bool for_loop, struct error *err);

/* Empties the list given. */
void mailbox_put_list(struct mailbox *m, struct work_list *list);
void mailbox_put(struct mailbox *m, struct work *w);

/* Takes all there is. The thread's form waits until there is something; timeout_us < 0: for ever. */
struct work_list mailbox_wait(struct mailbox *m, int64_t timeout_us);

/* The loop's form: call it when event_fd is readable. */
struct work_list mailbox_take_all(struct mailbox *m);

#endif
