#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/net/stream.h"

enum { INPUT_MAX = 1000 };

/* One end is a stream, the other a plain descriptor that the test holds. */
struct fixture {
	struct event_base *base;
	struct stream *stream;
	int peer;
	struct buf got;
	size_t consume_at_most; /* each time */
	bool pause_after_input;
	bool close_in_input;
	unsigned shown;
	unsigned events[5];
};

static size_t
on_input(struct stream *s, struct span bytes, void *context)
{
	struct fixture *f = context;
	size_t take = bytes.len < f->consume_at_most ? bytes.len : f->consume_at_most;

	f->shown++;
	assert_int_equal(buf_append(&f->got, bytes.ptr, take), 0);
	if (f->pause_after_input)
		stream_pause(s);
	if (f->close_in_input)
		stream_close(&f->stream);
	return take;
}

static void
on_stream_event(struct stream *s, enum stream_event event, void *context)
{
	struct fixture *f = context;

	(void)s;
	f->events[event]++;
}

static const struct stream_callbacks callbacks = {on_input, on_stream_event};

static void
turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	stream_flush_all();
}

static int
set_up(void **state)
{
	static struct fixture f;
	int fds[2];

	f = (struct fixture){.consume_at_most = SIZE_MAX};
	buf_init(&f.got, 1 << 20);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	f.base = event_base_new();
	f.peer = fds[1];
	f.stream = stream_new(f.base, fds[0], false, INPUT_MAX, &callbacks, &f);
	*state = &f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	stream_close(&f->stream);
	buf_free(&f->got);
	event_base_free(f->base);
	if (f->peer >= 0)
		close(f->peer);
	return 0;
}

static void
test_rest_is_shown_again(void **state)
{
	struct fixture *f = *state;

	f->consume_at_most = 2;
	assert_int_equal(write(f->peer, "abcde", 5), 5);
	turn(f);
	assert_int_equal(write(f->peer, "fg", 2), 2);
	turn(f);
	assert_string_equal(buf_text(&f->got), "abcd");
	assert_true(stream_input_pending(f->stream));
}

static void
test_pause_and_resume(void **state)
{
	struct fixture *f = *state;

	f->consume_at_most = 1;
	f->pause_after_input = true;
	assert_int_equal(write(f->peer, "abc", 3), 3);
	turn(f);
	assert_int_equal(write(f->peer, "d", 1), 1);
	turn(f);
	turn(f);
	assert_int_equal(f->shown, 1);

	/* What was kept is shown without new input, and only then what the socket holds. */
	f->pause_after_input = false;
	f->consume_at_most = SIZE_MAX;
	stream_resume(f->stream);
	assert_int_equal(f->shown, 1); /* never from within the call */
	turn(f);
	turn(f);
	assert_string_equal(buf_text(&f->got), "abcd");
}

static void
test_too_much_kept(void **state)
{
	struct fixture *f = *state;
	char bytes[INPUT_MAX + 1] = {0};

	f->consume_at_most = 0;
	assert_int_equal(write(f->peer, bytes, sizeof(bytes)), sizeof(bytes));
	turn(f);
	turn(f);
	assert_int_equal(f->events[STREAM_ERROR], 1);
	assert_int_equal(stream_errno(f->stream), ENOBUFS);
	turn(f);
	assert_int_equal(f->events[STREAM_ERROR], 1);
}

static void
test_writes_are_gathered(void **state)
{
	struct fixture *f = *state;
	char bytes[100];

	stream_write(f->stream, "ab", 2);
	stream_write(f->stream, "cd", 2);
	stream_want_written(f->stream);
	assert_int_equal(read(f->peer, bytes, sizeof(bytes)), -1);
	turn(f);
	assert_int_equal(read(f->peer, bytes, sizeof(bytes)), 4);
	assert_int_equal(f->events[STREAM_WRITTEN], 0);
	turn(f);
	assert_int_equal(f->events[STREAM_WRITTEN], 1);
	turn(f);
	assert_int_equal(f->events[STREAM_WRITTEN], 1);
}

