/*
 * Sessions beyond what rows of test_dialogues.c can say: queue goes and comes back, clients break off, crowd and dawdle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "smtpd/resolution.h"
#include "smtpd/transaction.h"
#include "tests/unit/smtpd/fakes.h"

#define HOST "myhostname = mx.here.test\nmydomain = here.test\nmynetworks = 192.0.2.1/32\n"
#define STRANGER "192.0.2.99"
#define NEIGHBOUR "192.0.2.1"

static void
say(struct fakes *f, const char *line)
{
	char text[4000];

	(void)snprintf(text, sizeof(text), "%s\r\n", line);
	fakes_send(f, text, strlen(text));
}

static void
envelope(struct fakes *f)
{
	say(f, "EHLO h.test");
	say(f, "MAIL FROM:<a@b.test>");
	say(f, "RCPT TO:<alice@here.test>");
	(void)fakes_replies(f);
}

static void
test_queue_away(void **state)
{
	struct fakes f;

	(void)state;
	fakes_init(&f, HOST, STRANGER);
	envelope(&f);
	fakes_kill_queue(&f);
	say(&f, "DATA");
	assert_string_equal(fakes_replies(&f), "451 4.3.0 Error: mail system is temporarily unavailable\r\n");
	say(&f, "RCPT TO:<alice@here.test>");
	assert_memory_equal(fakes_replies(&f), "503", 3);

	/* The session outlives it. */
	fakes_start_queue(&f);
	envelope(&f);
	say(&f, "DATA");
	say(&f, "x: y\r\n\r\nbody\r\n.");
	assert_non_null(strstr(fakes_replies(&f), "250 2.0.0 Ok: queued as"));
	assert_int_equal(fakes_committed(&f), 1);

	/* It dies in the middle of a message, and before its answer. */
	envelope(&f);
	say(&f, "DATA");
	say(&f, "x: y\r\n\r\nbody");
	fakes_kill_queue(&f);
	say(&f, "more\r\n.");
	assert_non_null(strstr(fakes_replies(&f), "451 4.3.0"));
	fakes_start_queue(&f);
	say(&f, "NOOP");
	assert_memory_equal(fakes_replies(&f), "250", 3);
	fakes_fini(&f);
}

/* What became of it is asked when queue is back, and the client is told the truth. */
static void
test_queue_dies_before_its_answer(void **state)
{
	struct fakes f;

	(void)state;
	for (int durable = 0; durable < 2; durable++) {
		fakes_init(&f, HOST, STRANGER);
		envelope(&f);
		f.mute_queue = true;
		f.durable = durable != 0;
		say(&f, "DATA");
		say(&f, "x: y\r\n.");
		assert_string_equal(fakes_replies(&f), "354 End data with <CR><LF>.<CR><LF>\r\n");
		fakes_kill_queue(&f);
		assert_string_equal(fakes_replies(&f), "");
		fakes_start_queue(&f);
		for (int i = 0; i < 100 && f.replies.len == 0; i++) {
			usleep(10000);
			fakes_settle(&f);
		}
		assert_int_equal(f.fates, 1);
		assert_non_null(strstr(fakes_replies(&f), durable ? "250 2.0.0 Ok: queued as" : "451 4.3.0"));
		say(&f, "NOOP");
		assert_memory_equal(fakes_replies(&f), "250", 3);
		fakes_fini(&f);
	}
	/* A client that does not wait for it takes nothing along. */
	fakes_init(&f, HOST, STRANGER);
	envelope(&f);
	f.mute_queue = true;
	say(&f, "DATA");
	say(&f, "x: y\r\n.");
	fakes_kill_queue(&f);
	close(f.client);
	f.client = -1;
	fakes_settle(&f);
	fakes_start_queue(&f);
	usleep(50000);
	fakes_settle(&f);
	fakes_fini(&f);
}

