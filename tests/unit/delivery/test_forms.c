#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "delivery/smtp/hello.h"
#include "delivery/smtp/hosts.h"
#include "delivery/smtp/reply.h"
#include "delivery/smtp/route.h"

/* ---- replies ---- */

static const struct {
	const char *why;
	struct span bytes;
	int status; /* after all of it */
	unsigned code;
	const char *text; /* as one line */
} reply_rows[] = {
    {"one line", SPAN_LIT("250 2.1.0 Ok\r\n"), 1, 250, "250 2.1.0 Ok"},
    {"no text", SPAN_LIT("250\r\n"), 1, 250, "250"},
    {"a blank for text", SPAN_LIT("250 \r\n"), 1, 250, "250"},
    {"bare LF", SPAN_LIT("220 hi\n"), 1, 220, "220 hi"},
    {"several lines", SPAN_LIT("250-a\r\n250-b\r\n250 c\r\n"), 1, 250, "250-a 250-b 250 c"},
    {"the last line has no text", SPAN_LIT("250-a\r\n250\r\n"), 1, 250, "250-a 250"},
    {"codes of one class: the last counts", SPAN_LIT("550-a\r\n551 b\r\n"), 1, 551, "550-a 551 b"},
    {"codes of two classes", SPAN_LIT("250-a\r\n550 b\r\n"), -1, 0, NULL},
    {"lines without a code inside", SPAN_LIT("220-a\r\nhello\r\n\r\n22\r\n22x y\r\n220 b\r\n"), 1, 220,
	"220-a hello  22 22x y 220 b"},
    {"lines without a code end nothing", SPAN_LIT("250-a\r\nhello\r\n"), 0, 0, NULL},
    {"a code of no kind inside", SPAN_LIT("250-a\r\n999 x\r\n"), -1, 0, NULL},
    {"no last line", SPAN_LIT("250-a\r\n250-b\r\n"), 0, 0, NULL},
    {"no end of line", SPAN_LIT("250 a"), 0, 0, NULL},
    {"no number", SPAN_LIT("hello\r\n"), -1, 0, NULL},
    {"two digits", SPAN_LIT("25\r\n"), -1, 0, NULL},
    {"four digits", SPAN_LIT("2500 x\r\n"), -1, 0, NULL},
    {"a provisional code", SPAN_LIT("150 x\r\n"), -1, 0, NULL},
    {"code out of range", SPAN_LIT("650 x\r\n"), -1, 0, NULL},
    {"an empty line", SPAN_LIT("\r\n"), -1, 0, NULL},
    {"a NUL in the code", SPAN_LIT("2\00050 x\r\n"), -1, 0, NULL},
    {"control characters", SPAN_LIT("250 a\001b\000c\rd\033\r\n"), 1, 250, "250 a?b?c?d?"},
    {"UTF-8 stays", SPAN_LIT("550 gr\xc3\xbc\xc3\x9f\r\n"), 1, 550, "550 gr\xc3\xbc\xc3\x9f"},
    {"what is no UTF-8 does not", SPAN_LIT("550 gr\xfc\xc3\r\n"), 1, 550, "550 gr??"},
};

static void
check_reply(size_t row, size_t step)
{
	struct reply *r = mem_alloc(sizeof(*r));
	struct span rest = reply_rows[row].bytes;
	int status = 0;
	char line[200];

	while (rest.len > 0 && status == 0) {
		size_t used;

		status = reply_feed(r, span_sub(rest, 0, step), &used);
		rest = span_from(rest, used);
	}
	if (status != reply_rows[row].status)
		fail_msg("%s: status %d", reply_rows[row].why, status);
	if (status == 1) {
		reply_one_line(r, line, sizeof(line));
		if (r->code != reply_rows[row].code || strcmp(line, reply_rows[row].text) != 0)
			fail_msg("%s: %u \"%s\"", reply_rows[row].why, r->code, line);
		assert_int_equal(rest.len, 0);
	}
	free(r);
}

static void
test_replies_whole_and_by_octets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(reply_rows) / sizeof(reply_rows[0]); i++) {
		check_reply(i, SIZE_MAX);
		check_reply(i, 1);
		check_reply(i, 3);
	}
}

/* Every reply cut short is no reply yet. */
static void
test_replies_cut_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(reply_rows) / sizeof(reply_rows[0]); i++) {
		if (reply_rows[i].status != 1)
			continue;
		for (size_t cut = 0; cut < reply_rows[i].bytes.len; cut++) {
			struct reply *r = mem_alloc(sizeof(*r));
			size_t used;

			assert_int_equal(reply_feed(r, span_sub(reply_rows[i].bytes, 0, cut), &used), 0);
			assert_int_equal(used, cut);
			free(r);
		}
	}
}

