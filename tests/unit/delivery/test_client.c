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

static const char *const fast = "smtp_helo_timeout = 1s\nsmtp_mail_timeout = 1s\nsmtp_rcpt_timeout = 1s\n"
				"smtp_data_init_timeout = 1s\nsmtp_data_done_timeout = 1s\n"
				"smtp_connect_timeout = 1s\nmyhostname = mx.here.test\n";

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
	"#|EHLO mx.here.test|MAIL FROM:<s@here.test>|RCPT TO:<r@far.test>|DATA|QUIT|", 0},
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
	"#|EHLO mx.here.test|MAIL FROM:<s@here.test> SIZE=20|RCPT TO:<r@far.test>|DATA|QUIT|", 0},
};

static void
check_stage(const struct stage_row *row, bool pipelining)
{
	struct world *w = world_new(fast);
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

static const char *
to_peer(const struct peer *p)
{
	static char nexthop[64];

	snprintf(nexthop, sizeof(nexthop), "[127.0.0.1]:%u", peer_port(p));
	return nexthop;
}

static const struct peer_row obedient[] = {{0}};

static void
test_each_recipient_has_its_own_fate(void **state)
{
	static const struct peer_row rows[] = {
	    {"<bad@", 0, "550 5.1.1 no"}, {"<slow@", 0, "450 4.2.0 later"}, {0}};
	static const unsigned classes[] = {
	    OUTCOME_DELIVERED, OUTCOME_BOUNCED, OUTCOME_DEFERRED, OUTCOME_DELIVERED};
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p),
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
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	assert_true(world_deliver(
	    w, &(struct world_mail){
		   .nexthop = to_peer(p), .content = CONTENT, .recipients = {"a@x", "b@x", "c@x", "d@x"}}));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(w->outcomes[i].class, OUTCOME_DELIVERED);
	world_free(&w);
	peer_stop(p);
	assert_string_equal(peer_commands(p),
	    "#|EHLO mx.here.test|MAIL FROM:<s@here.test>|RCPT TO:<a@x>|RCPT TO:<b@x>|RCPT TO:<c@x>|RCPT "
	    "TO:<d@x>|"
	    "DATA|MAIL FROM:<s@here.test>|RCPT TO:<c@x>|RCPT TO:<d@x>|DATA|QUIT|");
	peer_free(&p);
}

/* All refused, and the peer says 354 all the same: an empty message to nobody, and the connection goes on. */
static void
test_go_ahead_for_nobody(void **state)
{
	static const struct peer_row rows[] = {{"<bad@x>", 0, "550 5.1.1 no"}, {0}};
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, rows);
	size_t len;

	(void)state;
	assert_true(world_deliver(
	    w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT, .recipients = {"bad@x"}}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_BOUNCED);
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
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
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, obedient);

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
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
		struct world *w = world_new(fast);
		struct peer *p = peer_new("127.0.0.1", 0, rows);

		for (int n = 0; n < 2; n++) {
			assert_true(world_deliver(
			    w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
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
	struct peer *p = peer_new("127.0.0.1", 0, obedient);

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
	assert_int_equal(w->agent.connections, 1);
	world_turn(w, 1300);
	assert_int_equal(w->agent.connections, 0);
	world_free(&w);
	peer_stop(p);
	assert_non_null(strstr(peer_commands(p), "|QUIT|"));
	peer_free(&p);
}

/* What failed for now goes to the next mail exchanger; what was refused does not. */
static void
test_next_exchanger_is_tried(void **state)
{
	static const struct peer_row first_rows[][3] = {
	    {{"GREETING", 0, "554 no"}},
	    {{"GREETING", 0, "!close"}},
	    {{"EHLO", 0, "421 no"}},
	    {{"MAIL", 0, "451 4.3.0 no"}},
	    {{"RCPT", 0, "450 4.2.0 greylisted"}},
	    {{"DATA", 0, "!close"}},
	    {{"DOT", 0, "451 4.3.0 no"}},
	};
	static const struct dns_row dns[] = {{"far.test", DNS_TYPE_MX, DNS_OK, "20 b.far.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "10 a.far.test"},
	    {"a.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.1"}, {"b.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.2"},
	    {0}};

	(void)state;
	for (size_t i = 0; i < sizeof(first_rows) / sizeof(first_rows[0]); i++) {
		struct peer *a = peer_new("127.0.1.1", 0, first_rows[i]);
		struct peer *b = peer_new("127.0.1.2", peer_port(a), obedient);
		char conf[600];
		struct world *w;

		snprintf(conf, sizeof(conf), "%ssmtp_tcp_port = %u\n", fast, peer_port(a));
		w = world_new(conf);
		w->dns = dns;
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = "far.test", .content = CONTENT}));
		if (w->outcomes[0].class != OUTCOME_DELIVERED)
			fail_msg("row %zu: %s", i, w->outcomes[0].text);
		assert_true(strncmp(w->outcomes[0].relay, "b.far.test[127.0.1.2]:", 22) == 0);
		world_free(&w);
		peer_free(&a);
		peer_free(&b);
	}
}

