/* A peer that does not keep to the rules: it loses its connection, with a line that says why. */
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
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "tests/unit/ipc/world.h"

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
	world_log_open();
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
	world_log_close();
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
another_index_is_closed(void **state)
{
	struct msg_hello hello = {.hash = ipc_hash(), .role = ROLE_SMTPD, .index = 1};
	struct raw *r = *state;

	ipc_expect_index(r->w.answerer, 2);
	feed(r, IPC_HELLO, 0, &hello, 0);
	assert_int_equal(r->w.up, 0);
	assert_closed_for(r, "number 1 and should be 2");
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

#define RAW(test) cmocka_unit_test_setup_teardown(test, set_up_raw, tear_down_raw)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    RAW(one_byte_at_a_time),
	    RAW(wrong_version_is_closed),
	    RAW(wrong_role_is_closed),
	    RAW(another_index_is_closed),
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