static void
test_replies_are_bounded(void **state)
{
	struct reply *r = mem_alloc(sizeof(*r));
	static char many[REPLY_OCTETS_MAX * 2];
	size_t used;

	(void)state;
	/* A long line is read to its end and cut. */
	memset(many, 'x', sizeof(many));
	memcpy(many, "550 ", 4);
	memcpy(many + 30000, "\r\n", 2);
	assert_int_equal(reply_feed(r, span_make(many, 30002), &used), 1);
	assert_true(r->len <= REPLY_LINE_MAX);
	/* An endless one is not read to its end. */
	memset(many + 30000, 'x', 2);
	assert_int_equal(reply_feed(r, span_make(many, sizeof(many)), &used), -1);
	assert_true(used <= REPLY_OCTETS_MAX + 1);
	/* Nor are endless lines. */
	memset(r, 0, sizeof(*r));
	for (size_t i = 0; i + 8 <= sizeof(many); i += 8)
		memcpy(many + i, "250-xx\r\n", 8);
	assert_int_equal(reply_feed(r, span_make(many, sizeof(many)), &used), -1);
	assert_true(used <= REPLY_OCTETS_MAX + 1);
	free(r);
}

/* Two replies in one packet; the text of the first does not leak into the second. */
static void
test_replies_one_after_the_other(void **state)
{
	struct reply *r = mem_alloc(sizeof(*r));
	struct span rest = SPAN_LIT("550-5.1.1 a\r\n550 5.1.1 b\r\n250 \r\n");
	size_t used;

	(void)state;
	assert_int_equal(reply_feed(r, rest, &used), 1);
	assert_true(span_is(reply_last_text(r), "5.1.1 b"));
	rest = span_from(rest, used);
	assert_int_equal(reply_feed(r, rest, &used), 1);
	assert_int_equal(r->code, 250);
	assert_int_equal(reply_last_text(r).len, 0);
	free(r);
}

static void
test_capabilities(void **state)
{
	struct reply *r = mem_alloc(sizeof(*r));
	struct capabilities c;
	struct span domain;
	size_t used;

	(void)state;
	assert_int_equal(
	    reply_feed(r,
		SPAN_LIT("250-mx.test DSN here\r\n250-size 5000\r\n250-PIPELINING\r\n250-8bitmime\r\n"
			 "250-AUTH=PLAIN\r\n250-SIZEABLE\r\n250 X-DSN\r\n"),
		&used),
	    1);
	capabilities_parse(&c, r, SPAN_LIT("starttls, 8BITMIME"), &domain);
	assert_true(span_is(domain, "mx.test"));
	assert_int_equal(c.offers, OFFERS_SIZE | OFFERS_PIPELINING | OFFERS_AUTH);
	assert_int_equal(c.size_limit, 5000);
	assert_int_equal(reply_feed(r, SPAN_LIT("250-mx.test\r\n250 SIZE=7000\r\n"), &used), 1);
	capabilities_parse(&c, r, SPAN_LIT(""), &domain);
	assert_int_equal(c.size_limit, 7000);
	free(r);
}

/* ---- routes ---- */

static const struct {
	const char *why;
	const char *nexthop;
	struct route_rules rules;
	int count;
	struct route first;
} route_rows[] = {
    {"a domain", "Far.Test", {.port = 25}, 1, {"far.test", 25, true, false, "", "Far.Test"}},
    {"its final dot", "far.test.", {.port = 25}, 1, {"far.test", 25, true, false, "", "far.test."}},
    {"brackets: no MX", "[mx.far.test]", {.port = 25}, 1,
	{"mx.far.test", 25, false, false, "", "[mx.far.test]"}},
    {"with a port", "[mx.far.test]:587", {.port = 25}, 1,
	{"mx.far.test", 587, false, true, "", "[mx.far.test]:587"}},
    {"a domain with a port", "far.test:2525", {.port = 25}, 1,
	{"far.test", 2525, true, true, "", "far.test:2525"}},
    {"a name that nobody knows", "[a]:amqp", {.port = 25}, -1, {.port = 0}},
    {"a port by name", "[a]:submission", {.port = 25}, 1, {"a", 587, false, true, "", "[a]:submission"}},
    {"an IPv4 literal", "[192.0.2.1]", {.port = 25}, 1, {"192.0.2.1", 25, false, false, "", "[192.0.2.1]"}},
    {"an IPv6 literal", "[IPv6:2001:db8::1]:26", {.port = 25}, 1,
	{"2001:db8::1", 26, false, true, "", "[IPv6:2001:db8::1]:26"}},
    {"IPv6 without the tag", "[2001:DB8::1]", {.port = 25}, 1,
	{"2001:db8::1", 25, false, false, "", "[2001:DB8::1]"}},
    {"an address without brackets", "192.0.2.1", {.port = 25}, 1,
	{"192.0.2.1", 25, false, false, "", "192.0.2.1"}},
    {"several", "a.test, [b.test]:26\tc.test", {.port = 25}, 3, {"a.test", 25, true, false, "", "a.test"}},
    {"no DNS: no MX", "far.test", {.port = 25, .no_mx = true}, 1,
	{"far.test", 25, false, false, "", "far.test"}},
    {"LMTP knows no MX", "inet:far.test", {.port = 24, .lmtp = true}, 1,
	{"far.test", 24, false, false, "", "far.test"}},
    {"a UNIX socket", "unix:private/lmtp", {.port = 24, .lmtp = true}, 1,
	{.socket = "private/lmtp", .site = "private/lmtp"}},
    {"a UNIX socket without a path", "unix:", {.port = 24, .lmtp = true}, -1, {.port = 0}},
    {"nothing", " , ", {.port = 25}, -1, {.port = 0}},
    {"an open bracket", "[far.test", {.port = 25}, -1, {.port = 0}},
    {"empty brackets", "[]", {.port = 25}, -1, {.port = 0}},
    {"junk behind brackets", "[a]b", {.port = 25}, -1, {.port = 0}},
    {"an empty port", "far.test:", {.port = 25}, -1, {.port = 0}},
    {"port 0", "far.test:0", {.port = 25}, -1, {.port = 0}},
    {"port 65536", "far.test:65536", {.port = 25}, -1, {.port = 0}},
};

