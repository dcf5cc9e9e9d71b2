/*
 * Postmaster is told of conversations with errors (notify_classes), by smtpd and delivery through here, for here is one limit for
 * all of their processes: strangers make errors as they like. BURST notices at once, then one each EACH_US; what is beyond is
 * counted, and the next notice says how many had none. They are kept in memory until pickup has taken them, and are no promise.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/transcript.h"
#include "queue/queue.h"

enum {
	BURST = 20,
	EACH_US = 60 * US_PER_SECOND,
	WAITING_MAX = 20,
	TIMEOUT_MS = 120 * 1000,
	AGAIN_S = 5,
	TRIES = 60
};
enum { SUBJECT_MAX = 520, LINES_MAX = TRANSCRIPT_MAX + 1000 };

struct session_notice {
	LIST_ENTRY(session_notice) link;
	struct queue *q;
	struct event *again;
	bool bounce;
	unsigned tries;
	struct buf subject, lines;
};

static void
end(struct session_notice *n)
{
	LIST_REMOVE(n, link);
	n->q->session_notice_count--;
	event_free(n->again);
	buf_free(&n->subject);
	buf_free(&n->lines);
	free(n);
}

static void
try_again(struct session_notice *n)
{
	struct timeval wait = {.tv_sec = AGAIN_S};

	if (++n->tries < TRIES && !server_is_stopping(n->q->server)) {
		event_add(n->again, &wait);
		return;
	}
	log_warning(NULL, "a notice to postmaster is lost: %s", buf_text(&n->subject));
	end(n);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session_notice *n = context;

	(void)err;
	if (frame && frame->notify_done.status == SUBMIT_OK)
		end(n);
	else
		try_again(n);
	return 0;
}

static void
ask(evutil_socket_t fd, short what, void *context)
{
	struct session_notice *n = context;
	struct ipc_channel *peer = server_peer(n->q->server, ROLE_PICKUP, 0);
	const struct conf_values *v = n->q->conf;
	struct msg_notify_open open = {.kind = NOTIFY_SESSION,
	    .to = span_of(n->bounce ? v->bounce_notice_recipient : v->error_notice_recipient)};
	struct msg_notify_rcpt rcpt = {.text = buf_span(&n->subject)};
	struct msg_notify_data data = {.bytes = buf_span(&n->lines)};
	struct msg_notify_go go = {0};
	uint32_t call = 0;

	(void)fd;
	(void)what;
	if (open.to.len == 0) {
		end(n);
		return;
	}
	if (peer)
		call = ipc_ask(peer, IPC_NOTIFY_OPEN, &open, TIMEOUT_MS, on_answer, n);
	if (call == 0) {
		try_again(n);
		return;
	}
	ipc_send(peer, IPC_NOTIFY_RCPT, call, &rcpt);
	ipc_send(peer, IPC_NOTIFY_DATA, call, &data);
	ipc_send(peer, IPC_NOTIFY_GO, call, &go);
}

/* One each EACH_US, BURST of them ahead of time. */
static bool
is_too_much(struct queue *q)
{
	int64_t now = clock_mono_us();

	if (q->session_notice_us < now)
		q->session_notice_us = now;
	if (q->session_notice_count >= WAITING_MAX ||
	    q->session_notice_us + EACH_US > now + (int64_t)BURST * EACH_US)
		return true;
	q->session_notice_us += EACH_US;
	return false;
}

int
notify_session(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_session_errors *m = &frame->session_errors;
	struct queue *q = queue_of(context);
	struct session_notice *n;

	(void)channel;
	(void)err;
	if (is_too_much(q)) {
		if (q->session_notices_left_out++ == 0)
			log_warning(NULL, "postmaster is told of no more conversations with errors for now");
		return 0;
	}
	n = mem_alloc(sizeof(*n));
	n->q = q;
	n->again = event_new(q->base, -1, 0, ask, n);
	n->bounce = (m->classes & CLASS_BOUNCE) != 0;
	buf_init(&n->subject, SUBJECT_MAX);
	buf_init(&n->lines, LINES_MAX);
	(void)buf_append_span(&n->subject, m->subject);
	(void)buf_append_span(&n->lines, m->lines);
	if (m->omitted)
		(void)buf_printf(&n->lines, "\n(%u lines more)\n", m->omitted);
	if (m->reason.len)
		(void)buf_printf(&n->lines, "\nSession aborted, reason: %.*s\n", SPAN_ARG(m->reason));
	if (q->session_notices_left_out)
		(void)buf_printf(&n->lines,
		    "\nOf %u more conversations with errors before this one there is no notice.\n",
		    q->session_notices_left_out);
	q->session_notices_left_out = 0;
	LIST_INSERT_HEAD(&q->session_notices, n, link);
	q->session_notice_count++;
	ask(-1, 0, n);
	return 0;
}

void
notify_session_stop(struct queue *q)
{
	while (!LIST_EMPTY(&q->session_notices))
		end(LIST_FIRST(&q->session_notices));
}
