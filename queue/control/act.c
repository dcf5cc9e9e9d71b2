/*
 * control_act: what an operator may do to a message.
 */
#include "common/base/clock.h"
#include "queue/control/control.h"
#include "queue/control/transit.h"
#include "queue/spool_clock.h"

enum { AT_ONCE_MAX = 5000 };

static void
put_piece(void *context, struct span piece)
{
	walk_row(context, piece);
}

bool
act_list(struct walk *w, struct message *m)
{
	control_row(m, put_piece, w);
	return true;
}

bool
act_count(struct walk *w, struct message *m)
{
	(void)w;
	(void)m;
	return true;
}

/* The words are postsuper(1)'s, and behind them who it was. */
static void
log_act(const struct walk *w, const struct message *m, const char *what)
{
	char who[CONTROL_WHO_SIZE];

	control_who(w->channel, who);
	log_info(QUEUE_LOG(m->id), "%s by %s", what, who);
}

/* Of what is on hold another reason can be given; the mark of a move is none. */
static bool
has_new_reason(const struct walk *w, const struct message *m)
{
	const char *reason = w->filter.hold_reason;

	return reason && reason[0] && !span_is(m->e.hold_reason, reason) && !transit_is_marked(m);
}

bool
act_hold(struct walk *w, struct message *m)
{
	char who[CONTROL_WHO_SIZE];

	if (m->e.held && !has_new_reason(w, m))
		return false;
	control_who(w->channel, who);
	message_hold(m, true, span_of(w->filter.hold_reason), span_of(who), clock_wall_us());
	m->fresh = false;
	scheduler_take_out(w->q, m);
	journal_hold(w->q, m);
	log_act(w, m, "placed on hold");
	return true;
}

/* asked: also of a transport of defer_transports. */
static void
due_now(struct queue *q, struct message *m, bool new_routes, bool asked)
{
	struct part_edit edit = {.what = EDIT_DUE, .value = spool_clock_now()};

	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = m->recipients[i];

		r->p.due_spool_us = edit.value;
		if (new_routes)
			r->p.generation = 0;
		if (asked)
			scheduler_ask_for(q, r);
	}
	journal_edit(q, m, &edit);
	/* Of very many, the rest come back from the index as they are due. */
	if (q->live.count < AT_ONCE_MAX)
		scheduler_add(q, m, true);
}

/* Its file may go on in another instance: a filter does not catch it, only who names it. */
static bool
is_moving(const struct walk *w, const struct message *m)
{
	return transit_is_marked(m) && w->filter.id_count == 0;
}

bool
act_release(struct walk *w, struct message *m)
{
	if (!m->e.held || is_moving(w, m))
		return false;
	message_hold(m, false, span_make("", 0), span_make("", 0), 0);
	journal_hold(w->q, m);
	log_act(w, m, "released from hold");
	due_now(w->q, m, true, false);
	return true;
}

bool
act_delete(struct walk *w, struct message *m)
{
	log_act(w, m, "deleted");
	journal_remove(w->q, m, REMOVAL_DELETED);
	journal_kick(w->q);
	return true;
}

bool
act_retry(struct walk *w, struct message *m)
{
	if (m->e.held)
		return false;
	due_now(w->q, m, false, true);
	return true;
}

bool
act_requeue(struct walk *w, struct message *m)
{
	if (is_moving(w, m))
		return false;
	if (m->e.held) {
		message_hold(m, false, span_make("", 0), span_make("", 0), 0);
		journal_hold(w->q, m);
	}
	scheduler_take_out(w->q, m);
	log_act(w, m, "requeued");
	due_now(w->q, m, true, false);
	return true;
}