static void
test_dns_decides_between_never_and_later(void **state)
{
	static const struct {
		const char *why;
		struct dns_row dns[4];
		unsigned class;
		const char *status, *text;
	} rows[] = {
	    {"null MX",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "0 ."}, {"far.test", DNS_TYPE_A, DNS_OK, "127.0.1.9"}},
		OUTCOME_BOUNCED, "5.1.10", "Domain far.test does not accept mail (nullMX)"},
	    {"no such name", {{0}}, OUTCOME_BOUNCED, "5.4.4",
		"Host or domain name not found. Name service error for name=far.test type=A: Host not found"},
	    {"no answer for MX", {{"far.test", DNS_TYPE_MX, DNS_TEMPORARY, NULL}}, OUTCOME_DEFERRED, "4.4.3",
		"name=far.test type=MX: Host not found, try again"},
	    {"validation failed", {{"far.test", DNS_TYPE_MX, DNS_BOGUS, NULL}}, OUTCOME_DEFERRED, "4.4.3",
		"type=MX"},
	    {"neither MX nor address", {{"far.test", DNS_TYPE_TXT, DNS_NO_DATA, NULL}}, OUTCOME_BOUNCED,
		"5.4.4", "name=far.test type=A: Host found but no data record of requested type"},
	    {"dangling MX", {{"far.test", DNS_TYPE_MX, DNS_OK, "5 gone.far.test"}}, OUTCOME_BOUNCED, "5.4.4",
		"name=gone.far.test type=A: Host not found"},
	    {"no answer for one of two",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "5 gone.far.test"},
		    {"far.test", DNS_TYPE_MX, DNS_OK, "6 slow.far.test"},
		    {"slow.far.test", DNS_TYPE_A, DNS_TEMPORARY, NULL}},
		OUTCOME_DEFERRED, "4.4.3", "name=slow.far.test type=A"},
	    {"no answer for the first of two",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "5 slow.far.test"},
		    {"slow.far.test", DNS_TYPE_A, DNS_TEMPORARY, NULL},
		    {"far.test", DNS_TYPE_MX, DNS_OK, "6 gone.far.test"}},
		OUTCOME_DEFERRED, "4.4.3", "name=slow.far.test type=A"},
	    {"our own name is the best MX",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "5 MX.HERE.test"},
		    {"mx.here.test", DNS_TYPE_A, DNS_OK, "192.0.2.1"}},
		OUTCOME_BOUNCED, "5.4.6", "mail for far.test loops back to myself"},
	    {"an unspecified address is ours",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "5 a.test"}, {"a.test", DNS_TYPE_A, DNS_OK, "0.0.0.0"}},
		OUTCOME_BOUNCED, "5.4.6", "loops back"},
	    {"mapped loopback at port 25",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "5 a.test"},
		    {"a.test", DNS_TYPE_AAAA, DNS_OK, "::ffff:127.0.0.3"}},
		OUTCOME_BOUNCED, "5.4.6", "loops back"},
	    {"loopback at port 25",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "5 a.test"}, {"a.test", DNS_TYPE_AAAA, DNS_OK, "::1"}},
		OUTCOME_BOUNCED, "5.4.6", "loops back"},
	    {"behind a proxy",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "5 a.test"}, {"a.test", DNS_TYPE_A, DNS_OK, "192.0.2.77"}},
		OUTCOME_BOUNCED, "5.4.6", "loops back"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = world_new("myhostname = mx.here.test\nproxy_interfaces = 192.0.2.77\n");
		const struct world_outcome *o = &w->outcomes[0];

		w->dns = rows[i].dns;
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = "far.test", .content = CONTENT}));
		if (o->class != rows[i].class || strcmp(o->status, rows[i].status) != 0 ||
		    !strstr(o->text, rows[i].text))
			fail_msg("%s: class %u %s (%s)", rows[i].why, o->class, o->status, o->text);
		assert_string_equal(o->relay, "none");
		world_free(&w);
	}
}