static void
test_slow_reader(void **state)
{
	struct fixture *f = *state;
	static char bytes[1 << 20];
	size_t got = 0;
	ssize_t n;

	memset(bytes, 'x', sizeof(bytes));
	stream_write(f->stream, bytes, sizeof(bytes));
	stream_want_written(f->stream);
	turn(f);
	assert_true(stream_unsent(f->stream) > 0);
	for (int i = 0; i < 1000 && !f->events[STREAM_WRITTEN]; i++) {
		while ((n = read(f->peer, bytes, sizeof(bytes))) > 0)
			got += (size_t)n;
		turn(f);
	}
	while ((n = read(f->peer, bytes, sizeof(bytes))) > 0)
		got += (size_t)n;
	assert_int_equal(got, sizeof(bytes));
	assert_int_equal(f->events[STREAM_WRITTEN], 1);
}

/* Large pieces go past the buffer, small ones and what the kernel does not take through it: the order stays. */
static void
test_pieces_keep_their_order(void **state)
{
	struct fixture *f = *state;
	static char want[6 * 100000 + 3], got[sizeof(want)];
	size_t len = 0, had = 0;
	ssize_t n;

	for (int i = 0; i < 6; i++) {
		size_t piece = i == 1 ? 10 : 100000;

		memset(want + len, 'a' + i, piece);
		stream_write_more(f->stream, want + len, piece);
		len += piece;
	}
	memcpy(want + len, ".\r\n", 3);
	stream_write(f->stream, want + len, 3);
	len += 3;
	assert_in_range(stream_unsent(f->stream), 1, len - 100000);
	for (int i = 0; i < 1000 && had < len; i++) {
		turn(f);
		while ((n = read(f->peer, got + had, sizeof(got) - had)) > 0)
			had += (size_t)n;
	}
	assert_int_equal(had, len);
	assert_memory_equal(got, want, len);
}

static void
test_end_of_input(void **state)
{
	struct fixture *f = *state;

	f->pause_after_input = true;
	assert_int_equal(write(f->peer, "x", 1), 1);
	turn(f);
	close(f->peer);
	f->peer = -1;
	turn(f);
	assert_int_equal(f->events[STREAM_EOF], 0); /* a paused owner is not told */
	stream_resume(f->stream);
	turn(f);
	turn(f);
	assert_int_equal(f->events[STREAM_EOF], 1);
	stream_write(f->stream, "late", 4);
	turn(f);
	turn(f);
	assert_int_equal(f->events[STREAM_ERROR], 1);
}

static void
test_close_within_callback(void **state)
{
	struct fixture *f = *state;

	f->close_in_input = true;
	assert_int_equal(write(f->peer, "abc", 3), 3);
	turn(f);
	assert_null(f->stream);
	assert_int_equal(f->shown, 1);
}

/* An absolute deadline: bytes that trickle in do not move it. */
static void
test_deadline_is_absolute(void **state)
{
	struct fixture *f = *state;
	int64_t start = clock_mono_us();

	stream_set_deadline(f->stream, start + 60 * US_PER_MS);
	while (!f->events[STREAM_TIMEOUT] && clock_mono_us() < start + 500 * US_PER_MS) {
		assert_int_equal(write(f->peer, "x", 1), 1);
		turn(f);
		usleep(5000);
	}
	assert_int_equal(f->events[STREAM_TIMEOUT], 1);
	assert_in_range(clock_mono_us() - start, 60 * US_PER_MS, 200 * US_PER_MS);
	usleep(80000);
	turn(f);
	assert_int_equal(f->events[STREAM_TIMEOUT], 1);
}

static void
test_deadline_while_paused(void **state)
{
	struct fixture *f = *state;

	f->pause_after_input = true;
	assert_int_equal(write(f->peer, "xy", 2), 2);
	turn(f);
	assert_int_equal(write(f->peer, "z", 1), 1);
	turn(f);
	turn(f); /* reading is disarmed by now */
	stream_set_deadline(f->stream, clock_mono_us() + 20 * US_PER_MS);
	usleep(30000);
	turn(f);
	assert_int_equal(f->events[STREAM_TIMEOUT], 1);
}

static void
give_time(evutil_socket_t fd, short what, void *context)
{
	struct fixture *f = context;

	(void)fd;
	(void)what;
	stream_set_deadline(f->stream, clock_mono_us() + 100 * US_PER_SECOND);
}

