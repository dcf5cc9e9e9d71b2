#include "tests/crash/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

#define SETTINGS                                                                                             \
	"spool_segment_size = 256k\nspool_inline_limit = 40k\nindex_delay = 0\nspool_outcome_delay = 20ms\n"

enum note { NOTE_SENT = 1, NOTE_ACKNOWLEDGED, NOTE_ANSWERED, NOTE_KNOWN, NOTE_GONE, NOTE_REFUSED };

/* What prepended text of world_send() adds to the content. */
enum { PREPENDED = sizeof("Received: by here\r\n") - 1, NEVER = 1 << 16, TURNS_MIN = 1500 };

/* ---- the ledger ---- */

static struct promise *
promise_of(struct ledger *l, uint64_t id, bool make)
{
	for (size_t i = l->count; i-- > 0;)
		if (l->promises[i].id == id)
			return &l->promises[i];
	if (!make || l->count == LEDGER_MAX)
		return NULL;
	l->promises[l->count].id = id;
	return &l->promises[l->count++];
}

/* offset: recipients, their index; length: octets; the upper bits of offset: the kind, and whether it is held. */
void
ledger_apply(struct ledger *l, const struct operation *note)
{
	unsigned kind = (unsigned)(note->offset >> 32), index = note->offset & 0xff;
	struct promise *p;

	if (note->kind != RECORDED_NOTE)
		return;
	p = promise_of(l, note->object, kind == NOTE_SENT);
	if (!p || index >= LEDGER_RECIPIENTS)
		return;
	if (kind == NOTE_SENT) {
		p->recipients = index;
		p->held = (note->offset & 0x100) != 0;
		p->octets = note->length;
	} else if (kind == NOTE_ACKNOWLEDGED) {
		p->acknowledged = true;
	} else if (kind == NOTE_ANSWERED) {
		p->answered[index] = true;
	} else if (kind == NOTE_KNOWN) {
		p->known[index] = true;
	} else { /* what was refused must not come either: its sender sends it again */
		p->gone = true;
	}
}

static struct ledger *live_ledger;

static void
note(enum note kind, uint64_t id, uint64_t more, uint64_t length)
{
	struct operation o = {
	    .kind = RECORDED_NOTE, .object = id, .offset = ((uint64_t)kind << 32) | more, .length = length};

	recorder_note(o.object, o.offset, o.length, NULL, 0);
	ledger_apply(live_ledger, &o);
}

/* ---- sending ---- */

/* What a worker makes of recipients: by the letter of the message. */
enum fate {
	FATE_DELIVERED,
	FATE_THIRD, /* deferred twice, then delivered */
	FATE_MIXED, /* the first delivered, the second deferred once, the third bounced */
	FATE_STUCK /* deferred for ever */
};

struct load {
	struct world *w;
	uint64_t next_id;
	unsigned fates[LEDGER_MAX];
	unsigned unanswered; /* submissions under way */
	int64_t tick_us;
};

static struct load *the_load;

/* "r1@far.test" */
static unsigned
recipient_index(const struct msg_job_rcpt *r)
{
	return r->recipient.len > 1 ? (unsigned char)(r->recipient.ptr[1] - '0') : LEDGER_RECIPIENTS;
}

static void
on_rcpt(struct world *w, uint64_t id, const struct msg_job_rcpt *r, struct msg_job_outcome *o)
{
	unsigned index = recipient_index(r);
	unsigned fate = the_load->fates[id % LEDGER_MAX];

	(void)w;
	if (fate == FATE_STUCK || (fate == FATE_THIRD && r->attempt < 2) ||
	    (fate == FATE_MIXED && index == 1 && r->attempt < 1)) {
		o->class = OUTCOME_DEFERRED;
		o->status = SPAN_LIT("4.2.0");
		return;
	}
	if (fate == FATE_MIXED && index == 2) {
		o->class = OUTCOME_BOUNCED;
		o->status = SPAN_LIT("5.1.1");
	}
	note(NOTE_ANSWERED, id, index, 0);
}

