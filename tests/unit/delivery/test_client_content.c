/*
 * What the SMTP client says of a message and how it sends the content, to peers that take all or some of it, LMTP's included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/dns/dns.h"
#include "delivery/smtp/job.h"
#include "tests/unit/delivery/peer.h"
#include "tests/unit/delivery/world.h"

#define CONTENT SPAN_LIT("Subject: x\r\n\r\nbody\r\n")

static void
test_parameters_are_passed_on(void **state)
{
	static const struct peer_row rows[] = {
	    {"EHLO", 0, "250-p\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN"},
	    {0}};
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p),
					 .content = CONTENT,
					 .flags = MAIL_8BIT | MAIL_SMTPUTF8 | MAIL_RET_HDRS,
					 .envid = "QQ+1",
					 .notify = DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY,
					 .orcpt = "rfc822;a+b@c.test"}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
	world_free(&w);
	peer_stop(p);
	assert_non_null(strstr(peer_commands(p),
	    "|MAIL FROM:<s@here.test> SIZE=20 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+2B1|"
	    "RCPT TO:<r@far.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.test|"));
	peer_free(&p);
}

/* RFC 3461, 5.2.1: who is told of it later knows whom it was sent to. */
static void
test_the_address_that_it_came_for_is_passed_on(void **state)
{
	static const struct peer_row rows[] = {
	    {"EHLO", 0, "250-p\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 DSN"}, {0}};
	static const struct {
		const char *recipient, *orig_to, *conf, *sent;
	} cases[] = {
	    {"r@far.test", "", "", "RCPT TO:<r@far.test> ORCPT=rfc822;r@far.test|"},
	    {"r@far.test", "alias+x@here.test", "", "RCPT TO:<r@far.test> ORCPT=rfc822;alias+2Bx@here.test|"},
	    {"\"a b\"@far.test", "", "", "RCPT TO:<\"a b\"@far.test> ORCPT=rfc822;\"a+20b\"@far.test|"},
	    {"gr\xc3\xbc@far.test", "", "", "RCPT TO:<gr\xc3\xbc@far.test>|"},
	    {"r@far.test", "", "enable_original_recipient = no\n", "RCPT TO:<r@far.test>|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct world *w = world_new(cases[i].conf);
		struct peer *p = peer_new("127.0.0.1", 0, rows);

		assert_true(world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p),
						 .content = CONTENT,
						 .flags = MAIL_SMTPUTF8,
						 .recipients = {cases[i].recipient},
						 .orig_to = cases[i].orig_to}));
		world_free(&w);
		peer_stop(p);
		if (!strstr(peer_commands(p), cases[i].sent))
			fail_msg("%s is not in %s", cases[i].sent, peer_commands(p));
		peer_free(&p);
	}
}

/* What must not be sent is not: the reason is here, and nothing of it reaches the peer. */
static void
test_what_the_peer_cannot_take(void **state)
{
	static const struct {
		const char *sender, *recipient;
		uint32_t flags;
		const char *status, *text;
	} rows[] = {
	    {"s@here.test", "gr\xc3\xbc@x", MAIL_SMTPUTF8, "5.6.7",
		"SMTPUTF8 is required, but was not offered"},
	    {"s@here.test\r\nRCPT TO:<x@y>", "r@x", 0, "5.1.7", "control characters"},
	    {"s@here.test", "r@x>\r\nDATA", 0, "5.1.3", "control characters"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = world_new(peer_patience);
		struct peer *p = peer_new("127.0.0.1", 0, peer_obedient);

		assert_true(world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p),
						 .content = CONTENT,
						 .sender = rows[i].sender,
						 .recipients = {rows[i].recipient},
						 .flags = rows[i].flags}));
		assert_int_equal(w->outcomes[0].class, OUTCOME_BOUNCED);
		assert_string_equal(w->outcomes[0].status, rows[i].status);
		assert_non_null(strstr(w->outcomes[0].text, rows[i].text));
		world_free(&w);
		peer_stop(p);
		assert_string_equal(peer_commands(p), "#|EHLO mx.here.test|QUIT|");
		peer_free(&p);
	}
}