static void
test_routes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(route_rows) / sizeof(route_rows[0]); i++) {
		struct route_rules rules = route_rows[i].rules;
		struct route routes[ROUTE_MAX];
		const struct route *want = &route_rows[i].first;
		struct error err;
		int count;

		rules.known_ports = "smtp=25, smtps=submissions=465, submission=587";
		count = route_parse(span_of(route_rows[i].nexthop), &rules, routes, ROUTE_MAX, &err);

		if (count != route_rows[i].count)
			fail_msg("%s: %d", route_rows[i].why, count);
		if (count > 0 &&
		    (strcmp(routes[0].host, want->host) != 0 || routes[0].port != want->port ||
			routes[0].use_mx != want->use_mx || routes[0].own_port != want->own_port ||
			strcmp(routes[0].socket, want->socket) != 0 ||
			strcmp(routes[0].site, want->site) != 0))
			fail_msg("%s: %s %u %d %d %s", route_rows[i].why, routes[0].host, routes[0].port,
			    routes[0].use_mx, routes[0].own_port, routes[0].site);
	}
}

/* ---- the order of hosts ---- */

static void
add_host(struct hosts *h, const char *name, unsigned preference, bool v6)
{
	static unsigned char octets[16];

	octets[3]++;
	assert_int_equal(hosts_add(h, span_of(name), span_make(octets, v6 ? 16 : 4), preference, 25), 0);
}

static void
test_hosts_by_preference_equals_shuffled(void **state)
{
	unsigned first_is_b = 0;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct hosts h = {0};

		add_host(&h, "last", 30, false);
		add_host(&h, "b", 10, false);
		add_host(&h, "mid", 20, false);
		add_host(&h, "c", 10, false);
		hosts_order(&h, &(struct host_order){.randomize = true});
		assert_string_equal(h.list[2].name, "mid");
		assert_string_equal(h.list[3].name, "last");
		first_is_b += h.list[0].name[0] == 'b';
		hosts_free(&h);
	}
	assert_in_range(first_is_b, 50, 150);
}

static void
test_hosts_of_both_families_within_the_limit(void **state)
{
	struct hosts h = {0};
	unsigned of_v6 = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		add_host(&h, "six", 10, true);
	for (int i = 0; i < 2; i++)
		add_host(&h, "four", 10, false);
	hosts_order(&h, &(struct host_order){.balance = true, .limit = 5, .prefer = HOST_IPV6});
	assert_int_equal(h.count, 5);
	for (size_t i = 0; i < h.count; i++)
		of_v6 += h.list[i].address.any.sa_family == AF_INET6;
	assert_int_equal(of_v6, 3);
	assert_string_equal(h.list[0].name, "six");
	hosts_free(&h);
}

static void
test_hosts_are_bounded(void **state)
{
	struct hosts h = {0};

	(void)state;
	for (int i = 0; i < HOSTS_MAX; i++)
		add_host(&h, "x", 1, false);
	assert_int_equal(hosts_add(&h, SPAN_LIT("x"), SPAN_LIT("\1\2\3\4"), 1, 25), -1);
	assert_int_equal(hosts_add(&h, SPAN_LIT("x"), SPAN_LIT("\1\2\3"), 1, 25), -1);
	hosts_free(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_replies_whole_and_by_octets),
	    cmocka_unit_test(test_replies_cut_short),
	    cmocka_unit_test(test_replies_are_bounded),
	    cmocka_unit_test(test_replies_one_after_the_other),
	    cmocka_unit_test(test_capabilities),
	    cmocka_unit_test(test_routes),
	    cmocka_unit_test(test_hosts_by_preference_equals_shuffled),
	    cmocka_unit_test(test_hosts_of_both_families_within_the_limit),
	    cmocka_unit_test(test_hosts_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
