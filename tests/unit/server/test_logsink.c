/* More lines than the log process takes: those that are missing are counted, and that is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/server/logsink.h"

enum { LINES = 20000 };

struct world {
	struct event_base *base;
	struct ipc_channel *sender, *log;
	struct logsink sink;
	size_t got, told;
	char last[200];
};

static struct ipc_channel *
channel_of(void *context)
{
	return ((struct world *)context)->sender;
}

static int
handle_line(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;

	(void)channel;
	(void)err;
	span_copy(frame->log_line.text, w->last, sizeof(w->last));
	w->got++;
	sscanf(w->last, "warning: %zu log lines were dropped", &w->told);
	return 0;
}

static const struct ipc_permit permits[] = {{IPC_LOG_LINE, ~0U, handle_line}};

static int
set_up(void **state)
{
	static struct world world;
	struct world *w = &world;
	struct ipc_callbacks callbacks = {.permits = permits, .permit_count = 1, .context = w};
	int pair[2];

	memset(w, 0, sizeof(*w));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->base = event_base_new();
	w->log = ipc_channel_new(w->base, pair[0], ROLE_LOG, 0, ROLE_QUEUE, 0, &callbacks);
	callbacks.permit_count = 0;
	w->sender = ipc_channel_new(w->base, pair[1], ROLE_QUEUE, 0, ROLE_LOG, 0, &callbacks);
	w->sink = (struct logsink){.ident = "queue", .channel = channel_of, .context = w};
	logsink_open(&w->sink, w->base);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	if (w->sink.look)
		logsink_close(&w->sink, w->base);
	ipc_channel_close(&w->sender);
	ipc_channel_close(&w->log);
	event_base_free(w->base);
	return 0;
}

static void
flood(void)
{
	for (unsigned i = 0; i < LINES; i++)
		log_info(NULL, "line %u %0200u", i, i);
}

static void
turn_until_told(struct world *w)
{
	int64_t end_us = clock_mono_us() + 5 * US_PER_SECOND;

	while (w->told == 0 && clock_mono_us() < end_us) {
		ipc_flush_all();
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	}
}

static void
told_without_another_line(void **state)
{
	struct world *w = *state;

	flood();
	turn_until_told(w);
	assert_in_range(w->told, 1, LINES - 1);
	assert_int_equal(w->got - 1 + w->told, LINES);
}

static void
told_in_front_of_the_next_line(void **state)
{
	struct world *w = *state;

	flood();
	while (ipc_backlog(w->sender) > 0) {
		ipc_flush_all();
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	}
	log_info(NULL, "the next");
	turn_until_told(w);
	assert_int_equal(w->got - 1 + w->told, LINES + (strcmp(w->last, "the next") == 0));
}

static void
told_at_the_end(void **state)
{
	struct world *w = *state;

	flood();
	logsink_close(&w->sink, w->base);
	turn_until_told(w);
	assert_int_equal(w->got - 1 + w->told, LINES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(told_without_another_line, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(told_in_front_of_the_next_line, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(told_at_the_end, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
