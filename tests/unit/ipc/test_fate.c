/* What became of a submission: queue is away for a while, dies again, or never says it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ipc/fate.h"

enum { ID = 4711, MOST = 8 };

/* One queue after the other, as the test connects them. */
struct world {
	struct event_base *base;
	struct ipc_channel *submitter, *queue;
	uint32_t asked[MOST];
	unsigned asks, answers;
	bool durable;
	struct fate *fate;
};

static int64_t ahead_us;

int64_t
clock_mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * US_PER_SECOND + t.tv_nsec / 1000 + ahead_us;
}

int64_t
clock_wall_us(void)
{
	return clock_mono_us();
}

static int
handle_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;

	(void)channel;
	(void)err;
	assert_int_equal(frame->submit_ask.id, ID);
	assert_true(w->asks < MOST);
	w->asked[w->asks++] = frame->call;
	return 0;
}

static void
on_down(struct ipc_channel *channel, void *context)
{
	struct world *w = context;

	if (channel == w->submitter)
		w->submitter = NULL;
	if (channel == w->queue)
		w->queue = NULL;
}

static void
connect_both(struct world *w)
{
	static const struct ipc_permit permits[] = {{IPC_SUBMIT_ASK, ROLE_BIT(ROLE_SMTPD), handle_ask}};
	static struct ipc_callbacks callbacks;
	int pair[2];

	callbacks = (struct ipc_callbacks){permits, 1, NULL, on_down, w};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->submitter = ipc_channel_new(w->base, pair[0], ROLE_SMTPD, 0, ROLE_QUEUE, 0, &callbacks);
	w->queue = ipc_channel_new(w->base, pair[1], ROLE_QUEUE, 0, ROLE_SMTPD, 4, &callbacks);
}

static struct ipc_channel *
queue_of(void *context)
{
	return ((struct world *)context)->submitter;
}

static void
on_fate(void *context, bool durable)
{
	struct world *w = context;

	w->answers++;
	w->durable = durable;
	w->fate = NULL;
}

static void
turns(struct world *w, unsigned ms)
{
	for (unsigned done = 0; done < ms; done += 5) {
		ipc_flush_all();
		event_base_loop(w->base, EVLOOP_NONBLOCK);
		usleep(5000);
	}
}

static void
turns_until_asked(struct world *w, unsigned asks)
{
	for (unsigned i = 0; i < 400 && w->asks < asks; i++)
		turns(w, 5);
	assert_int_equal(w->asks, asks);
}

static void
answer(struct world *w, bool durable)
{
	struct msg_submit_fate fate = {.durable = durable};

	ipc_send(w->queue, IPC_SUBMIT_FATE, w->asked[w->asks - 1], &fate);
	turns(w, 15);
}

static int
begin(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	ahead_us = 0;
	w->base = event_base_new();
	w->fate = fate_ask(w->base, ID, queue_of, on_fate, w);
	*state = w;
	return 0;
}

static int
end(void **state)
{
	struct world *w = *state;

	fate_cancel(&w->fate);
	ipc_channel_close(&w->submitter);
	ipc_channel_close(&w->queue);
	event_base_free(w->base);
	free(w);
	return 0;
}

static void
it_is_asked_once_queue_is_back(void **state)
{
	struct world *w = *state;

	turns(w, 70);
	assert_int_equal(w->answers, 0);
	connect_both(w);
	turns_until_asked(w, 1);
	turns(w, 70); /* and no second time while queue thinks */
	assert_int_equal(w->asks, 1);
	answer(w, true);
	assert_int_equal(w->answers, 1);
	assert_true(w->durable);
}

static void
it_is_asked_anew_where_queue_dies_again(void **state)
{
	struct world *w = *state;

	connect_both(w);
	turns_until_asked(w, 1);
	ipc_channel_close(&w->queue);
	turns(w, 40);
	assert_int_equal(w->answers, 0);
	connect_both(w);
	turns_until_asked(w, 2);
	answer(w, false);
	assert_int_equal(w->answers, 1);
	assert_false(w->durable);
}

static void
an_answer_that_is_too_late_is_no_answer(void **state)
{
	struct world *w = *state;

	connect_both(w);
	turns_until_asked(w, 1);
	ahead_us = FATE_WAIT_MS * US_PER_MS;
	for (unsigned i = 0; i < 400 && w->answers == 0; i++)
		turns(w, 5);
	assert_int_equal(w->answers, 1);
	assert_false(w->durable);
	answer(w, true);
	assert_int_equal(w->answers, 1);
	assert_false(w->durable);
	assert_non_null(w->submitter);
}

static void
who_stays_away_is_not_waited_for_for_ever(void **state)
{
	struct world *w = *state;

	turns(w, 70);
	assert_int_equal(w->answers, 0);
	ahead_us = FATE_WAIT_MS * US_PER_MS;
	for (unsigned i = 0; i < 400 && w->answers == 0; i++)
		turns(w, 5);
	assert_int_equal(w->answers, 1);
	assert_false(w->durable);
}

static void
nobody_is_told_who_does_not_care_any_more(void **state)
{
	struct world *w = *state;

	connect_both(w);
	turns_until_asked(w, 1);
	fate_cancel(&w->fate);
	assert_null(w->fate);
	fate_cancel(&w->fate);
	answer(w, true);
	assert_int_equal(w->answers, 0);
	assert_non_null(w->submitter);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(it_is_asked_once_queue_is_back, begin, end),
	    cmocka_unit_test_setup_teardown(it_is_asked_anew_where_queue_dies_again, begin, end),
	    cmocka_unit_test_setup_teardown(an_answer_that_is_too_late_is_no_answer, begin, end),
	    cmocka_unit_test_setup_teardown(who_stays_away_is_not_waited_for_for_ever, begin, end),
	    cmocka_unit_test_setup_teardown(nobody_is_told_who_does_not_care_any_more, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
