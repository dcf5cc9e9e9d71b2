/*
 * Which hosts of a next hop are tried, in which order, and what the name servers' answers make of a message.
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
		struct peer *b = peer_new("127.0.1.2", peer_port(a), peer_obedient);
		char conf[600];
		struct world *w;

		snprintf(conf, sizeof(conf), "%ssmtp_tcp_port = %u\n", peer_patience, peer_port(a));
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
	    {"the only MX is our own address", {{"far.test", DNS_TYPE_MX, DNS_OK, "5 192.0.2.77"}},
		OUTCOME_BOUNCED, "5.4.6", "loops back"},
	    {"we are the backup of a host without address",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "5 gone.far.test"},
		    {"far.test", DNS_TYPE_MX, DNS_OK, "10 mx.here.test"},
		    {"mx.here.test", DNS_TYPE_A, DNS_OK, "192.0.2.77"}},
		OUTCOME_DEFERRED, "4.4.4", "unable to find primary relay for far.test"},
	    {"we are the best, and no answer for one behind us",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "5 mx.here.test"},
		    {"far.test", DNS_TYPE_MX, DNS_OK, "5 slow.far.test"},
		    {"slow.far.test", DNS_TYPE_A, DNS_TEMPORARY, NULL}},
		OUTCOME_BOUNCED, "5.4.6", "loops back"},
	    {"we are the backup of a host without an answer",
		{{"far.test", DNS_TYPE_MX, DNS_OK, "10 mx.here.test"},
		    {"far.test", DNS_TYPE_MX, DNS_OK, "5 slow.far.test"},
		    {"slow.far.test", DNS_TYPE_A, DNS_TEMPORARY, NULL}},
		OUTCOME_DEFERRED, "4.4.3", "name=slow.far.test type=A"},
	    {"no such name, and no answer for its address",
		{{"far.test", DNS_TYPE_MX, DNS_NO_NAME, NULL}, {"far.test", DNS_TYPE_A, DNS_TEMPORARY, NULL}},
		OUTCOME_DEFERRED, "4.4.3", "name=far.test type=A: Host not found, try again"},
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

/* smtp_mx_session_limit counts those that got through EHLO: hosts that never come so far do not use it up. */
static void
test_hosts_that_do_not_speak_are_no_sessions(void **state)
{
	static const struct peer_row first[2] = {{"GREETING", 0, "!close"}},
				     second[2] = {{"GREETING", 0, "421 no"}};
	static const struct peer_row later[2] = {{"MAIL", 0, "451 later"}};
	static const struct dns_row dns[] = {{"far.test", DNS_TYPE_MX, DNS_OK, "10 a.far.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "20 b.far.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "30 c.far.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "40 d.far.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "50 e.far.test"},
	    {"a.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.1"}, {"b.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.2"},
	    {"c.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.3"}, {"d.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.4"},
	    {"e.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.5"}, {0}};
	struct peer *a = peer_new("127.0.1.1", 0, first), *b = peer_new("127.0.1.2", peer_port(a), second);
	struct peer *c = peer_new("127.0.1.3", peer_port(a), later), *e;
	struct peer *d = peer_new("127.0.1.4", peer_port(a), later);
	char conf[600];
	struct world *w;

	(void)state;
	e = peer_new("127.0.1.5", peer_port(a), peer_obedient);
	snprintf(conf, sizeof(conf), "%ssmtp_tcp_port = %u\n", peer_patience, peer_port(a));
	w = world_new(conf);
	w->dns = dns;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = "far.test", .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DEFERRED);
	assert_non_null(strstr(w->outcomes[0].text, "d.far.test"));
	world_free(&w);
	peer_stop(e);
	assert_int_equal(peer_connections(e), 0);
	peer_free(&a);
	peer_free(&b);
	peer_free(&c);
	peer_free(&d);
	peer_free(&e);
}