static void
test_queue_says_no(void **state)
{
	static const struct {
		uint8_t status;
		const char *reply;
	} rows[] = {{SUBMIT_NO_SPACE, "452 4.3.1"}, {SUBMIT_TRY_LATER, "451 4.3.0"},
	    {SUBMIT_TOO_LARGE, "552 5.3.4"}, {SUBMIT_REFUSED, "554 5.6.0"}, {200, "451 4.3.0"}};
	struct fakes f;

	(void)state;
	fakes_init(&f, HOST, STRANGER);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f.answer_with = rows[i].status;
		envelope(&f);
		say(&f, "DATA");
		(void)fakes_replies(&f);
		say(&f, "x: y\r\n\r\n.");
		assert_memory_equal(fakes_replies(&f), rows[i].reply, 9);
		assert_null(fakes_session(&f)->transaction);
	}
	fakes_fini(&f);
}

/* Content beyond the window waits for credit, in no more memory than the window. */
static void
test_window(void **state)
{
	static char line[1002];
	struct fakes f;
	struct session *s;

	(void)state;
	memset(line, 'x', 1000);
	memcpy(line + 998, "\r\n", 3);
	fakes_init(&f, HOST, STRANGER);
	f.withhold_credit = true;
	envelope(&f);
	say(&f, "DATA");
	say(&f, "a: b\r\n");
	s = fakes_session(&f);
	for (int i = 0; i < 1000 && s->waiting != WAIT_WINDOW; i++)
		fakes_send(&f, line, 1000);
	assert_int_equal(s->waiting, WAIT_WINDOW);
	assert_in_range(fakes_last_message(&f)->content.len, SUBMIT_WINDOW / 2, SUBMIT_WINDOW);

	struct msg_submit_credit credit = {.octets = 1 << 20};
	f.withhold_credit = false;
	(void)ipc_send(f.others[ROLE_QUEUE], IPC_SUBMIT_CREDIT, fakes_last_message(&f)->call, &credit);
	fakes_settle(&f);
	(void)fakes_replies(&f);
	say(&f, ".");
	assert_memory_equal(fakes_replies(&f), "250", 3);
	fakes_fini(&f);
}

static void
test_lost_client(void **state)
{
	struct fakes f;

	(void)state;
	fakes_init(&f, HOST, STRANGER);
	envelope(&f);
	say(&f, "DATA");
	say(&f, "x: y\r\n\r\nhalf");
	close(f.client);
	f.client = -1;
	fakes_settle(&f);
	assert_null(fakes_session(&f));
	assert_int_equal(fakes_committed(&f), 0);
	assert_true(fakes_last_message(&f)->aborted);
	assert_int_equal(f.policy_gone, 1);
	assert_non_null(strstr(buf_text(&f.log), "lost connection after DATA ("));

	/* While an answer is awaited. */
	fakes_connect(&f, STRANGER);
	envelope(&f);
	f.mute_queue = true;
	say(&f, "DATA");
	say(&f, "x: y\r\n\r\n.");
	smtpd_fini(&f.smtpd);
	resolution_forget_all(&f.smtpd);
	f.mute_queue = false;
	fakes_settle(&f);
	fakes_fini(&f);
}

/* Repeated recipients need no second question, until lookup says that something changed. */
static void
test_answers_are_kept(void **state)
{
	struct fakes f;
	struct msg_lookup_changed changed = {.generation = 1};
	unsigned asks;

	(void)state;
	fakes_init(&f, HOST, STRANGER);
	envelope(&f);
	say(&f, "RSET");
	asks = f.asks;
	envelope(&f);
	assert_int_equal(f.asks, asks);
	(void)ipc_send(f.others[ROLE_LOOKUP], IPC_LOOKUP_CHANGED, 0, &changed);
	fakes_settle(&f);
	envelope(&f);
	assert_int_equal(f.asks, asks + 1);
	fakes_fini(&f);
}

