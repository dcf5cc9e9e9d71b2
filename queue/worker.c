#include "queue/worker.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

static bool
run_stop(struct task *t)
{
	(void)t;
	return false;
}

static void *
run(void *context)
{
	struct worker *w = context;
	struct work_list again = {NULL, NULL};

	for (;;) {
		struct work_list list = mailbox_wait(&w->in, again.head ? 0 : -1);
		struct work_list done = {NULL, NULL};
		struct work *node;

		work_append_list(&list, &again);
		while ((node = work_take(&list))) {
			struct task *t = (struct task *)node;
			bool once_more = t->run(t);

			atomic_store_explicit(&w->moved_us, clock_mono_us(), memory_order_relaxed);
			w->stop = w->stop || t->run == run_stop;
			if (once_more) {
				work_append(&again, node);
			} else {
				work_append(&done, node);
				mailbox_put_list(&w->out, &done);
			}
		}
		mailbox_put_list(&w->out, &done);
		if (w->stop && !again.head)
			return NULL;
	}
}

int
worker_start(struct worker *w, struct error *err)
{
	int status;

	memset(w, 0, sizeof(*w));
	if (mailbox_init(&w->in, false, err) < 0 || mailbox_init(&w->out, true, err) < 0)
		return -1;
	status = pthread_create(&w->thread, NULL, run, w);
	if (status != 0) {
		errno = status;
		return error_errno(err, "starting a thread");
	}
	w->started = true;
	return 0;
}

void
worker_stop(struct worker *w)
{
	struct task *t;

	if (!w->started)
		return;
	t = mem_alloc(sizeof(*t));
	t->run = run_stop;
	mailbox_put(&w->in, &t->work);
	pthread_join(w->thread, NULL);
	w->started = false;
}

void
worker_put(struct worker *w, struct task *t)
{
	if (w->pending++ == 0)
		atomic_store_explicit(&w->moved_us, clock_mono_us(), memory_order_relaxed);
	mailbox_put(&w->in, &t->work);
}

bool
worker_hangs(const struct worker *w, unsigned seconds)
{
	int64_t moved_us = atomic_load_explicit(&w->moved_us, memory_order_relaxed);

	return w->pending > 0 && clock_mono_us() - moved_us > (int64_t)seconds * US_PER_SECOND;
}

void
worker_finish(struct worker *w)
{
	struct work_list list = mailbox_take_all(&w->out);
	struct work *node;

	while ((node = work_take(&list))) {
		struct task *t = (struct task *)node;

		if (!t->done)
			continue;
		w->pending--;
		t->done(t);
	}
}
