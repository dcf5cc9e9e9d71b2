/*
 * submission_fate: whoever's answer was lost when queue died is told whether the message is durable (common/ipc/fate.h).
 *
 * What this run finished in the meantime is in neither memory nor index: such ids are remembered, the last ones and only those
 * from before the start, for no other can be asked about.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "queue/queue.h"

enum { FINISHED_MAX = 65536, LOOK_MS = 30, ASKS_MAX = 100000 };

struct ask {
	struct ask *next;
	struct queue *q;
	struct ipc_channel *channel; /* NULL: gone, or it is queue itself that asks */
	uint32_t call;
	void (*done)(void *context, bool durable);
	void *context;
	uint64_t id;
	bool looking; /* in the index */
};

static struct ask *asks;
static size_t ask_count;
static struct event *timer;
static uint64_t *finished;
static size_t finished_count;

void
submission_fate_finished(const struct queue *q, uint64_t id)
{
	if (id > q->id_high_at_start)
		return;
	if (!finished)
		finished = mem_alloc(FINISHED_MAX * sizeof(*finished));
	finished[finished_count++ % FINISHED_MAX] = id;
}

static bool
was_finished(uint64_t id)
{
	for (size_t i = 0; i < finished_count && i < FINISHED_MAX; i++)
		if (finished[i] == id)
			return true;
	return false;
}

static void
answer(struct ask *a, bool durable)
{
	struct msg_submit_fate fate = {.durable = durable};
	struct ask **at = &asks;

	if (a->channel)
		ipc_send(a->channel, IPC_SUBMIT_FATE, a->call, &fate);
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	ask_count--;
	if (!asks)
		event_del(timer);
	if (a->done)
		a->done(a->context, durable);
	free(a);
}

static void
on_found(struct queue *q, struct message *m, void *context)
{
	struct ask *a = context;

	/* The index failed just now: the log tells. */
	if (!m && q->recovery) {
		a->looking = false;
		return;
	}
	answer(a, m != NULL || was_finished(a->id));
}

/* What is not known yet is looked for again at the timer. */
static void
look(struct ask *a)
{
	const struct message *m = message_find(&a->q->live, a->id);

	if (a->looking)
		return;
	if ((!a->channel && !a->done) || was_finished(a->id) || (m && (m->position != 0 || m->indexed))) {
		answer(a, true);
	} else if (!m && !a->q->recovery) {
		a->looking = true;
		young_get(a->q, a->id, on_found, a);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	struct ask *next;

	(void)fd;
	(void)what;
	(void)context;
	for (struct ask *a = asks; a; a = next) {
		next = a->next;
		look(a);
	}
}

static void
begin(struct queue *q, const struct ask *wanted)
{
	struct timeval wait = {.tv_usec = LOOK_MS * 1000};
	struct ask *a = mem_alloc(sizeof(*a));

	if (!timer)
		timer = event_new(q->base, -1, EV_PERSIST, on_timer, NULL);
	if (!asks)
		event_add(timer, &wait);
	*a = *wanted;
	a->q = q;
	a->next = asks;
	asks = a;
	ask_count++;
	look(a);
}

int
submission_fate(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct ask a = {.channel = channel, .call = frame->call, .id = frame->submit_ask.id};

	if (ask_count >= ASKS_MAX)
		return error_set(err, "too many questions about submissions");
	begin(queue_of(context), &a);
	return 0;
}

void
submission_fate_find(struct queue *q, uint64_t id, void (*done)(void *context, bool durable), void *context)
{
	struct ask a = {.done = done, .context = context, .id = id};

	begin(q, &a);
}

void
submission_fate_stop(void)
{
	while (asks) {
		struct ask *a = asks;

		asks = a->next;
		free(a);
	}
	ask_count = 0;
	if (timer)
		event_free(timer);
	timer = NULL;
}

void
submission_fate_peer_down(struct ipc_channel *peer)
{
	for (struct ask *a = asks; a; a = a->next)
		if (a->channel == peer)
			a->channel = NULL;
}
