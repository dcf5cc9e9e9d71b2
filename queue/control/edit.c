/*
 * control_edit: what an operator changes in one message: a recipient, the next hop, the expiry.
 *
 * What is being delivered is not changed: the operator is told to come again. The answer follows the sync that covers
 * the record, as a 250 does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/date.h"
#include "queue/control/control.h"
#include "queue/control/recorded.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

struct editing {
	struct editing *next;
	struct queue *q;
	struct ipc_channel *channel; /* NULL: the tool is gone; what it asked for happens */
	uint32_t call;
	uint64_t id;
	char who[CONTROL_WHO_SIZE];
	enum edit_kind what;
	bool bounce; /* EDIT_EXPIRE, and at once */
	char *from, *to, *transport, *nexthop;
	int64_t wall_us; /* of EDIT_EXPIRE */
	struct message *message;
};

static struct editing *editings;

static void
editing_end(struct editing *e, uint8_t status, const char *text)
{
	struct editing **p = &editings;

	if (e->channel)
		control_done(e->channel, e->call, status, status == 0, text);
	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	free(e->from);
	free(e->to);
	free(e->transport);
	free(e->nexthop);
	free(e);
}

void
control_edit_gone(struct ipc_channel *channel)
{
	for (struct editing *e = editings; e; e = e->next)
		if (e->channel == channel)
			e->channel = NULL;
}

/* ---- arguments ---- */

static char *
copy(struct span value)
{
	return mem_strndup(value.len ? value.ptr : "", value.len);
}

/* "id=ID", then one of "drop=A", "recipient=A" and "to=B", "transport=T" and "nexthop=H", "expire=SECONDS", "bounce", "sender=A", "add=A". */
static bool
take_arg(struct editing *e, struct span name, struct span value)
{
	uint64_t seconds;

	if (span_is(name, "id"))
		return queue_id_parse(value, &e->id) == 0;
	if (span_is(name, "drop")) {
		e->what = EDIT_DROP;
		e->from = e->from ? e->from : copy(value);
	} else if (span_is(name, "recipient")) {
		e->what = EDIT_RECIPIENT;
		e->from = e->from ? e->from : copy(value);
	} else if (span_is(name, "to")) {
		e->to = e->to ? e->to : copy(value);
		return value.len > 0 && value.len <= 1000;
	} else if (span_is(name, "transport")) {
		e->transport = e->transport ? e->transport : copy(value);
		return value.len > 0 && value.len <= 64;
	} else if (span_is(name, "nexthop")) {
		e->what = EDIT_NEXTHOP;
		e->nexthop = e->nexthop ? e->nexthop : copy(value);
		return value.len <= 500;
	} else if (span_is(name, "expire")) {
		if (number_parse(value, 0, 100000000000, &seconds) < 0)
			return false;
		e->what = EDIT_EXPIRE;
		e->wall_us = (int64_t)seconds * US_PER_SECOND;
	} else if (span_is(name, "sender") || span_is(name, "add")) {
		e->what = name.len == 3 ? EDIT_ADDED : EDIT_SENDER;
		e->to = e->to ? e->to : copy(value);
		return value.len <= 1000 && (value.len > 0 || e->what == EDIT_SENDER);
	} else if (span_is(name, "bounce")) {
		e->what = EDIT_EXPIRE;
		e->bounce = true;
	} else {
		return false;
	}
	return true;
}

static bool
take_args(struct editing *e, struct span args)
{
	struct span line;

	while (span_next_line(&args, &line)) {
		ptrdiff_t equal = span_find(line, '=');

		if (line.len > 0 && !take_arg(e, equal < 0 ? line : span_sub(line, 0, (size_t)equal),
					equal < 0 ? span_make("", 0) : span_from(line, (size_t)equal + 1)))
			return false;
	}
	return e->id != 0 && e->what != 0 &&
	       (e->what == EDIT_RECIPIENT || e->what == EDIT_DROP) == (e->from != NULL) &&
	       (e->to != NULL) ==
		   (e->what == EDIT_RECIPIENT || e->what == EDIT_SENDER || e->what == EDIT_ADDED) &&
	       (e->what != EDIT_NEXTHOP || e->transport);
}

/* ---- what may be done ---- */