/* Zones that are wrong, though plain enough: mail that can arrive does. */
static void
test_a_zone_with_mistakes_is_delivered_to(void **state)
{
	enum { DEAD = 60 };
	static char names[DEAD + 1][40];
	static struct dns_row many[DEAD + 3];
	static const struct dns_row no_name[] = {{"far.test", DNS_TYPE_MX, DNS_NO_NAME, NULL},
	    {"far.test", DNS_TYPE_AAAA, DNS_NO_NAME, NULL}, {"far.test", DNS_TYPE_A, DNS_OK, "127.0.1.1"},
	    {0}};
	static const struct dns_row literal[] = {{"far.test", DNS_TYPE_MX, DNS_OK, "5 gone.far.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "6 127.0.1.1"}, {0}};
	const struct dns_row *rows[] = {no_name, literal, many};

	(void)state;
	/* In the order in which a hostile zone would give them: the one that counts between those that do not. */
	for (unsigned i = 0; i <= DEAD; i++) {
		snprintf(names[i], sizeof(names[i]), "%u m%u.far.test", i == DEAD / 2 ? 99 : 10 + i % 7, i);
		many[i] = (struct dns_row){"far.test", DNS_TYPE_MX, DNS_OK, names[i]};
	}
	many[DEAD + 1] = (struct dns_row){"m30.far.test", DNS_TYPE_A, DNS_OK, "127.0.1.1"};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *p = peer_new("127.0.1.1", 0, peer_obedient);
		char conf[600];
		struct world *w;

		snprintf(conf, sizeof(conf), "%ssmtp_tcp_port = %u\n", peer_patience, peer_port(p));
		w = world_new(conf);
		w->dns = rows[i];
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = "far.test", .content = CONTENT}));
		if (w->outcomes[0].class != OUTCOME_DELIVERED)
			fail_msg("zone %zu: %s", i, w->outcomes[0].text);
		world_free(&w);
		peer_free(&p);
	}
}

/* More exchangers than are asked about at a time, each for two families (catalogue I01). */
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
	struct peer *b = peer_new("127.0.1.2", 0, peer_obedient);
	char conf[600];
	struct world *w;

	(void)state;
	snprintf(conf, sizeof(conf), "%ssmtp_tcp_port = %u\n", peer_patience, peer_port(b));
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
	struct peer *p = peer_new("127.0.0.1", 0, peer_obedient);
	char nexthop[200], conf[600];
	struct world *w = world_new(peer_patience);

	(void)state;
	snprintf(nexthop, sizeof(nexthop), "[127.0.1.7]:1, [gone.test]:2 %s", peer_nexthop(p));
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = nexthop, .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
	world_free(&w);

	snprintf(conf, sizeof(conf), "%ssmtp_fallback_relay = %s\n", peer_patience, peer_nexthop(p));
	w = world_new(conf);
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = "gone.test", .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DELIVERED);
	world_free(&w);

	/* One that refuses the connection may take it later; that the next one does not exist changes nothing. */
	w = world_new(peer_patience);
	assert_true(world_deliver(
	    w, &(struct world_mail){.nexthop = "[127.0.1.7]:1, [gone.test]:2", .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DEFERRED);
	assert_string_equal(w->outcomes[0].text, "connect to 127.0.1.7[127.0.1.7]:1: Connection refused");
	world_free(&w);

	/* The relay host is ours to put right: the message waits. */
	snprintf(conf, sizeof(conf), "%srelayhost = gone.test\n", peer_patience);
	w = world_new(conf);
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = "gone.test", .content = CONTENT}));
	assert_int_equal(w->outcomes[0].class, OUTCOME_DEFERRED);
	world_free(&w);
	peer_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_next_exchanger_is_tried),
	    cmocka_unit_test(test_dns_decides_between_never_and_later),
	    cmocka_unit_test(test_hosts_that_do_not_speak_are_no_sessions),
	    cmocka_unit_test(test_a_zone_with_mistakes_is_delivered_to),
	    cmocka_unit_test(test_a_zone_with_many_exchangers),
	    cmocka_unit_test(test_only_better_exchangers_than_ourselves),
	    cmocka_unit_test(test_several_relay_hosts_and_the_fallback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
