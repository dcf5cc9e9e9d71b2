#include "queue/control/later.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum { AT_MOST_MS = 3000, LOOK_MS = 10 };

struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct event *timer;
	struct queue *q;
	struct ipc_channel *channel;
	uint32_t call;
	const struct verb *verb;
	struct filter filter;
	later_go *go;
};

static TAILQ_HEAD(, waiting) all = TAILQ_HEAD_INITIALIZER(all);
static int64_t since_us; /* when the first question was put off; 0: the last one was not */

static void
waiting_free(struct waiting *w)
{
	TAILQ_REMOVE(&all, w, link);
	event_free(w->timer);
	filter_free(&w->filter);
	free(w);
}

/* Whoever asks while a rebuild goes on does not wait again. Where nothing else goes on the end of it is waited for. */
static bool
is_time(const struct queue *q)
{
	if (recovery_note(q)[0] == '\0')
		since_us = 0;
	else if (since_us == 0 || (q->alone && !trouble_is(q, TROUBLE_INDEX)))
		since_us = clock_mono_us();
	return since_us == 0 || clock_mono_us() - since_us >= AT_MOST_MS * US_PER_MS;
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	struct timeval tv = {.tv_usec = LOOK_MS * 1000};
	struct waiting *w = context;

	(void)fd;
	(void)what;
	if (!is_time(w->q)) {
		event_add(w->timer, &tv);
		return;
	}
	w->go(w->q, w->channel, w->call, w->verb, &w->filter);
	w->filter = (struct filter){.all = false};
	waiting_free(w);
}

void
later(struct queue *q, struct ipc_channel *channel, uint32_t call, const struct verb *verb,
    struct filter *filter, later_go *go)
{
	struct timeval tv = {.tv_usec = LOOK_MS * 1000};
	struct waiting *w;

	if (is_time(q)) {
		go(q, channel, call, verb, filter);
		return;
	}
	w = mem_alloc(sizeof(*w));
	w->q = q;
	w->channel = channel;
	w->call = call;
	w->verb = verb;
	w->filter = *filter;
	w->go = go;
	w->timer = event_new(q->base, -1, 0, on_timer, w);
	event_add(w->timer, &tv);
	TAILQ_INSERT_TAIL(&all, w, link);
}

void
later_channel_gone(struct ipc_channel *channel)
{
	struct waiting *w, *next;

	for (w = TAILQ_FIRST(&all); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->channel == channel)
			waiting_free(w);
	}
}
