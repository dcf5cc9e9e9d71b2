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

/* One message to one peer; what becomes of it. */
struct stage_row {
	const char *why;
	struct peer_row rows[PEER_ROWS];
	unsigned class;
	unsigned hop;
	const char *status;
	const char *text; /* some part of it */
	const char *commands; /* all of them, or NULL */
	unsigned flags; /* OUTCOME_* */
};

static const struct stage_row stage_rows[] = {
    {"the plain case", {{0}}, OUTCOME_DELIVERED, HOP_UP, "2.0.0", "250 2.0.0 Ok: queued as X",
	"#|EHLO mx.here.test|MAIL FROM:<s@here.test>|RCPT TO:<r@far.test> ORCPT=rfc822;r@far.test|DATA|QUIT|",
	0},
    {"no DSN there: a report may be due here", {{"EHLO", 0, "250 peer.test"}}, OUTCOME_RELAYED, HOP_UP,
	"2.0.0", "queued as X", NULL, 0},
    {"EHLO unknown: HELO", {{"EHLO", 0, "502 5.5.1 no"}}, OUTCOME_RELAYED, HOP_UP, "2.0.0", "250 2.0.0",
	"#|EHLO mx.here.test|HELO mx.here.test|MAIL FROM:<s@here.test>|RCPT TO:<r@far.test>|DATA|QUIT|", 0},
    {"greeting refuses for now", {{"GREETING", 0, "421 4.3.2 busy"}}, OUTCOME_DEFERRED, HOP_BUSY, "4.3.2",
	"refused to talk to me: 421 4.3.2 busy", NULL, 0},
    {"greeting refuses: next time, not never", {{"GREETING", 0, "554 5.7.1 go away"}}, OUTCOME_DEFERRED,
	HOP_DOWN, "4.7.1", "refused to talk to me: 554 5.7.1 go away", NULL, 0},
    {"closed instead of a greeting", {{"GREETING", 0, "!close"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2",
	"lost connection with 127.0.0.1[127.0.0.1] while receiving the initial server greeting", NULL, 0},
    {"reset instead of a greeting", {{"GREETING", 0, "!reset"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2",
	"lost connection", NULL, 0},
    {"no greeting", {{"GREETING", 0, "!silent"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2",
	"conversation with 127.0.0.1[127.0.0.1] timed out while receiving the initial server greeting", NULL,
	0},
    {"no SMTP", {{"GREETING", 0, "HTTP/1.1 400 Bad Request"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.5.0",
	"broke the protocol", NULL, 0},
    {"closed at EHLO", {{"EHLO", 0, "!close"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2",
	"while performing the EHLO handshake", NULL, 0},
    {"endless EHLO reply", {{"EHLO", 0, "!endless"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.5.0",
	"broke the protocol while performing the EHLO handshake", NULL, 0},
    {"EHLO and HELO refused", {{"EHLO", 0, "500 no"}, {"HELO", 0, "550 no"}}, OUTCOME_BOUNCED, HOP_DOWN,
	"5.0.0", "refused to talk to me: 550 no", NULL, 0},
    {"closed at MAIL", {{"MAIL", 0, "!close"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2",
	"while sending MAIL FROM", NULL, 0},
    {"silent at MAIL", {{"MAIL", 0, "!silent"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2",
	"timed out while sending MAIL FROM", NULL, 0},
    {"sender refused", {{"MAIL", 0, "550 5.7.1 no"}}, OUTCOME_BOUNCED, HOP_UP, "5.7.1",
	"host 127.0.0.1[127.0.0.1] said: 550 5.7.1 no (in reply to MAIL FROM command)", NULL, 0},
    {"wants fewer connections", {{"MAIL", 0, "450 4.7.0 slow down"}}, OUTCOME_DEFERRED, HOP_BUSY, "4.7.0",
	"450 4.7.0 slow down", NULL, 0},
    {"421 at MAIL of a new connection", {{"MAIL", 0, "!last 421 4.3.2 bye"}}, OUTCOME_DEFERRED, HOP_BUSY,
	"4.3.2", "said: 421 4.3.2 bye (in reply to MAIL FROM command)", NULL, 0},
    {"recipient refused", {{"RCPT", 0, "550 5.1.1 who?"}}, OUTCOME_BOUNCED, HOP_UP, "5.1.1",
	"said: 550 5.1.1 who? (in reply to RCPT TO command)", NULL, 0},
    {"refused in several lines", {{"RCPT", 0, "550-5.7.1 one\r\n550 5.7.1 two"}}, OUTCOME_BOUNCED, HOP_UP,
	"5.7.1", "said: 550-5.7.1 one 550 5.7.1 two (in reply", NULL, 0},
    {"an enhanced code of another class does not count", {{"RCPT", 0, "550 2.0.0 odd"}}, OUTCOME_BOUNCED,
	HOP_UP, "5.0.0", "550 2.0.0 odd", NULL, 0},
    {"closed at RCPT", {{"RCPT", 0, "!close"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2", "while sending RCPT TO",
	NULL, 0},
    {"421 at RCPT", {{"RCPT", 0, "!last 421 4.3.2 bye"}}, OUTCOME_DEFERRED, HOP_BUSY, "4.3.2",
	"(in reply to RCPT TO command)", NULL, 0},
    {"greeting code for RCPT is no success", {{"RCPT", 0, "354 go"}}, OUTCOME_DEFERRED, HOP_UP, "4.5.0",
	"354 go", NULL, 0},
    {"success for DATA is none", {{"DATA", 0, "250 done"}}, OUTCOME_DEFERRED, HOP_UP, "4.5.0", "250 done",
	NULL, 0},
    {"DATA refused", {{"DATA", 0, "554 5.6.0 no"}}, OUTCOME_BOUNCED, HOP_UP, "5.6.0",
	"(in reply to DATA command)", NULL, 0},
    {"closed at DATA", {{"DATA", 0, "!close"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2",
	"while sending DATA command", NULL, 0},
    {"421 at DATA", {{"DATA", 0, "421 4.3.2 bye"}}, OUTCOME_DEFERRED, HOP_BUSY, "4.3.2",
	"(in reply to DATA command)", NULL, 0},
    {"content refused", {{"DOT", 0, "554 5.7.9 spam"}}, OUTCOME_BOUNCED, HOP_UP, "5.7.9",
	"said: 554 5.7.9 spam (in reply to end of DATA command)", NULL, 0},
    {"content put off", {{"DOT", 0, "452 4.3.1 full"}}, OUTCOME_DEFERRED, HOP_UP, "4.3.1", "452 4.3.1 full",
	NULL, 0},
    {"closed after the dot: possibly delivered", {{"DOT", 0, "!close"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2",
	"lost connection with 127.0.0.1[127.0.0.1] while sending end of data -- message may be sent more "
	"than once",
	NULL, OUTCOME_UNCERTAIN},
    {"silent after the dot", {{"DOT", 0, "!silent"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.4.2",
	"timed out while sending end of data", NULL, OUTCOME_UNCERTAIN},
    {"garbage after the dot", {{"DOT", 0, "ok"}}, OUTCOME_DEFERRED, HOP_DOWN, "4.5.0", "broke the protocol",
	NULL, OUTCOME_UNCERTAIN},
    {"two replies to the dot", {{"DOT", 0, "250 2.0.0 one\r\n550 two"}}, OUTCOME_DELIVERED, HOP_UP, "2.0.0",
	"250 2.0.0 one", NULL, 0},
    {"QUIT refused", {{"QUIT", 0, "500 no\r\n\1\2\3"}}, OUTCOME_DELIVERED, HOP_UP, "2.0.0", "queued as X",
	NULL, 0},
    {"the greeting is ours", {{"EHLO", 0, "250-MX.here.test\r\n250 DSN"}}, OUTCOME_DELIVERED, HOP_UP, "2.0.0",
	"a port was written: no loop", NULL, 0},
    {"too small for it", {{"EHLO", 0, "250-p\r\n250-DSN\r\n250 SIZE 10"}}, OUTCOME_BOUNCED, HOP_UP, "5.3.4",
	"message size 20 exceeds size limit 10 of server 127.0.0.1[127.0.0.1]", "#|EHLO mx.here.test|QUIT|",
	0},
    {"SIZE 0 is no limit", {{"EHLO", 0, "250-p\r\n250-DSN\r\n250 SIZE 0"}}, OUTCOME_DELIVERED, HOP_UP,
	"2.0.0", "queued",
	"#|EHLO mx.here.test|MAIL FROM:<s@here.test> SIZE=20|RCPT TO:<r@far.test> "
	"ORCPT=rfc822;r@far.test|DATA|QUIT|",
	0},
};

static void
check_stage(const struct stage_row *row, bool pipelining)
{
	struct world *w = world_new(peer_patience);
	struct peer_row rows[PEER_ROWS + 1] = {{0}};
	struct peer *p;
	char nexthop[64];
	const struct world_outcome *o = &w->outcomes[0];
	size_t n = 0;

	while (row->rows[n].verb) {
		rows[n] = row->rows[n];
		n++;
	}
	if (!pipelining)
		rows[n] = (struct peer_row){"EHLO", 0, "250-peer.test\r\n250 DSN"};
	p = peer_new("127.0.0.1", 0, rows);
	snprintf(nexthop, sizeof(nexthop), "[127.0.0.1]:%u", peer_port(p));
	if (!world_deliver(w, &(struct world_mail){.nexthop = nexthop, .content = CONTENT}))
		fail_msg("%s: no end", row->why);
	if (o->class != row->class || strcmp(o->status, row->status) != 0 || w->hop != row->hop ||
	    o->flags != (row->flags | (row->class == OUTCOME_DELIVERED ? OUTCOME_PASSED_ON : 0)) ||
	    (strcmp(row->why, "the greeting is ours") != 0 && !strstr(o->text, row->text)))
		fail_msg("%s: class %u hop %u flags %u %s (%s)", row->why, o->class, w->hop, o->flags,
		    o->status, o->text);
	assert_true(w->questions == 0);
	/* What queue will say of mail that it holds back. */
	assert_true(strncmp(w->hop_reason, row->class == OUTCOME_DEFERRED ? o->text : "", 399) == 0);
	world_free(&w);
	peer_stop(p);
	if (row->commands && strcmp(peer_commands(p), row->commands) != 0)
		fail_msg("%s: %s", row->why, peer_commands(p));
	peer_free(&p);
}

static void
test_peer_misbehaves_at_each_stage(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stage_rows) / sizeof(stage_rows[0]); i++) {
		check_stage(&stage_rows[i], true);
		check_stage(&stage_rows[i], false);
	}
}

static void
test_each_recipient_has_its_own_fate(void **state)
{
	static const struct peer_row rows[] = {
	    {"<bad@", 0, "550 5.1.1 no"}, {"<slow@", 0, "450 4.2.0 later"}, {0}};
	static const unsigned classes[] = {
	    OUTCOME_DELIVERED, OUTCOME_BOUNCED, OUTCOME_DEFERRED, OUTCOME_DELIVERED};
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p),
					 .content = CONTENT,
					 .recipients = {"good@x", "bad@x", "slow@x", "fine@x"}}));
	for (size_t i = 0; i < 4; i++) {
		assert_true(w->outcomes[i].there);
		assert_int_equal(w->outcomes[i].class, classes[i]);
	}
	assert_string_equal(w->outcomes[1].diagnostic, "smtp;550 5.1.1 no");
	assert_string_equal(w->outcomes[1].remote, "dns;127.0.0.1");
	world_free(&w);
	peer_stop(p);
	assert_int_equal(peer_connections(p), 1);
	peer_free(&p);
}

/* 452: the rest goes in another transaction of the same connection (RFC 5321, 4.5.3.1.10). */
static void
test_too_many_recipients_for_one_transaction(void **state)
{
	static const struct peer_row rows[] = {
	    {"RCPT TO:<c", 1, "452 4.5.3 too many"}, {"RCPT TO:<d", 1, "452 4.5.3 too many"}, {0}};
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	assert_true(world_deliver(w,
	    &(struct world_mail){
		.nexthop = peer_nexthop(p), .content = CONTENT, .recipients = {"a@x", "b@x", "c@x", "d@x"}}));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(w->outcomes[i].class, OUTCOME_DELIVERED);
	world_free(&w);
	peer_stop(p);
	assert_string_equal(peer_commands(p),
	    "#|EHLO mx.here.test|MAIL FROM:<s@here.test>|RCPT TO:<a@x> ORCPT=rfc822;a@x|RCPT TO:<b@x> "
	    "ORCPT=rfc822;b@x|RCPT TO:<c@x> ORCPT=rfc822;c@x|RCPT TO:<d@x> ORCPT=rfc822;d@x|DATA|"
	    "MAIL FROM:<s@here.test>|RCPT TO:<c@x> ORCPT=rfc822;c@x|RCPT TO:<d@x> "
	    "ORCPT=rfc822;d@x|DATA|QUIT|");
	peer_free(&p);
}

/* All refused, and the peer says 354 all the same: an empty message to nobody, and the connection goes on. */
static void
test_go_ahead_for_nobody(void **state)
{
	static const struct peer_row rows[] = {{"<bad@x>", 0, "550 5.1.1 no"}, {0}};
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, rows);
	size_t len;

	(void)state;
	assert_true(world_deliver(w,
	    &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT, .recipients = {"bad@x"}}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_BOUNCED);
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
	world_free(&w);
	peer_stop(p);
	peer_content(p, &len);
	assert_int_equal(len, CONTENT.len);
	assert_int_equal(peer_connections(p), 1);
	peer_free(&p);
}

static void
test_connections_are_used_again(void **state)
{
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, peer_obedient);

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT}));
		assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
	}
	assert_non_null(strstr(buf_text(&w->log), ", conn_use=5, delay="));
	world_free(&w);
	peer_stop(p);
	assert_int_equal(peer_connections(p), 1);
	peer_free(&p);
}

static void
test_idle_connection_that_died_costs_no_message(void **state)
{
	static const char *const ends[] = {"!close", "!reset", "!last 421 4.4.2 idle too long"};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct peer_row rows[] = {{"MAIL", 2, ends[i]}, {0}};
		struct world *w = world_new(peer_patience);
		struct peer *p = peer_new("127.0.0.1", 0, rows);

		for (int n = 0; n < 2; n++) {
			assert_true(world_deliver(
			    w, &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT}));
			assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
		}
		world_free(&w);
		peer_stop(p);
		assert_int_equal(peer_connections(p), 2);
		peer_free(&p);
	}
}

static void
test_idle_connections_leave_in_time(void **state)
{
	struct world *w = world_new("smtp_connection_cache_time_limit = 1s\nmyhostname = mx.here.test\n");
	struct peer *p = peer_new("127.0.0.1", 0, peer_obedient);

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT}));
	assert_int_equal(w->agent.connections, 1);
	world_turn(w, 1300);
	assert_int_equal(w->agent.connections, 0);
	world_free(&w);
	peer_stop(p);
	assert_non_null(strstr(peer_commands(p), "|QUIT|"));
	peer_free(&p);
}

static void
test_conversation_is_shown_to_who_waits(void **state)
{
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, peer_obedient);

	(void)state;
	assert_true(world_deliver(
	    w, &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT, .flags = MAIL_TRACE}));
	assert_string_equal(buf_text(&w->trace),
	    "r@far.test... Connecting to 127.0.0.1 via esmtp...\n220 peer.test ESMTP\n>>> EHLO mx.here.test\n"
	    "250-peer.test\n250-PIPELINING\n250-8BITMIME\n250 DSN\n>>> MAIL From:<s@here.test>\n250 2.1.0 "
	    "Ok\n"
	    ">>> RCPT To:<r@far.test> ORCPT=rfc822;r@far.test\n250 2.1.5 Ok\n>>> DATA\n354 go\n>>> .\n250 "
	    "2.0.0 Ok: queued as X\n"
	    "r@far.test... Sent (Ok: queued as X)\nClosing connection to 127.0.0.1.\n>>> QUIT\n"
	    "221 2.0.0 Bye\n");
	world_free(&w);
	peer_free(&p);
}

/* queue dies: what the peer may have already goes on, and the next queue hears of it instead of a second delivery. */
static void
test_outcomes_outlive_the_queue(void **state)
{
	static const struct peer_row rows[] = {{"DOT", 1, "!wait 250 2.0.0 first"}, {.verb = NULL}};
	struct world *w = world_new(peer_patience);
	struct peer *p = peer_new("127.0.0.1", 0, rows);
	struct world_mail mail = {.nexthop = peer_nexthop(p), .content = CONTENT};

	(void)state;
	world_send(w, &mail);
	world_turn(w, 150);
	world_lose_queue(w);
	assert_int_equal(jobs_count(w->agent.jobs), 1);
	world_turn(w, 400);
	assert_int_equal(jobs_count(w->agent.jobs), 0);
	world_find_queue(w);
	/* It may die again before it has written down what it is told. */
	mail.again = true;
	for (int i = 0; i < 2; i++) {
		assert_true(world_deliver(w, &mail));
		assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
		assert_string_equal(w->outcomes[0].text, "250 2.0.0 first");
	}
	/* The next attempt is a new delivery. */
	mail.again = false;
	assert_true(world_deliver(w, &mail));
	assert_string_equal(w->outcomes[0].text, "250 2.0.0 Ok: queued as X");
	world_free(&w);
	peer_free(&p);
}

/* What no peer can have yet is stopped at once, at every stage. */
static void
test_jobs_end_with_the_queue(void **state)
{
	static const char *const stages[] = {"GREETING", "EHLO", "MAIL", "DATA"};

	(void)state;
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		struct peer_row rows[] = {{stages[i], 0, "!silent"}, {.verb = NULL}};
		struct world *w = world_new("myhostname = mx.here.test\n");
		struct peer *p = peer_new("127.0.0.1", 0, rows);

		world_send(w, &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT});
		world_turn(w, 60);
		assert_int_equal(w->agent.connections, 1);
		world_lose_queue(w);
		assert_int_equal(jobs_count(w->agent.jobs), 0);
		assert_int_equal(w->agent.connections, 0);
		world_free(&w);
		peer_free(&p);
	}
}

/* Whatever lookup says or leaves unsaid while rewriting or checks wait for it: later, and each job ends once. */
static void
test_lookup_fails_a_job_that_waits_for_it(void **state)
{
	static const char *const settings[] = {
	    "smtp_generic_maps = inline:{a=b}\n", "smtp_header_checks = inline:{a=b}\n"};
	static const enum ipc_type says[] = {0, IPC_CHECK_HIT, IPC_CHECK_DONE, IPC_REWRITE_DONE};

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		bool queue_dies = i & 1;
		struct world *w = world_new(settings[i / 2 % 2]);

		w->lookup_says = says[i / 4];
		world_send(w, &(struct world_mail){.nexthop = "[127.0.0.1]:9", .content = CONTENT});
		world_turn(w, 20);
		if (queue_dies)
			world_lose_queue(w);
		ipc_channel_close(&w->lookup_there);
		if (!queue_dies) {
			assert_true(world_wait(w, 1));
			assert_int_equal(w->outcomes[0].class, OUTCOME_DEFERRED);
			assert_string_equal(w->outcomes[0].status, "4.3.0");
		}
		assert_int_equal(jobs_count(w->agent.jobs), 0);
		world_free(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_peer_misbehaves_at_each_stage),
	    cmocka_unit_test(test_each_recipient_has_its_own_fate),
	    cmocka_unit_test(test_too_many_recipients_for_one_transaction),
	    cmocka_unit_test(test_go_ahead_for_nobody),
	    cmocka_unit_test(test_connections_are_used_again),
	    cmocka_unit_test(test_idle_connection_that_died_costs_no_message),
	    cmocka_unit_test(test_idle_connections_leave_in_time),
	    cmocka_unit_test(test_conversation_is_shown_to_who_waits),
	    cmocka_unit_test(test_outcomes_outlive_the_queue),
	    cmocka_unit_test(test_jobs_end_with_the_queue),
	    cmocka_unit_test(test_lookup_fails_a_job_that_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
