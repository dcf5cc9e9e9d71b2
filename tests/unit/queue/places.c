#include "tests/unit/queue/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/ipc/channel.h"
#include "queue/scheduler/hop.h"

/* ---- the clock ---- */

static _Atomic int64_t ahead_us;

int64_t
real_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return real_us(CLOCK_MONOTONIC) + ahead_us;
}

int64_t
clock_wall_us(void)
{
	return real_us(CLOCK_REALTIME) + ahead_us;
}

/* ---- destinations ---- */

enum { CALLS = 65536 };

struct place *places;
size_t place_count;
static struct {
	uint32_t place, recipients;
} calls[CALLS];

static struct place *
place_of(struct span name)
{
	for (size_t i = 0; i < place_count; i++)
		if (span_is(name, places[i].name))
			return &places[i];
	fail_msg("no such place: %.*s", SPAN_ARG(name));
	return NULL;
}

struct place *
place_new(const char *name, enum kind kind)
{
	struct place *p = &places[place_count++];

	memset(p, 0, sizeof(*p));
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->kind = kind;
	p->least_gap_us = INT64_MAX;
	return p;
}

void
place_answer(struct world *w, struct place *p, uint32_t call)
{
	struct msg_job_outcome o = {.class = p->kind == LIVE ? OUTCOME_DELIVERED : OUTCOME_DEFERRED,
	    .status = SPAN_LIT("4.4.1"),
	    .relay = SPAN_LIT("none"),
	    .text = SPAN_LIT("connect: Connection refused")};
	struct msg_job_done done = {.destination = p->kind == LIVE ? HOP_UP : HOP_DOWN,
	    .text = SPAN_LIT("connect: Connection refused")};

	for (uint32_t i = 0; i < calls[call % CALLS].recipients; i++) {
		o.index = i;
		ipc_send(w->delivery, IPC_JOB_OUTCOME, call, &o);
	}
	ipc_send(w->delivery, IPC_JOB_DONE, call, &done);
	p->active--;
	p->last_us = clock_mono_us();
	if (p->kind == LIVE)
		p->recipients += calls[call % CALLS].recipients;
}

bool places_say_where;

static void
on_job(struct world *w, const struct ipc_frame *frame)
{
	struct place *p;

	if (frame->type == IPC_JOB_WHERE && places_say_where)
		ipc_send(w->delivery, IPC_JOB_STATE, frame->call, &(struct msg_job_state){0});
	if (frame->type == IPC_JOB_OPEN) {
		p = place_of(frame->job_open.nexthop);
		calls[frame->call % CALLS].place = (uint32_t)(p - places);
		calls[frame->call % CALLS].recipients = frame->job_open.recipients;
		p->jobs++;
		if (++p->active > p->most_active)
			p->most_active = p->active;
		if (p->last_us != 0 && clock_mono_us() - p->last_us < p->least_gap_us)
			p->least_gap_us = clock_mono_us() - p->last_us;
	} else if (frame->type == IPC_JOB_GO) {
		p = &places[calls[frame->call % CALLS].place];
		if (p->kind == SILENT)
			p->waiting[p->active - 1] = frame->call;
		else
			place_answer(w, p, frame->call);
	}
}

/* The time-out of all that it was asked. */
void
places_give_up(struct world *w, struct place *p)
{
	unsigned n = p->active;
	uint32_t waiting[WORLD_JOBS_MAX];

	memcpy(waiting, p->waiting, sizeof(waiting));
	for (unsigned i = 0; i < n; i++)
		place_answer(w, p, waiting[i]);
}

/* ---- the world ---- */

unsigned places_answered;

static int
on_submitted(void *context, const struct ipc_frame *frame, struct error *err)
{
	(void)context;
	(void)err;
	if (frame && frame->type == IPC_SUBMIT_ANSWER && frame->submit_answer.status == SUBMIT_OK)
		places_answered++;
	return 0;
}

unsigned places_submit_flags;

void
places_submit(struct world *w, const struct place *p, unsigned recipients)
{
	struct msg_submit_open open = {
	    .sender = SPAN_LIT("s@here.test"), .protocol = SPAN_LIT("ESMTP"), .flags = places_submit_flags};
	struct msg_submit_close end = {.prepend = SPAN_LIT("Received: by here\r\n"), .header_len = 20};
	uint32_t call = ipc_ask(w->submitter, IPC_SUBMIT_OPEN, &open, 0, on_submitted, w);
	char address[80];

	assert_int_not_equal(call, 0);
	for (unsigned i = 0; i < recipients; i++) {
		struct msg_submit_rcpt rcpt = {.transport = SPAN_LIT("smtp"),
		    .nexthop = span_of(p->name),
		    .generation = 1,
		    .recipient = span_make(address, 0)};

		rcpt.recipient.len = (size_t)snprintf(address, sizeof(address), "r%u@%s", i, p->name);
		ipc_send(w->submitter, IPC_SUBMIT_RCPT, call, &rcpt);
	}
	ipc_send(w->submitter, IPC_SUBMIT_CLOSE, call, &end);
}

void
places_submit_many(struct world *w, const struct place *p, unsigned messages)
{
	unsigned wanted = places_answered + messages;

	for (unsigned i = 0; i < messages; i++) {
		places_submit(w, p, 1);
		if (i % 500 == 499 || i + 1 == messages)
			assert_true(WORLD_UNTIL(w, places_answered == wanted - messages + i + 1));
	}
}

/* The clock moves, and whatever has a timer looks at it. */
void
places_advance(struct world *w, int64_t us)
{
	struct scheduler *s = w->queue.scheduler;
	size_t position = 0;
	struct transport *t;
	struct span key;

	ahead_us += us;
	event_active(s->wake_event, EV_TIMEOUT, 0);
	event_active(w->queue.tick_event, EV_TIMEOUT, 0);
	event_active(&w->to_delivery->timer, EV_TIMEOUT, 0);
	while ((t = table_next(s->transports, &position, &key)))
		if (t->timer && event_pending(t->timer, EV_TIMEOUT, NULL))
			event_active(t->timer, EV_TIMEOUT, 0);
	for (int i = 0; i < 3; i++)
		world_turn(w, 2);
}

struct world *
places_begin(const char *settings)
{
	struct world *w;

	place_count = 0;
	places_answered = 0;
	w = world_open(NULL, settings);
	w->on_job = on_job;
	return w;
}

void
places_end(struct world **w)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", (*w)->dir);
	for (size_t i = 0; i < place_count; i++) {
		enum kind kind = places[i].kind;

		places[i].kind = DEAD;
		if (kind == SILENT)
			places_give_up(*w, &places[i]);
	}
	world_close(w);
	world_remove(dir);
}

struct hop *
hop_of(struct world *w, const struct place *p)
{
	return hop_get(&w->queue, SPAN_LIT("smtp"), span_of(p->name));
}