static void
test_many_connections(void **state)
{
	struct fakes f;

	(void)state;
	fakes_init(&f, HOST, STRANGER);
	(void)fakes_replies(&f);
	f.policy_rate = 51;
	fakes_connect(&f, STRANGER);
	assert_string_equal(
	    fakes_replies(&f), "421 4.7.0 mx.here.test Error: too many connections from 192.0.2.99\r\n");
	assert_non_null(strstr(buf_text(&f.log),
	    "warning: Connection concurrency limit exceeded: 51 from unknown[192.0.2.99] for service smtp"));
	assert_null(fakes_session(&f));
	fakes_connect(&f, NEIGHBOUR); /* is not counted */
	assert_memory_equal(fakes_replies(&f), "220", 3);
	fakes_fini(&f);
}

static void
test_messages_in_a_minute(void **state)
{
	static const struct {
		const char *client;
		unsigned rate;
		const char *reply;
	} rows[] = {
	    {STRANGER, 5, "250 2.1.0 Ok\r\n"},
	    {STRANGER, 6, "450 4.7.1 Error: too much mail from 192.0.2.99\r\n"},
	    {NEIGHBOUR, 6, "250 2.1.0 Ok\r\n"}, /* is not counted */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fakes f;

		fakes_init(&f, HOST "smtpd_client_message_rate_limit = 5\n", rows[i].client);
		f.policy_rate = rows[i].rate;
		fakes_send(&f, "HELO h.test\r\n", 13);
		fakes_settle(&f);
		(void)fakes_replies(&f);
		fakes_send(&f, "MAIL FROM:<a@b.test>\r\n", 22);
		fakes_settle(&f);
		assert_string_equal(fakes_replies(&f), rows[i].reply);
		fakes_fini(&f);
	}
}

static void
test_long_lines(void **state)
{
	static char line[2 * 1024 * 1024];
	struct fakes f;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "NOOP ", 5);
	fakes_init(&f, HOST, STRANGER);
	(void)fakes_replies(&f);
	memcpy(line + 2046, "\r\n", 2);
	fakes_send(&f, line, 2048);
	assert_string_equal(fakes_replies(&f), "250 2.0.0 Ok\r\n");
	line[2046] = 'x';
	line[2047] = 'x';
	memcpy(line + 100000, "\r\n", 2);
	fakes_send(&f, line, 100002);
	assert_string_equal(fakes_replies(&f), "500 5.5.2 Error: line too long\r\n");
	say(&f, "NOOP");
	assert_string_equal(fakes_replies(&f), "250 2.0.0 Ok\r\n");
	line[100000] = 'x';
	line[100001] = 'x';
	fakes_send(&f, line, sizeof(line));
	assert_null(fakes_session(&f));
	fakes_fini(&f);
}

/* smtpd_error_sleep_time: the reply waits, the commands behind it too. */
static void
test_tarpit(void **state)
{
	struct fakes f;

	(void)state;
	fakes_init(&f, HOST "smtpd_soft_error_limit = 1\n", STRANGER);
	say(&f, "EHLO h.test");
	(void)fakes_replies(&f);
	say(&f, "FROB\r\nMAIL FROM:<a@b.test>");
	assert_string_equal(fakes_replies(&f), "");
	assert_int_equal(fakes_session(&f)->waiting, WAIT_TARPIT);
	usleep(1050000);
	fakes_settle(&f);
	assert_string_equal(fakes_replies(&f), "500 5.5.2 Error: command not recognized\r\n");
	assert_int_equal(fakes_session(&f)->waiting, WAIT_TARPIT);
	fakes_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_queue_away),
	    cmocka_unit_test(test_queue_dies_before_its_answer),
	    cmocka_unit_test(test_queue_says_no),
	    cmocka_unit_test(test_window),
	    cmocka_unit_test(test_lost_client),
	    cmocka_unit_test(test_answers_are_kept),
	    cmocka_unit_test(test_many_connections),
	    cmocka_unit_test(test_messages_in_a_minute),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_tarpit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