/* More exchangers than are ever asked about, each for two families (catalogue I01). */
static void
test_a_zone_with_many_exchangers(void **state)
{
	enum { MANY = 60 };
	static char names[MANY][40];
	struct dns_row dns[MANY + 1] = {{0}};
	struct world *w = world_new("myhostname = mx.here.test\n");

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "10 m%zu.far.test", i);
		dns[i] = (struct dns_row){"far.test", DNS_TYPE_MX, DNS_OK, names[i]};
	}
	w->dns = dns;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = "far.test", .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_BOUNCED);
	assert_string_equal(w->outcomes[0].status, "5.4.4");
	world_free(&w);
}

/* Ourselves in the middle: the better ones are tried, those behind us never (RFC 5321, 5.1). */
static void
test_only_better_exchangers_than_ourselves(void **state)
{
	static const struct dns_row dns[] = {{"far.test", DNS_TYPE_MX, DNS_OK, "10 a.far.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "20 mx.here.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "30 b.far.test"},
	    {"a.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.1"},
	    {"mx.here.test", DNS_TYPE_A, DNS_OK, "192.0.2.1"},
	    {"b.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.2"}, {0}};
	struct peer *b = peer_new("127.0.1.2", 0, obedient);
	char conf[600];
	struct world *w;

	(void)state;
	snprintf(conf, sizeof(conf), "%ssmtp_tcp_port = %u\n", fast, peer_port(b));
	w = world_new(conf);
	w->dns = dns;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = "far.test", .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DEFERRED);
	assert_non_null(strstr(w->outcomes[0].text, "connect to a.far.test[127.0.1.1]:"));
	assert_non_null(strstr(w->outcomes[0].text, "Connection refused"));
	world_free(&w);
	peer_stop(b);
	assert_int_equal(peer_connections(b), 0);
	peer_free(&b);
}