/* What a list led to, by the address that listings show, if only one is there. */
static struct recipient *
find_member(const struct message *m, const char *address)
{
	struct recipient *found = NULL;
	char shown[MEMBER_SHOWN_SIZE];

	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = m->recipients[i];

		if (r->p.state != RECIPIENT_QUEUED || !span_is_nocase(recipient_shown(&r->p, shown), address))
			continue;
		if (found)
			return NULL;
		found = r;
	}
	return found;
}

static struct recipient *
find_recipient(const struct message *m, const char *address)
{
	struct recipient *found = find_member(m, address);

	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = m->recipients[i];

		if (!span_is_nocase(r->p.recipient, address))
			continue;
		if (r->p.state == RECIPIENT_QUEUED)
			return r;
		found = found ? found : r;
	}
	return found;
}

/* Why not; NULL if it may be changed. */
static const char *
refusal(const struct recipient *r)
{
	if (r->job)
		return "is being delivered at this moment: try again when that is over";
	if (r->resolving)
		return "has its route looked up at this moment: try again in a second";
	if (r->p.state == RECIPIENT_REPORT)
		return "is done with: its notification is on its way";
	if (r->p.state == RECIPIENT_DONE)
		return "is done with";
	return NULL;
}

/* Of the one that was named, or of the first that is open and may not be changed. */
static bool
is_refused(struct editing *e, const struct recipient *r)
{
	const struct message *m = e->message;
	const char *why = NULL;
	char text[1200];

	if (r) {
		why = refusal(r);
	} else {
		for (uint32_t i = 0; i < m->count && !why; i++) {
			r = m->recipients[i];
			why = r->p.state == RECIPIENT_QUEUED ? refusal(r) : NULL;
		}
	}
	if (!why)
		return false;
	snprintf(text, sizeof(text), "<%.*s> %s", SPAN_ARG(span_sub(r->p.recipient, 0, 500)), why);
	editing_end(e, r->p.state == RECIPIENT_QUEUED ? EX_TEMPFAIL : EX_DATAERR, text);
	return true;
}

/* ---- doing it ---- */

static void
on_recorded(void *context, const char *why)
{
	char text[400];

	snprintf(text, sizeof(text), "done, but not recorded: it is as before if the queue ends now (%s)",
	    why ? why : "");
	editing_end(context, why ? EX_TEMPFAIL : 0, why ? text : "");
}

static void
log_act(const struct editing *e)
{
	char id[QUEUE_ID_SIZE];
	struct log log = {"qmgr", queue_id_format(e->id, id)};

	switch (e->what) {
	case EDIT_RECIPIENT:
		log_info(&log, "edited by %s: recipient <%s> is now <%s>", e->who, e->from, e->to);
		break;
	case EDIT_DROP:
		log_info(&log, "edited by %s: recipient <%s> dropped", e->who, e->from);
		break;
	case EDIT_SENDER:
		log_info(&log, "edited by %s: sender is now <%s>", e->who, e->to);
		break;
	case EDIT_ADDED:
		log_info(&log, "edited by %s: recipient <%s> added", e->who, e->to);
		break;
	case EDIT_NEXTHOP:
		log_info(&log, "edited by %s: next hop is now %s:%s", e->who, e->transport, e->nexthop);
		break;
	default:
		log_info(&log, "edited by %s: %s", e->who,
		    e->bounce ? "expired now" : "it has another time of expiry");
		break;
	}
}

/* What an expiry would have said, and why it was not delivered before. */
static void
bounce_all(struct editing *e)
{
	struct queue *q = e->q;
	struct message *m = e->message;
	char text[1200];

	log_info(
	    QUEUE_LOG(m->id), "from=<%.*s>, status=force-expired, returned to sender", SPAN_ARG(m->e.sender));
	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = m->recipients[i];
		struct outcome o = {
		    .class = OUTCOME_BOUNCED, .status = SPAN_LIT("5.4.7"), .relay = SPAN_LIT("none")};

		if (r->p.state != RECIPIENT_QUEUED)
			continue;
		snprintf(text, sizeof(text), "message expired by the operator%s%.*s",
		    r->p.text.len > 0 ? "; the last attempt: " : "", SPAN_ARG(span_sub(r->p.text, 0, 1000)));
		o.text = span_of(text);
		outcome_set(q, m, r, &o);
		outcome_log(m, r, &o);
	}
}