/* Whatever of the ledger has become durable since the last look. */
static void
look(struct load *load)
{
	struct ledger *l = live_ledger;

	for (size_t i = 0; i < l->count; i++) {
		struct promise *p = &l->promises[i];
		struct message *m = message_find(&load->w->queue.live, p->id);
		bool all = true;

		if (!p->acknowledged || p->gone || (m && (m->busy || m->unrecorded)))
			continue;
		for (unsigned r = 0; r < p->recipients; r++) {
			if (p->answered[r] && !p->known[r] &&
			    (!m || m->recipients[r]->p.state != RECIPIENT_QUEUED))
				note(NOTE_KNOWN, p->id, r, 0);
			all = all && p->known[r];
		}
		if ((all && !m) || (m && m->removal_durable))
			note(NOTE_GONE, p->id, 0, 0);
	}
}

static void
turn(struct load *load)
{
	struct queue *q = &load->w->queue;

	world_turn(load->w, 2);
	look(load);
	/* What queue does each second. */
	if (clock_mono_us() - load->tick_us < 50 * US_PER_MS)
		return;
	load->tick_us = clock_mono_us();
	young_tick(q);
	scheduler_tick(q);
	space_check(q);
}

static void
turn_for(struct load *load, unsigned ms)
{
	int64_t until = clock_mono_us() + (int64_t)ms * US_PER_MS;

	while (clock_mono_us() < until)
		turn(load);
}

static void
on_answer(struct world *w)
{
	the_load->unanswered--;
	if (w->submit_status != SUBMIT_ABORTED)
		note(w->submit_status == SUBMIT_OK ? NOTE_ACKNOWLEDGED : NOTE_REFUSED, w->submit_id, 0, 0);
}

static uint64_t
send_one(struct load *load, enum fate fate, unsigned recipients, size_t octets, unsigned flags)
{
	uint64_t id = load->next_id++;

	load->fates[id % LEDGER_MAX] = fate;
	note(NOTE_SENT, id, recipients | (flags & MAIL_HOLD ? 0x100 : 0), octets);
	world_send(load->w, id, "s@here.test", recipients, octets, flags);
	load->unanswered++;
	while (load->unanswered > 0)
		turn(load);
	return id;
}

/* Several in one commit. */
static void
send_many(struct load *load, unsigned count, size_t octets)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t id = load->next_id++;

		note(NOTE_SENT, id, 1, octets);
		world_send(load->w, id, "s@here.test", 1, octets, 0);
		load->unanswered++;
		if (load->unanswered == 1 + i % 6)
			while (load->unanswered > 0)
				turn(load);
	}
	while (load->unanswered > 0)
		turn(load);
}

/* ---- the phases ---- */

/* Deferred mail is tried again sooner than any configuration allows. */
static struct world *
open_world(const char *dir)
{
	struct world *w = world_open(dir, SETTINGS);
	struct conf_values *values;

	memcpy(&values, &w->queue.conf, sizeof(values)); /* the world's own, made for it alone */
	values->minimal_backoff_time = 30 * US_PER_MS;
	values->maximal_backoff_time = 60 * US_PER_MS;
	return w;
}

static void
one_of_each(struct load *load)
{
	send_one(load, FATE_DELIVERED, 1, 300, 0);
	send_one(load, FATE_MIXED, 3, 700, 0);
	send_one(load, FATE_DELIVERED, 1, 50000, 0); /* in a file of its own */
	send_one(load, FATE_DELIVERED, 1, 35000, 0); /* its record is written in place */
	send_one(load, FATE_THIRD, 1, 2000, 0);
	send_one(load, FATE_STUCK, 1, 900, 0);
	send_one(load, FATE_DELIVERED, 1, 500, MAIL_HOLD);
}

static void
delete_one(struct load *load, uint64_t id)
{
	struct message *m = message_find(&load->w->queue.live, id);

	if (m && !m->removed && m->jobs == 0) {
		note(NOTE_ANSWERED, id, 0, 0);
		journal_remove(&load->w->queue, m, REMOVAL_DELETED);
		journal_kick(&load->w->queue);
	}
}

