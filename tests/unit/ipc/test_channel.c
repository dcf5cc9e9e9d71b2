/* Channels between two that keep to the rules: order, credit, deadlines, descriptors, and the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/unit/ipc/world.h"

static int
set_up_credit(void **state, uint32_t credit)
{
	struct world *w = calloc(1, sizeof(*w));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->base = event_base_new();
	w->asker = ipc_channel_new(w->base, pair[0], ROLE_SMTPD, 3, ROLE_RESOLVER, 0, callbacks_of(w));
	w->answerer =
	    ipc_channel_new(w->base, pair[1], ROLE_RESOLVER, 0, ROLE_SMTPD, credit, callbacks_of(w));
	world_log_open();
	*state = w;
	return 0;
}

static int
set_up(void **state)
{
	return set_up_credit(state, 4);
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	ipc_channel_close(&w->asker);
	ipc_channel_close(&w->answerer);
	event_base_free(w->base);
	world_log_close();
	free(w);
	return 0;
}

static void
hello_tells_who_is_there(void **state)
{
	struct world *w = *state;

	turn(w);
	assert_int_equal(w->up, 2);
	assert_int_equal(ipc_peer_role(w->answerer), ROLE_SMTPD);
	assert_int_equal(ipc_peer_index(w->answerer), 3);
	assert_int_equal(ipc_peer_pid(w->answerer), getpid());
	assert_int_equal(ipc_peer_uid(w->answerer), getuid());
}

static void
asks_wait_for_credit_in_order(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < 10; i++)
		assert_int_not_equal(ask(w, 100 + i, 0), 0);
	assert_true(ipc_backlog(w->asker) > 0);
	turn(w);
	assert_int_equal(w->asked, 4);
	answer(w, w->calls[1], 1);
	turn(w);
	assert_int_equal(w->answers, 1);
	assert_int_equal(w->asked, 5);
	for (unsigned i = 0; i < 10; i++) {
		if (i != 1)
			answer(w, w->calls[i], i);
		turn(w);
	}
	assert_int_equal(w->asked, 10);
	assert_int_equal(w->answers, 10);
	for (unsigned i = 1; i < 10; i++)
		assert_true(w->calls[i] > w->calls[i - 1]);
	assert_int_equal(ipc_backlog(w->asker), 0);
}

static void
what_follows_an_ask_waits_with_it(void **state)
{
	struct msg_submit_data data = {.bytes = SPAN_LIT("0123456789")};
	struct world *w = *state;
	uint32_t call = 0;

	for (uint32_t i = 0; i < 5; i++)
		call = ask(w, i, 0);
	ipc_send(w->asker, IPC_SUBMIT_DATA, call, &data);
	turn(w);
	assert_int_equal(w->octets, 0);
	answer(w, w->calls[0], 0);
	turn(w);
	assert_int_equal(w->asked, 5);
	assert_int_equal(w->octets, 10);
	/* cancelled before it was sent: neither it nor what follows goes out */
	call = ask(w, 9, 0);
	ipc_cancel(w->asker, call);
	ipc_send(w->asker, IPC_SUBMIT_DATA, call, &data);
	answer(w, w->calls[1], 0);
	turn(w);
	assert_int_equal(w->asked, 5);
	assert_int_equal(w->octets, 10);
	assert_int_equal(w->down, 0);
}

/* Several questions of one asker: the first that hears of the end gives up the others. */
struct group {
	struct ipc_channel *channel;
	uint32_t calls[6];
	unsigned heard;
};

static int
give_up_all(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct group *g = context;

	(void)err;
	assert_null(frame);
	g->heard++;
	for (unsigned i = 0; i < 6; i++)
		ipc_cancel(g->channel, g->calls[i]);
	return 0;
}

static void
what_is_cancelled_at_the_end_hears_nothing(void **state)
{
	const struct msg_map_ask m = {.tables = SPAN_LIT("t"), .key = SPAN_LIT("k")};
	struct world *w = *state;
	struct group g = {.channel = w->asker};

	turn(w);
	/* Two of them wait for credit. */
	for (unsigned i = 0; i < 6; i++)
		g.calls[i] = ipc_ask(w->asker, IPC_MAP_ASK, &m, 0, give_up_all, &g);
	ipc_channel_close(&w->asker);
	assert_int_equal(g.heard, 1);
}

static void
too_much_waiting_is_refused(void **state)
{
	static char long_name[8000];
	struct msg_map_ask m = {.tables = span_make(long_name, sizeof(long_name)), .key = SPAN_LIT("k")};
	struct world *w = *state;
	unsigned taken = 0;

	memset(long_name, 'x', sizeof(long_name));
	while (taken < 5000 && ipc_ask(w->asker, IPC_MAP_ASK, &m, 0, on_answer, w) != 0)
		taken++;
	assert_in_range(taken, 900, 1200);
	ipc_channel_close(&w->asker);
	assert_int_equal(w->nulls, taken);
}

