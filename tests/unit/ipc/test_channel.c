#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ipc/ipc.h"

/* Two ends of one connection: 'asker' (as smtpd) and 'answerer' (as resolver), and what happened to them. */
struct world {
	struct event_base *base;
	struct ipc_channel *asker, *answerer;
	unsigned up, down, asked, parts, answers, nulls, notes;
	uint32_t calls[4096]; /* as the answerer saw them */
	uint32_t values[4096]; /* DNS_ASK.type of each answer, in order */
	int got_fd[64];
	unsigned fds;
	bool answer_at_once, close_in_handler, close_in_answer, refuse;
	unsigned long long octets;
};

static char last_line[2000];

static void
keep_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	(void)level;
	(void)ident;
	(void)len;
	(void)context;
	memcpy(last_line, text, len + 1);
}

static void
on_up(struct ipc_channel *channel, void *context)
{
	(void)channel;
	((struct world *)context)->up++;
}

static void
on_down(struct ipc_channel *channel, void *context)
{
	struct world *w = context;

	w->down++;
	if (channel == w->asker)
		w->asker = NULL;
	if (channel == w->answerer)
		w->answerer = NULL;
}

static void
answer(struct world *w, uint32_t call, uint32_t ttl)
{
	struct msg_dns_answer m = {.ttl = ttl};

	ipc_send(w->answerer, IPC_DNS_ANSWER, call, &m);
}

static int
handle_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;

	if (w->refuse)
		return error_set(err, "refused by the handler");
	w->calls[w->asked++ % 4096] = frame->call;
	if (w->answer_at_once)
		answer(w, frame->call, frame->dns_ask.type);
	if (w->close_in_handler)
		ipc_channel_close(&channel);
	return 0;
}

static int
handle_watched(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;

	(void)channel;
	(void)err;
	w->got_fd[w->fds++] = frame->watched_file.fd;
	return 0;
}

static int
handle_note(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;

	(void)channel;
	(void)err;
	w->notes++;
	w->octets += frame->conf_value.value.len;
	return 0;
}

static int
handle_more(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)err;
	((struct world *)context)->octets += frame->submit_data.bytes.len;
	return 0;
}

static const struct ipc_permit permits[] = {
    {IPC_DNS_ASK, ROLE_BIT(ROLE_SMTPD), handle_ask},
    {IPC_WATCHED_FILE, ROLE_BIT(ROLE_SMTPD), handle_watched},
    {IPC_CONF_VALUE, ROLE_BIT(ROLE_SMTPD), handle_note},
    {IPC_SUBMIT_DATA, ROLE_BIT(ROLE_SMTPD), handle_more},
    {IPC_NAME_ASK, ROLE_BIT(ROLE_QUEUE), handle_ask},
};

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct world *w = context;

	(void)err;
	if (frame == NULL) {
		w->nulls++;
		return 0;
	}
	if (frame->type == IPC_RESOLVE_RCPT) {
		w->parts++;
		return 0;
	}
	w->values[w->answers++ % 4096] = frame->dns_answer.ttl;
	if (w->close_in_answer) {
		struct ipc_channel *c = w->asker;

		w->asker = NULL;
		ipc_channel_close(&c);
	}
	return 0;
}