static void
run_first(struct load *load)
{
	uint64_t doomed;

	one_of_each(load);
	send_one(load, FATE_THIRD, 2, 50000, 0);
	doomed = send_one(load, FATE_STUCK, 1, 1000, 0);
	turn_for(load, 60);
	/* Through several segments, so that the first are emptied and used again. */
	send_many(load, 130, 12000);
	send_many(load, 10, 34000);
	delete_one(load, doomed);
	turn_for(load, 400);
}

static void
run_life(struct load *load)
{
	one_of_each(load);
	/* They are there at the end, if nothing lost them. */
	for (int i = 0; i < 12; i++)
		send_one(load, FATE_STUCK, 1, 3000, 0);
	send_many(load, 70, 15000);
	turn_for(load, 300);
}

static void
run_one(struct load *load)
{
	send_one(load, FATE_MIXED, 3, 700, 0);
	send_one(load, FATE_DELIVERED, 1, 50000, 0); /* in a file of its own */
}

static void
run_again(struct load *load)
{
	turn_for(load, 100);
	send_one(load, FATE_MIXED, 3, 5000, 0);
	send_one(load, FATE_THIRD, 1, 34000, 0);
	send_many(load, 40, 9000);
	send_one(load, FATE_STUCK, 1, 100, 0);
}

/* What the process before this one answered and had not recorded: that it is not in memory now says nothing of it. */
static void
forget_unrecorded(struct ledger *l)
{
	for (size_t i = 0; i < l->count; i++)
		memcpy(l->promises[i].answered, l->promises[i].known, sizeof(l->promises[i].known));
}

void
load_run(const char *dir, enum load_phase phase, struct ledger *l)
{
	static struct ledger own;
	struct load load = {.next_id = ((uint64_t)(phase + 1) << 40)};

	the_load = &load;
	live_ledger = l ? l : &own;
	for (size_t i = 0; i < LEDGER_MAX; i++)
		load.fates[i] = FATE_DELIVERED;
	forget_unrecorded(live_ledger);
	load.w = open_world(dir);
	load.w->on_rcpt = on_rcpt;
	load.w->on_answer = on_answer;
	look(&load);
	if (phase == LOAD_FIRST)
		run_first(&load);
	else if (phase == LOAD_AGAIN)
		run_again(&load);
	else if (phase == LOAD_LIFE)
		run_life(&load);
	else if (phase == LOAD_ONE)
		run_one(&load);
	else
		turn_for(&load, 200);
	if (phase == LOAD_AGAIN)
		_exit(0);
	if (phase == LOAD_ONE)
		turn_for(&load, 150);
	world_close(&load.w);
}

/* ---- looking at what is left ---- */

struct seen {
	unsigned delivered[LEDGER_MAX][LEDGER_RECIPIENTS];
	uint64_t octets[LEDGER_MAX];
	bool spoiled[LEDGER_MAX];
	bool bad;
};

struct check {
	struct ledger *l;
	struct seen seen;
	uint64_t filler; /* ids from here on are no promises */
	bool damaged;
};

static int
complain(const char *what, uint64_t id, unsigned index)
{
	dprintf(2, "%s: message %llx, recipient %u\n", what, (unsigned long long)id, index);
	return -1;
}

static void
check_rcpt(struct world *w, uint64_t id, const struct msg_job_rcpt *r, struct msg_job_outcome *o)
{
	struct check *c = w->context;
	unsigned index = recipient_index(r);
	struct promise *p = promise_of(c->l, id, false);

	(void)o;
	if (id >= c->filler)
		return;
	if (!p || index >= LEDGER_RECIPIENTS) {
		c->seen.bad = complain("delivered, but never sent", id, index) < 0;
		return;
	}
	if (p->held)
		c->seen.bad = complain("delivered, but on hold", id, index) < 0;
	if (p->known[index] && !c->damaged)
		c->seen.bad = complain("tried again although its outcome was durable", id, index) < 0;
	if (p->gone && !c->damaged)
		c->seen.bad = complain("came back although its removal was durable", id, index) < 0;
	if (++c->seen.delivered[p - c->l->promises][index] > 1)
		c->seen.bad = complain("delivered twice", id, index) < 0;
}

