/*
 * Groups of RCPTs (RFC 2920): lookup is asked about the next ones with the first, and the replies are those of commands that come one
 * by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/smtpd/fakes.h"

#define HOST                                                                                                 \
	"myhostname = mx.here.test\nmydomain = here.test\nmynetworks = "                                     \
	"192.0.2.1/32\nsmtpd_soft_error_limit = 100\n"

static void
send_text(struct fakes *f, const char *text)
{
	fakes_send(f, text, strlen(text));
}

static void
hello(struct fakes *f)
{
	send_text(f, "EHLO h.test\r\n");
	send_text(f, "MAIL FROM:<a@b.test>\r\n");
	(void)fakes_replies(f);
}

/* All that can be wrong with one, and 30 that are right. */
static const char *
group(void)
{
	static char text[4000];
	size_t len = 0;

	len += (size_t)snprintf(text, sizeof(text),
	    "RCPT TO:<u0@here.test>\r\nrcpt to: <nobody@here.test>\r\nRCPT TO:<temp@here.test>\r\nRCPT "
	    "TO:<u0@here.test>\r\n"
	    "RCPT TO:<list@here.test>\r\nRCPT TO:<\r\nRCPT TO:<u1@here.test> NOTIFY=WHAT\r\nRCPT "
	    "TO:<moved@here.test>\r\n"
	    "RCPT TO:<x@far.test>\r\nRSET\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<u2@here.test>\r\nRCPT\r\nRCPT "
	    "TO:<nobody@here.test>\r\n");
	for (unsigned i = 0; i < 30; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "RCPT TO:<v%u@here.test>\r\n", i);
	return text;
}

static void
test_replies_are_those_of_single_commands(void **state)
{
	struct fakes f;
	struct buf single;

	(void)state;
	buf_init(&single, 100000);
	fakes_init(&f, HOST, "198.51.100.7");
	hello(&f);
	for (const char *at = group(), *end; *at != '\0'; at = end) {
		end = strchr(at, '\n') + 1;
		fakes_send(&f, at, (size_t)(end - at));
		(void)buf_append_text(&single, fakes_replies(&f));
	}
	fakes_fini(&f);
	assert_non_null(strstr(buf_text(&single), "451 4.3.0 <temp@"));
	fakes_init(&f, HOST, "198.51.100.7");
	hello(&f);
	send_text(&f, group());
	assert_string_equal(fakes_replies(&f), buf_text(&single));
	fakes_fini(&f);
	buf_free(&single);
}

static void
begin_held(struct fakes *f, const char *commands)
{
	fakes_init(f, HOST, "198.51.100.7");
	hello(f);
	f->hold_lookup = true;
	f->asks = f->held_count = 0;
	send_text(f, commands);
}

static void
test_asked_at_once_and_answered_in_any_order(void **state)
{
	struct fakes f;

	(void)state;
	begin_held(&f, "RCPT TO:<a@here.test>\r\nRCPT TO:<nobody@here.test>\r\nRCPT "
		       "TO:<temp@here.test>\r\nRCPT TO:<b@here.test>\r\n");
	assert_int_equal(f.asks, 4);
	for (unsigned i = 3; i > 0; i--)
		fakes_answer(&f, i);
	assert_string_equal(fakes_replies(&f), "");
	fakes_answer(&f, 0);
	const char *got = fakes_replies(&f);
	assert_int_equal(f.asks, 4);
	assert_true(strncmp(got, "250 2.1.5 Ok\r\n550 5.1.1 <nobody@", 32) == 0);
	assert_non_null(strstr(got, "\r\n451 4.3.0 <temp@"));
	assert_string_equal(strrchr(got, '>') ? strstr(got, "\r\n250 ") : got, "\r\n250 2.1.5 Ok\r\n");
	fakes_fini(&f);
}

/* No more than so many, and only what is a RCPT. */
static void
test_bounds(void **state)
{
	char text[3000] = "";
	struct fakes f;
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i < 60; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "RCPT TO:<u%u@here.test>\r\n", i);
	begin_held(&f, text);
	assert_int_equal(f.asks, 21);
	fakes_fini(&f);
	begin_held(&f, "RCPT TO:<a@here.test>\r\nRSET\r\nRCPT TO:<b@here.test>\r\n");
	assert_int_equal(f.asks, 1);
	fakes_fini(&f);
	begin_held(&f, "RCPT TO:<a@here.test>\r\nRCPT TO:<b@here.te");
	assert_int_equal(f.asks, 1);
	fakes_fini(&f);
}

/* The client goes away: what comes late is for nobody. */
static void
test_lost_client(void **state)
{
	struct fakes f;

	(void)state;
	for (unsigned answered = 0; answered < 3; answered++) {
		begin_held(&f, "RCPT TO:<a@here.test>\r\nRCPT TO:<b@here.test>\r\nRCPT TO:<c@here.test>\r\n");
		for (unsigned i = 0; i < answered; i++)
			fakes_answer(&f, i + 1);
		close(f.client);
		f.client = -1;
		fakes_settle(&f);
		for (unsigned i = 2; i > answered; i--)
			fakes_answer(&f, i);
		fakes_answer(&f, 0);
		assert_null(fakes_session(&f));
		fakes_connect(&f, "198.51.100.8");
		fakes_fini(&f);
	}
}

/* An answer from before a change of tables is asked for anew. */
static void
test_changed_meanwhile(void **state)
{
	struct msg_lookup_changed changed = {.generation = 2};
	struct fakes f;

	(void)state;
	begin_held(&f, "RCPT TO:<a@here.test>\r\nRCPT TO:<nobody@here.test>\r\nRCPT TO:<c@here.test>\r\n");
	fakes_answer(&f, 1);
	(void)ipc_send(f.others[ROLE_LOOKUP], IPC_LOOKUP_CHANGED, 0, &changed);
	fakes_settle(&f);
	assert_int_equal(f.asks, 3);
	fakes_answer(&f, 0);
	assert_true(f.asks > 3);
	assert_string_equal(f.held[3].address, "nobody@here.test");
	fakes_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_replies_are_those_of_single_commands),
	    cmocka_unit_test(test_asked_at_once_and_answered_in_any_order),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_lost_client),
	    cmocka_unit_test(test_changed_meanwhile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