/* An idle connection is taken for the next message in the very turn in which its time is over: whoever comes first in it. */
static void
test_time_that_is_given_while_it_runs_out(void **state)
{
	struct fixture *f = *state;
	struct timeval soon = {.tv_usec = 5000};
	struct event *other = event_new(f->base, -1, 0, give_time, f);

	event_add(other, &soon);
	stream_set_deadline(f->stream, clock_mono_us() + 20000);
	usleep(40000);
	turn(f);
	assert_int_equal(f->events[STREAM_TIMEOUT], 0);
	assert_int_equal(write(f->peer, "abc", 3), 3);
	turn(f);
	assert_string_equal(buf_text(&f->got), "abc");

	/* None at all is the same. */
	stream_set_deadline(f->stream, clock_mono_us() + 20000);
	event_add(other, &soon);
	usleep(40000);
	turn(f);
	stream_set_deadline(f->stream, 0);
	assert_int_equal(write(f->peer, "d", 1), 1);
	turn(f);
	assert_string_equal(buf_text(&f->got), "abcd");
	event_free(other);
}

/* Nothing is waited for any more, and the end is still to be told. */
static void
test_failure_is_told_though_time_is_given(void **state)
{
	struct fixture *f = *state;
	struct timeval soon = {.tv_usec = 5000};
	struct event *other = event_new(f->base, -1, 0, give_time, f);

	event_add(other, &soon);
	stream_set_deadline(f->stream, clock_mono_us() + 20000);
	close(f->peer);
	f->peer = -1;
	stream_write(f->stream, "abc", 3);
	stream_flush_all();
	usleep(40000);
	turn(f);
	turn(f);
	assert_int_equal(f->events[STREAM_ERROR], 1);
	event_free(other);
}

static void
test_last_words(void **state)
{
	struct fixture *f = *state;
	char bytes[100];

	assert_int_equal(write(f->peer, "unread", 6), 6);
	stream_write(f->stream, "421 bye\r\n", 9);
	stream_close_after_flush(&f->stream, US_PER_SECOND);
	assert_null(f->stream);
	turn(f);
	assert_int_equal(read(f->peer, bytes, sizeof(bytes)), 9);
	assert_int_equal(read(f->peer, bytes, sizeof(bytes)), 0);
	close(f->peer);
	f->peer = -1;
	turn(f);
	turn(f);
	assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 0);
}

static void
test_connecting(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(to);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	stream_close(&f->stream);
	assert_int_equal(bind(listener, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&to, &len), 0);
	assert_int_equal(listen(listener, 1), 0);
	(void)connect(fd, (struct sockaddr *)&to, sizeof(to));
	f->stream = stream_new(f->base, fd, true, INPUT_MAX, &callbacks, f);
	stream_write(f->stream, "EHLO\r\n", 6);
	for (int i = 0; i < 100 && !f->events[STREAM_CONNECTED]; i++) {
		turn(f);
		usleep(1000);
	}
	assert_int_equal(f->events[STREAM_CONNECTED], 1);
	assert_int_equal(stream_unsent(f->stream), 0);
	stream_close(&f->stream);
	close(listener);

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	(void)connect(fd, (struct sockaddr *)&to, sizeof(to));
	f->stream = stream_new(f->base, fd, true, INPUT_MAX, &callbacks, f);
	for (int i = 0; i < 100 && !f->events[STREAM_ERROR]; i++) {
		turn(f);
		usleep(1000);
	}
	assert_int_equal(f->events[STREAM_ERROR], 1);
	assert_int_equal(stream_errno(f->stream), ECONNREFUSED);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_rest_is_shown_again),
	    ROW(test_pause_and_resume),
	    ROW(test_too_much_kept),
	    ROW(test_writes_are_gathered),
	    ROW(test_slow_reader),
	    ROW(test_pieces_keep_their_order),
	    ROW(test_end_of_input),
	    ROW(test_close_within_callback),
	    ROW(test_deadline_is_absolute),
	    ROW(test_deadline_while_paused),
	    ROW(test_time_that_is_given_while_it_runs_out),
	    ROW(test_failure_is_told_though_time_is_given),
	    ROW(test_last_words),
	    ROW(test_connecting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