static void
deadline_tells_once_and_keeps_credit_until_the_answer(void **state)
{
	struct world *w = *state;
	int64_t end = clock_mono_us() + 2 * US_PER_SECOND;

	for (uint32_t i = 0; i < 5; i++)
		ask(w, i, 30);
	while (w->nulls < 5 && clock_mono_us() < end) {
		turn(w);
		usleep(5000);
	}
	assert_int_equal(w->nulls, 5);
	assert_int_equal(w->asked, 4);
	ask(w, 50, 0);
	turn(w);
	assert_int_equal(w->asked, 4);
	answer(w, w->calls[2], 0);
	turn(w);
	assert_int_equal(w->asked, 5);
	assert_int_equal(w->answers, 0);
	answer(w, w->calls[4], 7);
	turn(w);
	assert_int_equal(w->answers, 1);
	assert_int_equal(w->down, 0);
}

static void
a_part_renews_the_deadline(void **state)
{
	struct msg_resolve_rcpt part = {.recipient = SPAN_LIT("a@b")};
	struct msg_resolve_ask question = {.address = SPAN_LIT("a@b")};
	struct world *w = *state;

	ipc_ask(w->asker, IPC_RESOLVE_ASK, &question, 80, on_answer, w);
	for (int i = 0; i < 6; i++) {
		turn(w);
		usleep(30000);
		ipc_send(w->answerer, IPC_RESOLVE_RCPT, w->calls[0], &part);
		turn(w);
	}
	assert_int_equal(w->parts, 6);
	assert_int_equal(w->nulls, 0);
	usleep(100000);
	turn(w);
	assert_int_equal(w->nulls, 1);
}

/* Handlers look at the fields that they expect: those of another type would be anything. */
static void
a_reply_to_another_question_costs_the_connection(void **state)
{
	struct msg_map_answer other = {.status = 0};
	struct world *w = *state;

	ask(w, 1, 0);
	ask(w, 2, 0);
	turn(w);
	ipc_send(w->answerer, IPC_MAP_ANSWER, w->calls[0], &other);
	turn(w);
	assert_int_equal(w->answers, 0);
	assert_int_equal(w->nulls, 2);
	assert_null(w->asker);
	assert_non_null(strstr(last_line, "MAP_ANSWER for conversation 1, which is about DNS_ASK"));
}

static void
cancelled_conversations_hear_nothing(void **state)
{
	struct world *w = *state;
	uint32_t call = ask(w, 1, 50);

	turn(w);
	ipc_cancel(w->asker, call);
	answer(w, call, 0);
	turn(w);
	usleep(60000);
	turn(w);
	assert_int_equal(w->answers + w->nulls, 0);
	assert_int_equal(w->down, 0);
}

static void
death_of_the_peer_is_told_to_all(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < 9; i++)
		ask(w, i, 1000);
	turn(w);
	ipc_channel_close(&w->answerer);
	turn(w);
	assert_int_equal(w->nulls, 9);
	assert_null(w->asker);
	assert_int_equal(w->down, 2);
	assert_int_equal(ask(w, 1, 0), 0);
	assert_int_equal(ipc_send(NULL, IPC_PING, 0, &(struct msg_ping){0}), -1);
}

static void
last_words_arrive(void **state)
{
	struct world *w = *state;

	ask(w, 1, 0);
	turn(w);
	answer(w, w->calls[0], 42);
	ipc_channel_close(&w->answerer);
	ask(w, 2, 0); /* this write fails, the answer is still read */
	turn(w);
	assert_int_equal(w->answers, 1);
	assert_int_equal(w->values[0], 42);
	assert_int_equal(w->nulls, 1);
}

static void
closing_within_a_handler_is_safe(void **state)
{
	struct world *w = *state;

	w->close_in_handler = true;
	for (uint32_t i = 0; i < 4; i++)
		ask(w, i, 100);
	turn(w);
	assert_int_equal(w->asked, 1);
	assert_int_equal(w->nulls, 4);
	assert_int_equal(w->down, 2);
}

static void
closing_within_an_answer_is_safe(void **state)
{
	struct world *w = *state;

	w->close_in_answer = true;
	w->answer_at_once = true;
	for (uint32_t i = 0; i < 4; i++)
		ask(w, i, 100);
	turn(w);
	assert_int_equal(w->answers, 1);
	assert_int_equal(w->nulls, 3);
}