/* Larger than a chunk, from memory and from a descriptor, with dots: what arrives is what was stored. */
static void
test_large_content(void **state)
{
	struct buf content;

	(void)state;
	buf_init(&content, 1 << 20);
	for (int i = 0; i < 4000; i++)
		buf_printf(
		    &content, "%s line %d of many, and some more to make it long\r\n", i % 3 ? "" : ".", i);
	for (int in_file = 0; in_file < 2; in_file++) {
		struct world *w = world_new("myhostname = mx.here.test\n");
		struct peer *p = peer_new("127.0.0.1", 0, peer_obedient);
		struct span rest = buf_span(&content), line;
		const char *got;
		size_t len;

		assert_true(world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p),
						 .content = buf_span(&content),
						 .flags = MAIL_DOTS,
						 .in_file = in_file}));
		assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
		world_free(&w);
		peer_stop(p);
		got = peer_content(p, &len);
		while (span_next_line(&rest, &line)) {
			if (line.len > 0 && line.ptr[0] == '.')
				assert_int_equal(*got++, '.');
			assert_memory_equal(got, line.ptr, line.len);
			got += line.len;
			assert_memory_equal(got, "\r\n", 2);
			got += 2;
		}
		assert_ptr_equal(got, peer_content(p, &len) + len);
		peer_free(&p);
	}
	buf_free(&content);
}

/* A refusal before the dot ends the connection: what is under way must not be taken for commands. */
static void
test_content_refused_in_the_middle(void **state)
{
	static const struct peer_row rows[] = {{"DATA", 0, "354 go\r\n552 5.3.4 too much"}, {0}};
	static char large[400000];
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	memset(large, 'x', sizeof(large));
	for (size_t i = 60; i < sizeof(large); i += 62)
		memcpy(large + i, "\r\n", i + 2 <= sizeof(large) ? 2 : 0);
	memcpy(large + sizeof(large) - 2, "\r\n", 2);
	assert_true(world_deliver(w,
	    &(struct world_mail){
		.nexthop = peer_nexthop(p), .content = span_make(large, sizeof(large)), .flags = MAIL_DOTS}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_BOUNCED);
	assert_string_equal(w->outcomes[0].status, "5.3.4");
	assert_int_equal(w->agent.connections, 0);
	world_free(&w);
	peer_free(&p);
}

static void
test_signed_part_is_not_converted(void **state)
{
	static const struct peer_row rows[] = {{"EHLO", 0, "250-p\r\n250 PIPELINING"}, {0}};
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	assert_true(world_deliver(w,
	    &(struct world_mail){.nexthop = peer_nexthop(p),
		.flags = MAIL_8BIT,
		.content = SPAN_LIT(
		    "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xc3\xbc\r\n--b--\r\n")}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_BOUNCED);
	assert_string_equal(w->outcomes[0].status, "5.6.3");
	world_free(&w);
	peer_free(&p);
}

/* RFC 2033, 4.2: a reply for each accepted recipient. */
static void
test_lmtp_has_a_reply_per_recipient(void **state)
{
	static const struct peer_row rows[] = {
	    {"<b@", 0, "550 5.1.1 no"}, {"DOT", 0, "250 2.0.0 a is in\r\n452 4.2.2 c is full"}, {0}};
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, rows);
	char nexthop[80];

	(void)state;
	snprintf(nexthop, sizeof(nexthop), "inet:%s", peer_nexthop(p));
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = nexthop,
					 .transport = "lmtp",
					 .content = CONTENT,
					 .recipients = {"a@x", "b@x", "c@x"}}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_RELAYED);
	assert_int_equal(w->outcomes[1].class, OUTCOME_BOUNCED);
	assert_int_equal(w->outcomes[2].class, OUTCOME_DEFERRED);
	assert_string_equal(w->outcomes[2].status, "4.2.2");
	assert_true(world_deliver(
	    w, &(struct world_mail){.nexthop = "unix:private/x", .transport = "lmtp", .content = CONTENT}));
	assert_string_equal(w->outcomes[0].status, "4.4.1");
	world_free(&w);
	peer_stop(p);
	assert_non_null(strstr(peer_commands(p), "#|LHLO mx.here.test|"));
	peer_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parameters_are_passed_on),
	    cmocka_unit_test(test_the_address_that_it_came_for_is_passed_on),
	    cmocka_unit_test(test_what_the_peer_cannot_take),
	    cmocka_unit_test(test_large_content),
	    cmocka_unit_test(test_content_refused_in_the_middle),
	    cmocka_unit_test(test_signed_part_is_not_converted),
	    cmocka_unit_test(test_lmtp_has_a_reply_per_recipient),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
