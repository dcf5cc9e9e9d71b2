#include "common/ipc/fate.h"

#include <event2/event.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum { LOOK_MS = 30 };

struct fate {
	uint64_t id;
	struct ipc_channel *(*queue)(void *context);
	void (*done)(void *context, bool durable);
	void *context;
	struct event *timer;
	int64_t until_us;
	uint32_t call;
};

static void
end(struct fate *f, bool durable)
{
	void (*done)(void *context, bool durable) = f->done;
	void *context = f->context;

	event_free(f->timer);
	free(f);
	done(context, durable);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct fate *f = context;

	(void)err;
	f->call = 0;
	if (!frame)
		return 0; /* it died again: the timer asks once more */
	end(f, frame->submit_fate.durable != 0);
	return 0;
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	struct fate *f = context;
	struct msg_submit_ask ask = {.id = f->id};
	struct ipc_channel *queue = f->queue(f->context);

	(void)fd;
	(void)what;
	if (clock_mono_us() >= f->until_us) {
		if (f->call)
			ipc_cancel(queue, f->call);
		end(f, false);
		return;
	}
	if (f->call == 0 && queue)
		f->call = ipc_ask(queue, IPC_SUBMIT_ASK, &ask, 0, on_answer, f);
}

struct fate *
fate_ask(struct event_base *base, uint64_t id, struct ipc_channel *(*queue)(void *context),
    void (*done)(void *context, bool durable), void *context)
{
	struct timeval look = {.tv_usec = LOOK_MS * 1000};
	struct fate *f = mem_alloc(sizeof(*f));

	f->id = id;
	f->queue = queue;
	f->done = done;
	f->context = context;
	f->until_us = clock_mono_us() + FATE_WAIT_MS * US_PER_MS;
	f->timer = event_new(base, -1, EV_PERSIST, on_timer, f);
	event_add(f->timer, &look);
	return f;
}

void
fate_cancel(struct fate **f)
{
	struct fate *gone = *f;

	*f = NULL;
	if (!gone)
		return;
	if (gone->call)
		ipc_cancel(gone->queue(gone->context), gone->call);
	event_free(gone->timer);
	free(gone);
}