static void
descriptors_arrive_with_their_frames(void **state)
{
	struct msg_conf_value filler = {.name = SPAN_LIT("x")};
	struct world *w = *state;
	char path[64], text[16];

	for (int i = 0; i < 20; i++) {
		struct msg_watched_file m = {.path = SPAN_LIT("/x"), .fd = -1};

		if (i % 5 != 4) {
			m.fd = memfd_create("test", MFD_CLOEXEC);
			snprintf(path, sizeof(path), "%d", i);
			assert_int_equal(write(m.fd, path, strlen(path)), strlen(path));
		}
		ipc_send(w->asker, IPC_WATCHED_FILE, 0, &m);
		if (m.fd >= 0)
			close(m.fd);
		for (int j = 0; j < i % 3; j++)
			ipc_send(w->asker, IPC_CONF_VALUE, 0, &filler);
	}
	for (int i = 0; i < 20; i++)
		turn(w);
	assert_int_equal(w->fds, 20);
	for (int i = 0; i < 20; i++) {
		ssize_t n;

		if (i % 5 == 4) {
			assert_int_equal(w->got_fd[i], -1);
			continue;
		}
		assert_true(fcntl(w->got_fd[i], F_GETFD) & FD_CLOEXEC);
		n = pread(w->got_fd[i], text, sizeof(text) - 1, 0);
		assert_true(n > 0);
		text[n] = '\0';
		assert_int_equal(atol(text), i);
		close(w->got_fd[i]);
	}
}

/* More than any socket holds goes out bit by bit, whole and in order. */
static void
large_backlogs_drain(void **state)
{
	static char big[50000];
	struct msg_conf_value m = {.name = SPAN_LIT("x"), .value = span_make(big, sizeof(big))};
	struct world *w = *state;

	for (int i = 0; i < 100; i++)
		ipc_send(w->asker, IPC_CONF_VALUE, 0, &m);
	assert_true(ipc_backlog(w->asker) > 100 * sizeof(big));
	for (int i = 0; i < 100 && w->notes < 100; i++)
		turn(w);
	assert_int_equal(w->notes, 100);
	assert_int_equal(w->octets, 100 * sizeof(big));
	assert_int_equal(ipc_backlog(w->asker), 0);
}

static void
a_busy_connection(void **state)
{
	struct world *w = *state;

	w->answer_at_once = true;
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 10; i++)
			assert_int_not_equal(ask(w, (uint32_t)(round * 10 + i), 5000), 0);
		turn(w);
	}
	for (int i = 0; i < 10; i++)
		turn(w);
	assert_int_equal(w->answers, 3000);
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(w->values[i], i);
}

/* Whoever listens there is told by what it reads. */
static void
connects(const char *path, bool abstract)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(address);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, there;
	struct error err;
	char got[2];

	strcpy(address.sun_path, path);
	if (abstract) {
		address.sun_path[0] = '\0';
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	}
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	fd = ipc_connect(path, &err);
	assert_true(fd >= 0);
	there = accept(listener, NULL, NULL);
	assert_int_equal(write(fd, "ok", 2), 2);
	assert_int_equal(read(there, got, 2), 2);
	close(there);
	close(fd);
	close(listener);
	assert_int_equal(ipc_connect(path, &err), -1);
	if (!abstract)
		unlink(path);
}

static void
connecting_takes_paths_and_abstract_names(void **state)
{
	char path[64], longer[200];
	struct error err;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/postern-ipc-%u", (unsigned)getpid());
	connects(path, false);
	snprintf(path, sizeof(path), "@postern-ipc-%u", (unsigned)getpid());
	connects(path, true);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(((struct sockaddr_un *)NULL)->sun_path)] = '\0';
	assert_int_equal(ipc_connect(longer, &err), -1);
	assert_non_null(strstr(err.text, "too long"));
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    PAIR(hello_tells_who_is_there),
	    PAIR(asks_wait_for_credit_in_order),
	    PAIR(what_follows_an_ask_waits_with_it),
	    PAIR(what_is_cancelled_at_the_end_hears_nothing),
	    PAIR(too_much_waiting_is_refused),
	    PAIR(deadline_tells_once_and_keeps_credit_until_the_answer),
	    PAIR(a_part_renews_the_deadline),
	    PAIR(a_reply_to_another_question_costs_the_connection),
	    PAIR(cancelled_conversations_hear_nothing),
	    PAIR(death_of_the_peer_is_told_to_all),
	    PAIR(last_words_arrive),
	    PAIR(closing_within_a_handler_is_safe),
	    PAIR(closing_within_an_answer_is_safe),
	    PAIR(descriptors_arrive_with_their_frames),
	    PAIR(large_backlogs_drain),
	    PAIR(a_busy_connection),
	    cmocka_unit_test(connecting_takes_paths_and_abstract_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
