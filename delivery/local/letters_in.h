/*
 * letters_in: letters as they come from the root part, for the processes that work as users.
 */
#ifndef POSTERN_LOCAL_LETTERS_IN_H
#define POSTERN_LOCAL_LETTERS_IN_H

#include <sys/queue.h>

#include "common/ipc/ipc.h"
#include "delivery/local/letter.h"
#include "delivery/local/mailbox.h"

/* A letter that comes or waits for its turn. */
struct task {
	TAILQ_ENTRY(task) link;
	uint32_t call;
	struct letter letter;
	char *texts; /* what the letter's spans point into */
	void *more; /* the process's own */
};

TAILQ_HEAD(task_list, task);

struct letters_in {
	struct task_list coming;
	struct task_list ready;
};

void letters_in_init(struct letters_in *in);

/* MAILBOX_OPEN, _DATA, _FILE, _GO. -1 with err for one that is out of place. */
int letters_in_open(struct letters_in *in, const struct ipc_frame *frame, struct error *err);
int letters_in_data(struct letters_in *in, const struct ipc_frame *frame, struct error *err);
int letters_in_file(struct letters_in *in, const struct ipc_frame *frame, struct error *err);
int letters_in_go(struct letters_in *in, const struct ipc_frame *frame, struct error *err);

/* One that is still coming; NULL. */
struct task *letters_in_find(struct letters_in *in, uint32_t call);

/* Tells what became of it, and frees it. It is in neither list. */
void task_answer(struct task *task, struct ipc_channel *channel, const struct mailbox_result *result);

#endif
