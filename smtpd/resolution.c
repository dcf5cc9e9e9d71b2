/*
 * A client that sends its RCPTs in a group (RFC 2920) would wait for lookup once for each. So with the first, the next ones are asked
 * about as well; each answer is used by its RCPT when that has its turn, and by nobody else.
 */
#include "smtpd/resolution.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "smtpd/session.h"

enum {
	CACHE_MAX = 4096,
	CACHE_SECONDS = 5,
	CACHED_ROWS_MAX = 20,
	RESOLUTION_MEMORY = 1024 * 1024,
	AHEAD_MAX = 20,
	AHEAD_MEMORY = 256 * 1024,
	AHEAD_BACKLOG_MAX = 256 * 1024, /* of what waits for lookup: beyond it nobody asks ahead of others */
	TIMEOUT_MS = 100000
};

/* An answer that is awaited; in the request's arena. */
struct question {
	struct session *session;
	struct resolution *resolution;
	struct span key; /* of the cache */
	void (*done)(struct session *s, const struct resolution *r);
};

/* A recipient that was asked about before its RCPT had its turn. */
struct ahead_one {
	struct session *session;
	struct resolution *resolution;
	struct span key;
	uint32_t call; /* 0: there is an answer, or will be none */
	struct question *waiter; /* its RCPT has its turn now */
};

/* Those of one group of commands, in their order; the ones before 'next' are taken. */
struct ahead {
	struct arena *arena; /* holds all of it */
	int64_t asked_us;
	unsigned next, count;
	struct ahead_one ones[AHEAD_MAX];
};

static struct resolution *
resolution_new(void)
{
	struct arena *arena = arena_new(RESOLUTION_MEMORY);
	struct resolution *r = arena_alloc(arena, sizeof(*r));

	r->arena = arena;
	r->references = 1;
	r->status = LOOKUP_TEMPORARY;
	r->rows_end = &r->rows;
	return r;
}

static void
resolution_unref(void *what)
{
	struct resolution *r = what;
	struct arena *arena = r->arena;

	if (--r->references == 0)
		arena_free(&arena);
}

static int
take_row(struct resolution *r, const struct msg_resolve_rcpt *row, struct error *err)
{
	struct resolution_row *copy = arena_alloc(r->arena, sizeof(*copy));

	if (copy) {
		copy->recipient = arena_copy_span(r->arena, row->recipient);
		copy->transport = arena_copy_span(r->arena, row->transport);
		copy->nexthop = arena_copy_span(r->arena, row->nexthop);
		copy->flags = row->flags;
		copy->copy = arena_copy_span(r->arena, row->copy);
	}
	if (!copy || (row->nexthop.len && !copy->nexthop.ptr))
		return error_set(err, "an address expands to more than a session takes");
	*r->rows_end = copy;
	r->rows_end = &copy->next;
	if (!(row->flags & ROUTE_COPY))
		r->row_count++;
	return 0;
}

static void
remember(struct smtpd *d, struct span key, struct resolution *r)
{
	if (r->status != LOOKUP_FOUND || r->row_count > CACHED_ROWS_MAX || r->generation < d->generation)
		return;
	if (table_count(d->resolutions) >= CACHE_MAX)
		resolution_forget_all(d);
	r->expires_us = clock_mono_us() + CACHE_SECONDS * US_PER_SECOND;
	r->references++;
	if (table_put(d->resolutions, key, r) < 0)
		r->references--;
}

static void
finish(struct question *q)
{
	struct session *s = q->session;

	q->done(s, q->resolution);
}

static void
take_done(struct smtpd *d, struct span key, struct resolution *r, const struct msg_resolve_done *done)
{
	r->status = done->status;
	r->class = done->class;
	r->routed = done->routed != 0;
	r->address = arena_copy_span(r->arena, done->address);
	r->reason = arena_copy_span(r->arena, done->reason);
	r->generation = done->generation;
	if (r->class > CLASS_RELAY || r->status > LOOKUP_TEMPORARY)
		r->status = LOOKUP_TEMPORARY;
	remember(d, key, r);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct question *q = context;

	if (frame && frame->type == IPC_RESOLVE_RCPT)
		return take_row(q->resolution, &frame->resolve_rcpt, err);
	session_answered(q->session);
	if (frame)
		take_done(q->session->smtpd, q->key, q->resolution, &frame->resolve_done);
	finish(q);
	return 0;
}

/* The sender is part of the key, since routes may depend on it. */
static struct span
cache_key(struct arena *a, struct span address, struct span sender, unsigned flags)
{
	return span_of(arena_printf(a, "%.*s\n%.*s\n%u", SPAN_ARG(address), SPAN_ARG(sender), flags));
}

/* ---- a group of RCPTs ---- */

static void
drop_until(struct ahead *g, unsigned end)
{
	for (; g->next < end; g->next++) {
		struct ahead_one *one = &g->ones[g->next];
		if (one->call)
			ipc_cancel(one->session->smtpd->peers[ROLE_LOOKUP], one->call);
		resolution_unref(one->resolution);
	}
}