/* Its route is asked for; until that is known, and after a crash before that, it is that of another. NULL: there is no room. */
static struct recipient *
add_recipient(const struct editing *e, int64_t now)
{
	struct message *m = e->message;
	const struct part_recipient *other = &m->recipients[0]->p;
	const struct part_recipient p = {.index = m->e.next_index,
	    .recipient = span_of(e->to),
	    .transport = other->transport,
	    .nexthop = other->nexthop,
	    .due_spool_us = now};

	return message_add_recipient(m, &p);
}

static void
act(struct editing *e, struct recipient *r)
{
	struct message *m = e->message;
	int64_t now = spool_clock_now();
	char date[MAIL_DATE_SIZE];
	struct part_edit edit = {.what = (uint8_t)e->what,
	    .index = r ? r->p.index : m->e.next_index,
	    .value = now,
	    .at_us = clock_wall_us(),
	    .by = span_of(e->who)};

	if (e->to)
		edit.text = span_of(e->to);
	if (e->what == EDIT_ADDED && !(r = add_recipient(e, now))) {
		editing_end(e, EX_DATAERR, "it has too many recipients");
		return;
	}
	if (e->what == EDIT_NEXTHOP &&
	    !message_has_room_for_routes(m, strlen(e->transport) + strlen(e->nexthop))) {
		editing_end(e, EX_DATAERR, "it has too many recipients for a next hop of that length");
		return;
	}
	if (e->what == EDIT_NEXTHOP) {
		edit.transport = span_of(e->transport);
		edit.nexthop = span_of(e->nexthop);
	}
	if (e->what == EDIT_EXPIRE && !e->bounce)
		edit.value = now + (e->wall_us - clock_wall_us());
	if (e->what == EDIT_EXPIRE)
		edit.text =
		    e->bounce ? SPAN_LIT("now, with a bounce") : span_of(mail_date_format(e->wall_us, date));
	/* Neither the past before it came, nor 0, which is "as configured". */
	if (e->what == EDIT_EXPIRE && edit.value <= m->e.arrival_spool_us)
		edit.value = m->e.arrival_spool_us + 1;
	if (e->what == EDIT_ADDED)
		journal_recipients(e->q, m, m->count - 1, 1);
	else if (e->what != EDIT_EXPIRE || e->bounce)
		scheduler_take_out(e->q, m);
	message_edit(m, &edit);
	m->fresh = false;
	log_act(e);
	journal_edit(e->q, m, &edit);
	recorded_wait(e->q, on_recorded, e);
	if (e->bounce)
		bounce_all(e);
	if (e->what == EDIT_RECIPIENT || e->what == EDIT_ADDED)
		route_refresh(e->q, m, r, true);
	if (m->open > 0)
		scheduler_add(e->q, m, e->what == EDIT_NEXTHOP);
}

static void
on_message(struct queue *q, struct message *m, void *context)
{
	struct editing *e = context;
	struct recipient *r = NULL;

	e->message = m;
	if (!m || m->removed) {
		editing_end(e, q->recovery ? EX_TEMPFAIL : EX_NOINPUT,
		    q->recovery ? "not found so far: the queue is still being read after a start; try again"
				: "no such message in the queue");
		return;
	}
	if (e->from && !(r = find_recipient(m, e->from))) {
		editing_end(e, EX_DATAERR, "the message has no such recipient");
		return;
	}
	if ((e->what == EDIT_RECIPIENT || e->what == EDIT_ADDED) && find_recipient(m, e->to) &&
	    find_recipient(m, e->to)->p.state != RECIPIENT_DONE) {
		editing_end(e, EX_DATAERR, "that address is a recipient of the message already");
		return;
	}
	/* A new expiry concerns what comes after an attempt that is under way, too. */
	if (e->what != EDIT_ADDED && (e->what != EDIT_EXPIRE || e->bounce) && is_refused(e, r))
		return;
	act(e, r);
}

void
control_edit(struct queue *q, struct ipc_channel *channel, uint32_t call, struct span args)
{
	struct editing *e = mem_alloc(sizeof(*e));

	e->q = q;
	e->channel = channel;
	e->call = call;
	e->next = editings;
	editings = e;
	control_who(channel, e->who);
	if (!take_args(e, args))
		editing_end(e, EX_USAGE, "edit wants a queue id and one thing to change");
	else
		young_get(q, e->id, on_message, e);
}