static void
check_content(struct world *w, uint64_t id, struct span bytes)
{
	struct check *c = w->context;
	struct promise *p = promise_of(c->l, id, false);
	size_t i = p ? (size_t)(p - c->l->promises) : 0;

	if (!p)
		return;
	for (size_t at = 0; at < bytes.len; at++)
		if (c->seen.octets[i] + at >= PREPENDED && bytes.ptr[at] != (char)('a' + id % 26))
			c->seen.spoiled[i] = true;
	if (bytes.len > 0) {
		c->seen.octets[i] += bytes.len;
		return;
	}
	if (c->seen.spoiled[i] || c->seen.octets[i] != PREPENDED + p->octets)
		c->seen.bad = complain("content is not what was sent", id, 0) < 0;
	c->seen.octets[i] = 0;
}

static bool
is_owed(const struct promise *p, unsigned index)
{
	return p->acknowledged && !p->gone && !p->held && !p->answered[index];
}

static bool
all_there(const struct check *c)
{
	for (size_t i = 0; i < c->l->count; i++)
		for (unsigned r = 0; r < c->l->promises[i].recipients; r++)
			if (is_owed(&c->l->promises[i], r) && c->seen.delivered[i][r] == 0)
				return false;
	return true;
}

/* Rows come into memory to be looked at, and stay there meanwhile. */
static struct message *loaded[LEDGER_MAX];
static size_t loaded_count;

static bool
load_row(const struct index_row *row, void *context)
{
	struct world *w = context;
	struct message *m = message_find(&w->queue.live, row->id);

	if (!m && loaded_count < LEDGER_MAX && (m = young_from_row(&w->queue, row))) {
		m->busy++;
		loaded[loaded_count++] = m;
	}
	return true;
}

static int
complain_of(const struct message *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct recipient *r = m->recipients[i];

		dprintf(2, "recipient %u: state %u, attempt %u, due in %lld us, %s%s%s\n", i, r->p.state,
		    r->p.attempt, (long long)(r->p.due_spool_us - spool_clock_now()), r->hop ? "waits, " : "",
		    r->job ? "in a job, " : "", r->reporting ? "in a report" : "");
	}
	dprintf(2, "jobs %u, tasks %u, busy %u, notifying %d\n", m->jobs, m->tasks, m->busy, m->notifying);
	return complain("stays in the queue", m->id, 0);
}

/* It is put off for longer than a test takes, as after a failure to read its content: that is no loss. */
static bool
waits(const struct check *c, const struct message *m)
{
	struct promise *p = promise_of(c->l, m->id, false);
	bool late = p != NULL;

	for (uint32_t i = 0; i < m->count; i++) {
		const struct recipient *r = m->recipients[i];
		bool mine = r->p.state == RECIPIENT_QUEUED &&
			    r->p.due_spool_us > spool_clock_now() + 5 * US_PER_SECOND;

		if (mine && p && i < LEDGER_RECIPIENTS)
			p->answered[i] = true;
		late = late && (mine || r->p.state == RECIPIENT_DONE);
	}
	return late;
}

static bool
rests(struct world *w)
{
	size_t count, open = 0;
	uint64_t *ids = message_ids(&w->queue.live, &count);

	for (size_t i = 0; i < count; i++) {
		const struct message *m = message_find(&w->queue.live, ids[i]);

		open += !m->e.held && !(m->removed && m->removal_durable);
	}
	free(ids);
	return open == 0 && w->queue.active_jobs == 0;
}