static void
test_several_relay_hosts_and_the_fallback(void **state)
{
	struct peer *p = peer_new("127.0.0.1", 0, obedient);
	char nexthop[200], conf[600];
	struct world *w = world_new(fast);

	(void)state;
	snprintf(nexthop, sizeof(nexthop), "[127.0.1.7]:1, [gone.test]:2 %s", to_peer(p));
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = nexthop, .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
	world_free(&w);

	snprintf(conf, sizeof(conf), "%ssmtp_fallback_relay = %s\n", fast, to_peer(p));
	w = world_new(conf);
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = "gone.test", .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
	world_free(&w);

	/* One that refuses the connection may take it later; that the next one does not exist changes nothing. */
	w = world_new(fast);
	assert_true(world_deliver(
	    w, &(struct world_mail){.nexthop = "[127.0.1.7]:1, [gone.test]:2", .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DEFERRED);
	assert_string_equal(w->outcomes[0].text, "connect to 127.0.1.7[127.0.1.7]:1: Connection refused");
	world_free(&w);

	/* The relay host is ours to put right: the message waits. */
	snprintf(conf, sizeof(conf), "%srelayhost = gone.test\n", fast);
	w = world_new(conf);
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = "gone.test", .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DEFERRED);
	world_free(&w);
	peer_free(&p);
}

static void
test_parameters_are_passed_on(void **state)
{
	static const struct peer_row rows[] = {
	    {"EHLO", 0, "250-p\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN"},
	    {0}};
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p),
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
		struct world *w = world_new(fast);
		struct peer *p = peer_new("127.0.0.1", 0, obedient);

		assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p),
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
		struct peer *p = peer_new("127.0.0.1", 0, obedient);
		struct span rest = buf_span(&content), line;
		const char *got;
		size_t len;

		assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p),
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
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	memset(large, 'x', sizeof(large));
	for (size_t i = 60; i < sizeof(large); i += 62)
		memcpy(large + i, "\r\n", i + 2 <= sizeof(large) ? 2 : 0);
	memcpy(large + sizeof(large) - 2, "\r\n", 2);
	assert_true(world_deliver(
	    w, &(struct world_mail){
		   .nexthop = to_peer(p), .content = span_make(large, sizeof(large)), .flags = MAIL_DOTS}));
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
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, rows);

	(void)state;
	assert_true(world_deliver(w,
	    &(struct world_mail){.nexthop = to_peer(p),
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
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, rows);
	char nexthop[80];

	(void)state;
	snprintf(nexthop, sizeof(nexthop), "inet:%s", to_peer(p));
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

static void
test_conversation_is_shown_to_who_waits(void **state)
{
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, obedient);

	(void)state;
	assert_true(world_deliver(
	    w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT, .flags = MAIL_TRACE}));
	assert_string_equal(buf_text(&w->trace),
	    "r@far.test... Connecting to 127.0.0.1 via esmtp...\n220 peer.test ESMTP\n>>> EHLO mx.here.test\n"
	    "250-peer.test\n250-PIPELINING\n250-8BITMIME\n250 DSN\n>>> MAIL FROM:<s@here.test>\n250 2.1.0 "
	    "Ok\n"
	    ">>> RCPT TO:<r@far.test>\n250 2.1.5 Ok\n>>> DATA\n354 go\n>>> .\n250 2.0.0 Ok: queued as X\n"
	    "r@far.test... Sent (250 2.0.0 Ok: queued as X)\nClosing connection to 127.0.0.1.\n>>> QUIT\n"
	    "221 2.0.0 Bye\n");
	world_free(&w);
	peer_free(&p);
}

/* queue dies: what the peer may have already goes on, and the next queue hears of it instead of a second delivery. */
static void
test_outcomes_outlive_the_queue(void **state)
{
	static const struct peer_row rows[] = {{"DOT", 1, "!wait 250 2.0.0 first"}, {.verb = NULL}};
	struct world *w = world_new(fast);
	struct peer *p = peer_new("127.0.0.1", 0, rows);
	struct world_mail mail = {.nexthop = to_peer(p), .content = CONTENT};

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

		world_send(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT});
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
	    cmocka_unit_test(test_next_exchanger_is_tried),
	    cmocka_unit_test(test_dns_decides_between_never_and_later),
	    cmocka_unit_test(test_a_zone_with_many_exchangers),
	    cmocka_unit_test(test_only_better_exchangers_than_ourselves),
	    cmocka_unit_test(test_several_relay_hosts_and_the_fallback),
	    cmocka_unit_test(test_parameters_are_passed_on),
	    cmocka_unit_test(test_what_the_peer_cannot_take),
	    cmocka_unit_test(test_large_content),
	    cmocka_unit_test(test_content_refused_in_the_middle),
	    cmocka_unit_test(test_signed_part_is_not_converted),
	    cmocka_unit_test(test_lmtp_has_a_reply_per_recipient),
	    cmocka_unit_test(test_conversation_is_shown_to_who_waits),
	    cmocka_unit_test(test_outcomes_outlive_the_queue),
	    cmocka_unit_test(test_jobs_end_with_the_queue),
	    cmocka_unit_test(test_lookup_fails_a_job_that_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