static void
turn(struct world *w)
{
	for (int i = 0; i < 6; i++) {
		ipc_flush_all();
		event_base_loop(w->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	}
	ipc_flush_all();
}

static uint32_t
ask(struct world *w, uint32_t type, unsigned timeout_ms)
{
	struct msg_dns_ask m = {.name = SPAN_LIT("mx.example"), .type = type};

	return ipc_ask(w->asker, IPC_DNS_ASK, &m, timeout_ms, on_answer, w);
}

static const struct ipc_callbacks *
callbacks_of(struct world *w)
{
	static struct ipc_callbacks callbacks;

	callbacks = (struct ipc_callbacks){permits, sizeof(permits) / sizeof(*permits), on_up, on_down, w};
	return &callbacks;
}

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
	log_set_sink(keep_line, NULL);
	last_line[0] = '\0';
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
	log_set_sink(NULL, NULL);
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
	struct world *w = *state;

	ask(w, 1, 80);
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

/* ---- a peer that does not keep to the rules: raw bytes into the answerer ---- */

struct raw {
	struct world w;
	int fd;
};

static int
set_up_raw(void **state)
{
	struct raw *r = calloc(1, sizeof(*r));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	r->fd = pair[0];
	r->w.base = event_base_new();
	r->w.answerer =
	    ipc_channel_new(r->w.base, pair[1], ROLE_RESOLVER, 0, ROLE_SMTPD, 2, callbacks_of(&r->w));
	log_set_sink(keep_line, NULL);
	last_line[0] = '\0';
	*state = r;
	return 0;
}

static int
tear_down_raw(void **state)
{
	struct raw *r = *state;

	ipc_channel_close(&r->w.answerer);
	event_base_free(r->w.base);
	close(r->fd);
	free(r);
	log_set_sink(NULL, NULL);
	return 0;
}

static void
feed(struct raw *r, enum ipc_type type, uint32_t call, const void *message, size_t step)
{
	struct buf out;

	buf_init(&out, IPC_FRAME_MAX);
	assert_int_equal(ipc_encode(&out, type, call, message), 0);
	while (out.len > 0) {
		size_t n = step && step < out.len ? step : out.len;

		assert_int_equal(send(r->fd, buf_ptr(&out), n, MSG_NOSIGNAL), n);
		buf_consume(&out, n);
		if (step)
			turn(&r->w);
	}
	turn(&r->w);
	buf_free(&out);
}

static void
greet(struct raw *r)
{
	struct msg_hello hello = {.hash = ipc_hash(), .role = ROLE_SMTPD, .credit = 1};

	feed(r, IPC_HELLO, 0, &hello, 0);
	assert_int_equal(r->w.up, 1);
}

static void
assert_closed_for(struct raw *r, const char *text)
{
	assert_int_equal(r->w.down, 1);
	if (strstr(last_line, text) == NULL)
		fail_msg("'%s' was logged, not '%s'", last_line, text);
}

static void
one_byte_at_a_time(void **state)
{
	struct msg_hello hello = {.hash = ipc_hash(), .role = ROLE_SMTPD};
	struct msg_dns_ask m = {.name = SPAN_LIT("mx.example")};
	struct raw *r = *state;

	feed(r, IPC_HELLO, 0, &hello, 1);
	feed(r, IPC_DNS_ASK, 1, &m, 1);
	feed(r, IPC_DNS_ASK, 2, &m, 7);
	assert_int_equal(r->w.asked, 2);
	assert_int_equal(r->w.down, 0);
}

static void
wrong_version_is_closed(void **state)
{
	struct msg_hello hello = {.hash = ipc_hash() + 1, .role = ROLE_SMTPD};

	feed(*state, IPC_HELLO, 0, &hello, 0);
	assert_closed_for(*state, "another version");
}

static void
wrong_role_is_closed(void **state)
{
	struct msg_hello hello = {.hash = ipc_hash(), .role = ROLE_QUEUE};

	feed(*state, IPC_HELLO, 0, &hello, 0);
	assert_closed_for(*state, "should be smtpd");
}

static void
nothing_before_hello(void **state)
{
	feed(*state, IPC_DNS_ASK, 1, &(struct msg_dns_ask){0}, 0);
	assert_closed_for(*state, "DNS_ASK before HELLO");
}

static void
second_hello_is_closed(void **state)
{
	struct msg_hello hello = {.hash = ipc_hash(), .role = ROLE_SMTPD};

	greet(*state);
	feed(*state, IPC_HELLO, 0, &hello, 0);
	assert_closed_for(*state, "HELLO is not permitted");
}

static void
what_others_may_is_closed(void **state)
{
	greet(*state);
	feed(*state, IPC_NAME_ASK, 1, &(struct msg_name_ask){0}, 0);
	assert_closed_for(*state, "NAME_ASK is not permitted to smtpd");
}

static void
more_asks_than_credit_is_closed(void **state)
{
	struct raw *r = *state;

	greet(r);
	feed(r, IPC_DNS_ASK, 1, &(struct msg_dns_ask){0}, 0);
	feed(r, IPC_DNS_ASK, 2, &(struct msg_dns_ask){0}, 0);
	answer(&r->w, 1, 0);
	feed(r, IPC_DNS_ASK, 3, &(struct msg_dns_ask){0}, 0);
	assert_int_equal(r->w.down, 0);
	feed(r, IPC_DNS_ASK, 4, &(struct msg_dns_ask){0}, 0);
	assert_closed_for(r, "beyond its credit of 2");
}

static void
answer_to_nothing_is_closed(void **state)
{
	greet(*state);
	feed(*state, IPC_DNS_ANSWER, 1, &(struct msg_dns_answer){0}, 0);
	assert_closed_for(*state, "which was not opened");
}

static void
more_of_nothing_is_closed(void **state)
{
	greet(*state);
	feed(*state, IPC_SUBMIT_DATA, 9, &(struct msg_submit_data){0}, 0);
	assert_closed_for(*state, "which was not opened");
}

static void
garbage_is_closed(void **state)
{
	struct raw *r = *state;

	greet(r);
	assert_int_equal(send(r->fd, "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
	turn(&r->w);
	assert_closed_for(r, "a frame says that it has");
}

static void
handler_that_objects_closes(void **state)
{
	struct raw *r = *state;

	greet(r);
	r->w.refuse = true;
	feed(r, IPC_DNS_ASK, 1, &(struct msg_dns_ask){0}, 0);
	assert_closed_for(r, "refused by the handler");
}

static unsigned
open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 200; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Descriptors nobody asked for: as many in one message, none left open here. */
static void
stray_descriptors_are_closed(void **state)
{
	struct raw *r = *state;
	union {
		char bytes[CMSG_SPACE(100 * sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec vector = {.iov_base = control.bytes, .iov_len = 8};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes};
	struct cmsghdr *c;
	unsigned before;

	greet(r);
	before = open_descriptors();
	message.msg_controllen = CMSG_SPACE(100 * sizeof(int));
	c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(100 * sizeof(int));
	for (int i = 0; i < 100; i++)
		memcpy(CMSG_DATA(c) + i * (int)sizeof(int), &r->fd, sizeof(int));
	assert_int_equal(sendmsg(r->fd, &message, 0), 8);
	turn(&r->w);
	assert_closed_for(r, "too many descriptors");
	assert_int_equal(open_descriptors(), before - 1);
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define RAW(test) cmocka_unit_test_setup_teardown(test, set_up_raw, tear_down_raw)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    PAIR(hello_tells_who_is_there),
	    PAIR(asks_wait_for_credit_in_order),
	    PAIR(what_follows_an_ask_waits_with_it),
	    PAIR(too_much_waiting_is_refused),
	    PAIR(deadline_tells_once_and_keeps_credit_until_the_answer),
	    PAIR(a_part_renews_the_deadline),
	    PAIR(cancelled_conversations_hear_nothing),
	    PAIR(death_of_the_peer_is_told_to_all),
	    PAIR(last_words_arrive),
	    PAIR(closing_within_a_handler_is_safe),
	    PAIR(closing_within_an_answer_is_safe),
	    PAIR(descriptors_arrive_with_their_frames),
	    PAIR(large_backlogs_drain),
	    PAIR(a_busy_connection),
	    RAW(one_byte_at_a_time),
	    RAW(wrong_version_is_closed),
	    RAW(wrong_role_is_closed),
	    RAW(nothing_before_hello),
	    RAW(second_hello_is_closed),
	    RAW(what_others_may_is_closed),
	    RAW(more_asks_than_credit_is_closed),
	    RAW(answer_to_nothing_is_closed),
	    RAW(more_of_nothing_is_closed),
	    RAW(garbage_is_closed),
	    RAW(handler_that_objects_closes),
	    RAW(stray_descriptors_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