/* Until what is owed was delivered and the queue rests, or eight seconds and many turns have gone. */
static void
settle(const struct check *c, struct world *w)
{
	int64_t until = clock_mono_us() + 8 * US_PER_SECOND;
	unsigned turns = 0;

	/* On a machine that has much else to do turns are long. What is in the log only is no rest. */
	while ((w->queue.recovery || !all_there(c) || !rests(w)) &&
	       (clock_mono_us() < until || turns < TURNS_MIN)) {
		world_turn(w, 5);
		turns++;
	}
}

/* After all was delivered: what is on hold is there, and else nothing. */
static int
check_rest(const struct check *c, struct world *w)
{
	struct error err;
	size_t count;
	uint64_t *ids;
	int status = 0;

	/* An index that does not fit its log after all is found out late, and built anew: what it brings back leaves, too. */
	if (w->queue.recovery)
		settle(c, w);
	WORLD_UNTIL(w, !w->queue.recovery && !w->queue.storing && w->queue.indexer.pending == 0);
	if (index_each(w->queue.index, 0, load_row, w, &err) < 0) {
		dprintf(2, "%s\n", err.text);
		return -1;
	}
	for (size_t i = 0; i < c->l->count; i++) {
		const struct promise *p = &c->l->promises[i];
		const struct message *m = message_find(&w->queue.live, p->id);

		if (p->held && p->acknowledged && !p->gone && (!m || !m->e.held))
			status = complain("held mail is lost", p->id, 0);
	}
	ids = message_ids(&w->queue.live, &count);
	for (size_t i = 0; i < count; i++) {
		const struct message *m = message_find(&w->queue.live, ids[i]);

		if (ids[i] < c->filler && !m->removed && !m->e.held && !waits(c, m))
			status = complain_of(m);
	}
	free(ids);
	while (loaded_count > 0)
		loaded[--loaded_count]->busy--;
	return status;
}

static void
fill(struct world *w, uint64_t *next)
{
	for (int i = 0; i < 90; i++)
		world_submit(w, (*next)++, "s@here.test", 1, 15000);
}

static int
check_start(struct check *c, const char *dir, unsigned how, bool first)
{
	uint64_t filler = c->filler;
	struct world *w;
	int status;

	/* What leaves while the log is read is seen, too; an index may turn out to be bad as soon as it is used. */
	world_without_waiting = true;
	w = open_world(dir);
	w->context = c;
	w->on_rcpt = check_rcpt;
	w->on_content = check_content;
	if (first && (how & CHECK_CLEANING))
		fill(w, &filler);
	settle(c, w);
	/* What is deferred comes due, and is seen if it comes back. */
	for (int64_t end = clock_mono_us() + 80 * US_PER_MS; clock_mono_us() < end;)
		world_turn(w, 5);
	if (first && (how & CHECK_CLEANING))
		for (int64_t end = clock_mono_us() + 1100 * US_PER_MS; clock_mono_us() < end;)
			world_turn(w, 5);
	status = c->seen.bad ? -1 : check_rest(c, w);
	for (size_t i = 0; i < c->l->count; i++)
		for (unsigned r = 0; r < c->l->promises[i].recipients; r++)
			if (is_owed(&c->l->promises[i], r) && c->seen.delivered[i][r] == 0)
				status = complain("lost", c->l->promises[i].id, r);
	world_close(&w);
	return status;
}

int
ledger_check(const struct ledger *l, const char *dir, unsigned how)
{
	static struct check c;
	static struct ledger copy;

	copy = *l;
	memset(&c, 0, sizeof(c));
	c.l = &copy;
	c.filler = 1ULL << 50;
	c.damaged = (how & CHECK_DAMAGED) != 0;
	if (check_start(&c, dir, how, true) < 0)
		return -1;
	if (!(how & CHECK_AGAIN))
		return 0;
	for (size_t i = 0; i < copy.count; i++)
		for (unsigned r = 0; r < copy.promises[i].recipients; r++)
			if (c.seen.delivered[i][r] > 0)
				copy.promises[i].known[r] = copy.promises[i].answered[r] = true;
	return check_start(&c, dir, how, false);
}
