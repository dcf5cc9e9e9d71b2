/*
 * recorded: a record that says nothing goes behind those that do; the log keeps their order. What is known of accepted mail
 * ('must') is never refused but waits until the spool can be written again: an operator is told so after some seconds.
 */
#include "queue/control/recorded.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum { LOOK_MS = 250, PATIENCE_S = 5, MARK_MAX = 256 };

struct waiting {
	LIST_ENTRY(waiting) link;
	struct queue *q;
	recorded_done *done; /* NULL: nobody waits any more */
	void *context;
	struct event *timer;
	int64_t since_us;
};

static LIST_HEAD(, waiting) all = LIST_HEAD_INITIALIZER(all);

static void
tell(struct waiting *w, const char *why)
{
	recorded_done *done = w->done;

	w->done = NULL;
	if (done)
		done(w->context, why);
}

static void
on_mark(struct log_work *mark)
{
	struct waiting *w = mark->context;

	tell(w, mark->status == LOG_DURABLE ? NULL : "the spool could not record it");
	LIST_REMOVE(w, link);
	event_free(w->timer);
	free(w);
	free(mark->bytes);
	free(mark);
}

/* NULL: nothing is known to be wrong. */
static const char *
trouble_of(const struct queue *q)
{
	if (q->read_only)
		return "the file system is read-only";
	if (trouble_is(q, TROUBLE_LOG))
		return q->trouble[TROUBLE_LOG].text;
	return trouble_is(q, TROUBLE_SPACE) ? q->trouble[TROUBLE_SPACE].text : NULL;
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	struct timeval wait = {.tv_usec = LOOK_MS * 1000};
	struct waiting *w = context;
	const char *why = trouble_of(w->q);

	(void)fd;
	(void)what;
	if (!w->done)
		return;
	if (why && clock_mono_us() - w->since_us >= PATIENCE_S * US_PER_SECOND)
		tell(w, why);
	else
		event_add(w->timer, &wait);
}

void
recorded_wait(struct queue *q, recorded_done *done, void *context)
{
	struct part_removal nothing = {.why = REMOVAL_EMPTY};
	struct timeval wait = {.tv_usec = LOOK_MS * 1000};
	struct waiting *w = mem_alloc(sizeof(*w));
	struct buf b;

	w->q = q;
	w->done = done;
	w->context = context;
	w->since_us = clock_mono_us();
	w->timer = event_new(q->base, -1, 0, on_timer, w);
	event_add(w->timer, &wait);
	LIST_INSERT_HEAD(&all, w, link);
	buf_init(&b, MARK_MAX);
	if (record_begin(&b, RECORD_REMOVAL, 0) < 0 || part_encode_removal(&b, &nothing) < 0 ||
	    record_end(&b, 0) < 0)
		panic("a removal cannot be encoded");
	journal_put(q, RECORD_REMOVAL, 0, (uint8_t *)b.mem, b.len, true, on_mark, w);
}

void
recorded_forget(const void *context)
{
	struct waiting *w;

	LIST_FOREACH (w, &all, link)
		if (w->context == context)
			w->done = NULL;
}
