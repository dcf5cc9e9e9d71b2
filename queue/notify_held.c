/*
 * Postmaster is told of mail that is on hold since its sender is over a limit (MAIL_TELL_HELD). The notice is pickup's;
 * once it is durable the message says so (EDIT_TOLD_HELD): at worst there are two. A queue process that died is followed by one
 * that finds the message in what it reads of the log.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "queue/queue.h"

enum { TIMEOUT_MS = 120 * 1000, AGAIN_S = 2 };

struct held_notice {
	struct queue *q;
	struct message *message;
	struct event *again;
};

static void ask(struct held_notice *n);

static bool
is_wanted(const struct message *m)
{
	return m->e.held && (m->e.flags & MAIL_TELL_HELD) && m->count > 0 && !m->removed;
}

static void
end(struct held_notice *n)
{
	struct queue *q = n->q;
	struct message *m = n->message;

	if (n->again)
		event_free(n->again);
	free(n);
	m->notifying = false;
	/* Not before: what the index lacks a new process reads in the log. */
	if (!m->removed)
		young_want_index(q, m);
	outcome_settle(q, m);
}

static void
on_again(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	ask(context);
}

static void
try_again(struct held_notice *n)
{
	struct timeval wait = {.tv_sec = AGAIN_S};

	/* It was released or deleted meanwhile, or another process will see to it. */
	if (!is_wanted(n->message) || server_is_stopping(n->q->server)) {
		end(n);
		return;
	}
	if (!n->again)
		n->again = event_new(n->q->base, -1, 0, on_again, n);
	event_add(n->again, &wait);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct held_notice *n = context;
	struct part_edit told = {.what = EDIT_TOLD_HELD};

	(void)err;
	if (!frame || frame->notify_done.status != SUBMIT_OK) {
		try_again(n);
		return 0;
	}
	if (!n->message->removed) {
		message_edit(n->message, &told);
		journal_edit(n->q, n->message, &told);
	}
	end(n);
	return 0;
}

static void
ask(struct held_notice *n)
{
	const struct message *m = n->message;
	struct ipc_channel *peer = server_peer(n->q->server, ROLE_PICKUP, 0);
	struct msg_notify_go go = {0};
	struct msg_notify_open open = {
	    .id = m->id,
	    .kind = NOTIFY_HELD,
	    .to = span_of(n->q->conf->error_notice_recipient),
	    .sender = m->e.sender,
	    .flags = m->e.flags,
	    .arrival_us = m->e.arrival_us,
	};
	struct msg_notify_rcpt rcpt = {.recipient = m->recipients[0]->p.recipient, .text = m->e.hold_reason};
	uint32_t call = 0;

	if (peer && is_wanted(m))
		call = ipc_ask(peer, IPC_NOTIFY_OPEN, &open, TIMEOUT_MS, on_answer, n);
	if (call == 0) {
		try_again(n);
		return;
	}
	ipc_send(peer, IPC_NOTIFY_RCPT, call, &rcpt);
	ipc_send(peer, IPC_NOTIFY_GO, call, &go);
}

void
notify_held(struct queue *q, struct message *m)
{
	struct held_notice *n;

	if (m->notifying || !is_wanted(m))
		return;
	n = mem_alloc(sizeof(*n));
	n->q = q;
	n->message = m;
	m->notifying = true;
	ask(n);
}

static void
on_found(struct queue *q, struct message *m, void *context)
{
	(void)context;
	if (!m)
		return;
	notify_held(q, m);
	outcome_settle(q, m);
}

void
notify_found(struct queue *q, uint64_t id)
{
	young_get(q, id, on_found, NULL);
}