void
resolution_forget_ahead(struct session *s)
{
	struct ahead *g = s->ahead;

	s->ahead = NULL;
	if (g == NULL)
		return;
	drop_until(g, g->count);
	struct arena *arena = g->arena; /* g itself lies in it */
	arena_free(&arena);
}

static int
on_ahead(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct ahead_one *one = context;
	struct session *s = one->session;
	struct question *q = one->waiter;

	if (frame && frame->type == IPC_RESOLVE_RCPT)
		return take_row(one->resolution, &frame->resolve_rcpt, err);
	one->call = 0;
	if (frame)
		take_done(s->smtpd, one->key, one->resolution, &frame->resolve_done);
	if (q == NULL)
		return 0;
	one->waiter = NULL;
	session_answered(s);
	finish(q);
	return 0;
}

/* An answer from before the last change, and one that was lost, is asked for anew. */
static bool
is_current(const struct ahead_one *one)
{
	const struct resolution *r = one->resolution;

	return one->call != 0 || (r->generation != 0 && r->generation >= one->session->smtpd->generation);
}

/* The one with this key, taken out of the group; those in front of it had no use. NULL if there is none. */
static struct ahead_one *
take_ahead(struct session *s, struct span key)
{
	struct ahead *g = s->ahead;

	if (g != NULL &&
	    (g->next == g->count || clock_mono_us() - g->asked_us > CACHE_SECONDS * US_PER_SECOND))
		resolution_forget_ahead(s);
	g = s->ahead;
	for (unsigned i = g ? g->next : 0; g && i < g->count; i++) {
		if (!span_equal(g->ones[i].key, key))
			continue;
		drop_until(g, i);
		if (!is_current(&g->ones[i]))
			return NULL;
		g->next++;
		return &g->ones[i];
	}
	return NULL;
}

/* The RCPTs that have come behind this one: all are asked about in one turn. */
static void
ask_ahead(struct session *s, struct msg_resolve_ask *ask)
{
	struct arena *arena = arena_new(AHEAD_MEMORY);
	struct ahead *g = arena_alloc(arena, sizeof(*g));
	struct span behind = s->behind;

	resolution_forget_ahead(s);
	g->arena = arena;
	g->asked_us = clock_mono_us();
	while (g->count < AHEAD_MAX && rcpt_next(s, arena, &behind, &ask->address)) {
		struct ahead_one *one = &g->ones[g->count];
		one->session = s;
		one->key = cache_key(arena, ask->address, ask->sender, ask->flags);
		if (one->key.ptr == NULL)
			break;
		one->call =
		    ipc_ask(s->smtpd->peers[ROLE_LOOKUP], IPC_RESOLVE_ASK, ask, TIMEOUT_MS, on_ahead, one);
		if (one->call == 0)
			break;
		one->resolution = resolution_new();
		g->count++;
	}
	s->ahead = g;
	if (g->count == 0)
		resolution_forget_ahead(s);
}

/* True if the answer is on its way. */
static bool
ask_lookup(struct question *q, struct msg_resolve_ask *ask)
{
	struct session *s = q->session;

	if (session_ask(s, ROLE_LOOKUP, IPC_RESOLVE_ASK, ask, on_answer, q) < 0)
		return false;
	if (s->behind.len && s->command == COMMAND_RCPT &&
	    ipc_backlog(s->smtpd->peers[ROLE_LOOKUP]) <= AHEAD_BACKLOG_MAX)
		ask_ahead(s, ask);
	return true;
}

/* Takes what the group or the cache has. True if there is an answer, or will be one. */
static bool
is_asked(struct question *q)
{
	struct session *s = q->session;
	struct ahead_one *one = take_ahead(s, q->key);

	if (one == NULL) {
		struct resolution *known = table_get(s->smtpd->resolutions, q->key);
		if (known == NULL || known->expires_us <= clock_mono_us())
			return false;
		known->references++;
		q->resolution = known;
		return true;
	}
	q->resolution = one->resolution;
	if (one->call) {
		one->waiter = q;
		session_wait_answer(s, ROLE_LOOKUP, one->call);
	}
	return true;
}

void
resolution_find(struct session *s, struct span address, struct span sender, unsigned flags,
    void (*done)(struct session *s, const struct resolution *r))
{
	struct arena *a = session_request(s);
	struct msg_resolve_ask ask = {
	    .address = address, .sender = sender, .flags = RESOLVE_EXPAND | RESOLVE_VALIDATE | flags};
	struct question *q = arena_alloc(a, sizeof(*q));

	if (q == NULL)
		panic("no memory for a question");
	if (s->settings->maps_no_addresses)
		ask.flags = RESOLVE_ROUTE | RESOLVE_VALIDATE;
	q->session = s;
	q->done = done;
	q->key = cache_key(a, address, sender, ask.flags);
	bool asked = is_asked(q);
	if (!asked)
		q->resolution = resolution_new();
	(void)arena_on_free(a, resolution_unref, q->resolution);
	if (!asked)
		asked = ask_lookup(q, &ask);
	if (!asked || s->waiting == WAIT_NONE)
		finish(q);
}

void
resolution_forget_all(struct smtpd *d)
{
	table_free(&d->resolutions);
	d->resolutions = table_new(CACHE_MAX, resolution_unref);
}
