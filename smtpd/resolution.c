#include "smtpd/resolution.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/ipc/protocol.h"
#include "smtpd/session.h"

enum { CACHE_MAX = 4096, CACHE_SECONDS = 5, CACHED_ROWS_MAX = 20, RESOLUTION_MEMORY = 1024 * 1024 };

/* An answer that is awaited; in the request's arena. */
struct question {
	struct session *session;
	struct resolution *resolution;
	struct span key; /* of the cache */
	void (*done)(struct session *s, const struct resolution *r);
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

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct question *q = context;
	struct resolution *r = q->resolution;

	if (frame && frame->type == IPC_RESOLVE_RCPT)
		return take_row(r, &frame->resolve_rcpt, err);
	session_answered(q->session);
	if (frame) {
		r->status = frame->resolve_done.status;
		r->class = frame->resolve_done.class;
		r->address = arena_copy_span(r->arena, frame->resolve_done.address);
		r->reason = arena_copy_span(r->arena, frame->resolve_done.reason);
		r->generation = frame->resolve_done.generation;
		if (r->class > CLASS_RELAY || r->status > LOOKUP_TEMPORARY)
			r->status = LOOKUP_TEMPORARY;
		remember(q->session->smtpd, q->key, r);
	}
	finish(q);
	return 0;
}

/* The sender is part of the key, since routes may depend on it. */
static struct span
cache_key(struct arena *a, struct span address, struct span sender, unsigned flags)
{
	return span_of(arena_printf(a, "%.*s\n%.*s\n%u", SPAN_ARG(address), SPAN_ARG(sender), flags));
}

void
resolution_find(struct session *s, struct span address, struct span sender, unsigned flags,
    void (*done)(struct session *s, const struct resolution *r))
{
	struct arena *a = session_request(s);
	struct msg_resolve_ask ask = {
	    .address = address, .sender = sender, .flags = RESOLVE_EXPAND | RESOLVE_VALIDATE | flags};
	struct question *q = arena_alloc(a, sizeof(*q));
	struct resolution *known;

	if (q == NULL)
		panic("no memory for a question");
	if (s->settings->maps_no_addresses)
		ask.flags = RESOLVE_ROUTE | RESOLVE_VALIDATE;
	q->session = s;
	q->done = done;
	q->key = cache_key(a, address, sender, ask.flags);
	known = table_get(s->smtpd->resolutions, q->key);
	if (known && known->expires_us > clock_mono_us()) {
		known->references++;
		q->resolution = known;
	} else {
		known = NULL;
		q->resolution = resolution_new();
	}
	(void)arena_on_free(a, resolution_unref, q->resolution);
	if (known || session_ask(s, ROLE_LOOKUP, IPC_RESOLVE_ASK, &ask, on_answer, q) < 0)
		finish(q);
}

void
resolution_forget_all(struct smtpd *d)
{
	table_free(&d->resolutions);
	d->resolutions = table_new(CACHE_MAX, resolution_unref);
}
