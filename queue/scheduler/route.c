/*
 * route: a route is a cache. When a recipient comes due with one of another generation than lookup's, it is
 * asked for again. Not only of an earlier one: generations are times, and after the clock was set back a new lookup's lie
 * behind those of routes that were asked for before.
 *
 * After a change of tables a list has ten thousand questions at once: so many are under way, and the others wait.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

enum { TIMEOUT_MS = 60 * 1000, AGAIN_S = 10, ASKED_MAX = 500 };

struct route_question {
	STAILQ_ENTRY(route_question) link;
	struct queue *q;
	struct message *message;
	uint32_t index; /* of the recipient */
	bool flush;
	bool found;
	char transport[65];
	char nexthop[501];
};

struct route_questions {
	STAILQ_HEAD(, route_question) waiting;
	unsigned asked;
};

/* Another one than before is recorded: what is listed of the message is the same after a rebuild, and while it is on hold. */
static void
take_route(const struct route_question *w, struct recipient *r)
{
	uint64_t generation = w->q->route_generation;
	struct part_edit edit = {.what = EDIT_ROUTE,
	    .index = r->p.index,
	    .value = (int64_t)generation,
	    .transport = span_of(w->transport),
	    .nexthop = span_of(w->nexthop)};
	bool other = !span_equal(r->p.transport, edit.transport) || !span_equal(r->p.nexthop, edit.nexthop);
	const struct hop *before = hop_known(w->q, r->p.transport, r->p.nexthop);
	bool asked = before && hop_was_asked_for(before, r);

	if (!recipient_route(w->message, r, edit.transport, edit.nexthop, generation))
		other = false; /* it goes where it went so far */
	if (asked)
		scheduler_ask_for(w->q, r);
	if (other)
		journal_edit(w->q, w->message, &edit);
}

static void
question_end(struct route_question *w, bool ok)
{
	struct queue *q = w->q;
	struct message *m = w->message;
	struct recipient *r = message_recipient(m, w->index);

	m->busy--;
	if (r && !m->removed) {
		r->resolving = false;
		/* Whatever an operator chose meanwhile stays. */
		if (ok && w->found && !r->p.pinned)
			take_route(w, r);
		/* Without an answer it stays as it is and is asked for again. */
		if (!ok) {
			r->p.due_spool_us = spool_clock_now() + AGAIN_S * US_PER_SECOND;
			journal_outcome(q, m, r);
		} else {
			r->p.generation = q->route_generation;
			scheduler_add_one(q, m, r, w->flush);
		}
	}
	free(w);
	young_settle(q, m);
}

static bool ask(struct route_question *w);

/* The next of those that wait. */
static void
go_on(struct queue *q)
{
	struct route_questions *all = q->scheduler->routes;
	struct route_question *w;

	while (all->asked < ASKED_MAX && (w = STAILQ_FIRST(&all->waiting))) {
		STAILQ_REMOVE_HEAD(&all->waiting, link);
		if (!ask(w))
			question_end(w, false);
	}
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct route_question *w = context;
	struct queue *q = w->q;

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT) {
		w->found = span_copy(frame->resolve_rcpt.transport, w->transport, sizeof(w->transport)) &&
			   span_copy(frame->resolve_rcpt.nexthop, w->nexthop, sizeof(w->nexthop));
		return 0;
	}
	q->scheduler->routes->asked--;
	if (frame)
		question_end(w, frame->resolve_done.status != LOOKUP_TEMPORARY);
	else
		question_end(w, false);
	go_on(q);
	return 0;
}

static bool
ask(struct route_question *w)
{
	struct queue *q = w->q;
	const struct recipient *r = message_recipient(w->message, w->index);
	struct msg_resolve_ask ask = {.flags = RESOLVE_ROUTE};

	if (!r || w->message->removed)
		return false;
	ask.address = r->p.recipient;
	ask.sender = recipient_origin(w->message, r);
	if (ipc_ask(
		server_peer(q->server, ROLE_LOOKUP, 0), IPC_RESOLVE_ASK, &ask, TIMEOUT_MS, on_answer, w) == 0)
		return false;
	q->scheduler->routes->asked++;
	return true;
}

void
route_refresh(struct queue *q, struct message *m, struct recipient *r, bool flush)
{
	struct route_question *w = mem_alloc(sizeof(*w));

	if (!q->scheduler->routes) {
		q->scheduler->routes = mem_alloc(sizeof(*q->scheduler->routes));
		STAILQ_INIT(&q->scheduler->routes->waiting);
	}
	w->q = q;
	w->message = m;
	w->index = r->p.index;
	w->flush = flush;
	r->resolving = true;
	m->busy++;
	STAILQ_INSERT_TAIL(&q->scheduler->routes->waiting, w, link);
	go_on(q);
}

void
routes_free(struct queue *q)
{
	struct route_questions *all = q->scheduler->routes;
	struct route_question *w;

	while (all && (w = STAILQ_FIRST(&all->waiting))) {
		STAILQ_REMOVE_HEAD(&all->waiting, link);
		free(w);
	}
	free(all);
}

int
route_changed(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct queue *q = queue_of(context);

	(void)channel;
	(void)err;
	q->route_generation = frame->lookup_changed.generation;
	return 0;
}

bool
route_is_old(const struct queue *q, const struct recipient *r)
{
	return q->route_generation != 0 && r->p.generation != q->route_generation &&
	       r->p.generation != ROUTE_STAYS && !r->p.pinned;
}
