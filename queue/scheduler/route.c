/*
 * route: a route is a cache. When a recipient comes due with one of an earlier generation than lookup's, it is
 * asked for again.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

enum { TIMEOUT_MS = 60 * 1000, AGAIN_S = 10 };

struct route_question {
	struct queue *q;
	struct message *message;
	uint32_t index; /* of the recipient */
	bool found;
	char transport[65];
	char nexthop[501];
};

static void
question_end(struct route_question *w, bool ok, uint64_t generation)
{
	struct queue *q = w->q;
	struct message *m = w->message;
	struct recipient *r = message_recipient(m, w->index);

	m->busy--;
	if (r && !m->removed) {
		r->resolving = false;
		if (generation < q->route_generation)
			generation = q->route_generation;
		if (ok && w->found)
			recipient_route(m, r, span_of(w->transport), span_of(w->nexthop), generation);
		/* Without an answer it stays as it is and is asked for again. */
		if (!ok) {
			r->p.due_spool_us = spool_clock_now() + AGAIN_S * US_PER_SECOND;
			journal_outcome(q, m, r);
		} else {
			r->p.generation = generation;
			scheduler_add(q, m, false);
		}
	}
	free(w);
	young_settle(q, m);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct route_question *w = context;

	if (!frame) {
		question_end(w, false, 0);
		return 0;
	}
	if (frame->type == IPC_RESOLVE_RCPT) {
		w->found = span_copy(frame->resolve_rcpt.transport, w->transport, sizeof(w->transport)) &&
			   span_copy(frame->resolve_rcpt.nexthop, w->nexthop, sizeof(w->nexthop));
		return 0;
	}
	if (frame->type != IPC_RESOLVE_DONE)
		return error_set(err, "unexpected %s for a route", ipc_type_name(frame->type));
	question_end(w, frame->resolve_done.status != LOOKUP_TEMPORARY, frame->resolve_done.generation);
	return 0;
}

void
route_refresh(struct queue *q, struct message *m, struct recipient *r)
{
	struct route_question *w = mem_alloc(sizeof(*w));
	struct msg_resolve_ask ask = {
	    .address = r->p.recipient, .sender = recipient_sender(m, r), .flags = RESOLVE_ROUTE};

	w->q = q;
	w->message = m;
	w->index = r->p.index;
	r->resolving = true;
	m->busy++;
	if (ipc_ask(
		server_peer(q->server, ROLE_LOOKUP, 0), IPC_RESOLVE_ASK, &ask, TIMEOUT_MS, on_answer, w) == 0)
		question_end(w, false, 0);
}

int
route_changed(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct queue *q = queue_of(context);

	(void)channel;
	(void)err;
	if (frame->lookup_changed.generation > q->route_generation)
		q->route_generation = frame->lookup_changed.generation;
	return 0;
}
