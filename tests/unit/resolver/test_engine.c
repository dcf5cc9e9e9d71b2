/* Questions and answers over real sockets, with a name server that misbehaves on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "services/resolver/engine.h"
#include "services/resolver/peername.h"
#include "services/resolver/query.h"
#include "tests/unit/resolver/fake_server.h"

enum { PORT = 3600, DEAD_PORT = 3601, SECOND_PORT = 3602 };

struct bench {
	struct event_base *base;
	struct fake_server *server;
	struct engine *engine;
};

/* What an answer left behind. */
struct heard {
	unsigned count;
	int64_t at_us;
	bool authentic;
	uint32_t ttl;
	enum dns_status status;
	size_t records;
	char canonical[NAME_SIZE];
	char reason[200];
	uint8_t first[16];
};

static void
hear(void *context, const struct answer *answer)
{
	struct heard *h = context;
	struct span rest = buf_span(&answer->records);
	struct dns_record record;

	h->count++;
	h->at_us = clock_mono_us();
	h->status = answer->status;
	h->authentic = answer->authentic;
	h->ttl = answer->ttl;
	h->records = answer->record_count;
	memcpy(h->canonical, answer->canonical, sizeof(h->canonical));
	memcpy(h->reason, answer->reason, sizeof(h->reason));
	if (dns_record_next(&rest, &record) == 1)
		memcpy(h->first, record.data.ptr, record.data.len <= 16 ? record.data.len : 0);
}

static int
set_up(void **state)
{
	static const struct engine_limits limits = {
	    .questions = 1024, .waiters = 4096, .cache_entries = 1000, .cache_bytes = 1 << 20};
	struct bench *b = mem_alloc(sizeof(*b));
	struct error err;

	for (int i = 0; i <= QUERY_TRIES; i++)
		query_schedule_us[i] = i * 300 * US_PER_MS;
	b->base = event_base_new();
	b->server = fake_server_new(b->base, PORT);
	b->engine = engine_new(b->base, &limits);
	engine_set_servers(b->engine, servers_from_parameter(SPAN_LIT("127.0.0.1:3600"), &err));
	*state = b;
	return 0;
}

static int
tear_down(void **state)
{
	struct bench *b = *state;

	engine_free(&b->engine);
	fake_server_free(b->server);
	event_base_free(b->base);
	free(b);
	return 0;
}

static void
turn_until(struct bench *b, const unsigned *count, unsigned wanted)
{
	int64_t end_us = clock_mono_us() + 8 * US_PER_SECOND;

	while (*count < wanted && clock_mono_us() < end_us)
		event_base_loop(b->base, EVLOOP_ONCE);
	assert_int_equal(*count, wanted);
}

static struct heard
ask(struct bench *b, const char *name, uint16_t type)
{
	struct heard h = {0};

	engine_ask(b->engine, span_of(name), type, 0, 0, hear, &h);
	turn_until(b, &h.count, 1);
	return h;
}

static void
answers_of_every_kind(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		enum dns_status status;
		size_t records;
		const char *why;
	} rows[] = {
	    {"ok.test", DNS_TYPE_A, DNS_OK, 1, "plain"},
	    {"ok.test", DNS_TYPE_AAAA, DNS_OK, 1, "the other family"},
	    {"nx.test", DNS_TYPE_A, DNS_NO_NAME, 0, "NXDOMAIN"},
	    {"nodata.test", DNS_TYPE_MX, DNS_NO_DATA, 0, "no data is not NXDOMAIN"},
	    {"servfail.test", DNS_TYPE_A, DNS_TEMPORARY, 0, "SERVFAIL is no \"no\""},
	    {"silent.test", DNS_TYPE_A, DNS_TEMPORARY, 0, "silence"},
	    {"junk.test", DNS_TYPE_A, DNS_TEMPORARY, 0, "counts beyond the data"},
	    {"wrong-id.test", DNS_TYPE_A, DNS_TEMPORARY, 0, "a forged id is not heard"},
	    {"wrong-question.test", DNS_TYPE_A, DNS_TEMPORARY, 0, "an answer to another question"},
	    {"old.test", DNS_TYPE_A, DNS_OK, 1, "a server without EDNS"},
	    {"big.test", DNS_TYPE_A, DNS_OK, DNS_RECORDS_MAX, "TCP after truncation, cut at the bound"},
	    {"short-tcp.test", DNS_TYPE_A, DNS_TEMPORARY, 0, "a TCP answer of five octets"},
	    {"alias.test", DNS_TYPE_A, DNS_OK, 1, "an alias whose target must be asked for"},
	    {"ping.test", DNS_TYPE_A, DNS_TEMPORARY, 0, "aliases in a circle"},
	    {"localhost", DNS_TYPE_A, DNS_OK, 1, "never asked"},
	    {"localhost", DNS_TYPE_MX, DNS_NO_DATA, 0, "never asked"},
	    {"a..b", DNS_TYPE_A, DNS_INVALID, 0, "no name"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct heard h = ask(*state, rows[i].name, rows[i].type);

		if (h.status != rows[i].status || h.records != rows[i].records)
			fail_msg("%s (%s): status %d, %zu records: %s", rows[i].name, rows[i].why, h.status,
			    h.records, h.reason);
		assert_true(h.status == DNS_OK || h.reason[0] != '\0');
	}
}

static void
the_alias_is_told(void **state)
{
	struct heard h = ask(*state, "Alias.Test", DNS_TYPE_A);

	assert_string_equal(h.canonical, "ok.elsewhere.test");
	assert_int_equal(h.first[3], 1);
}

static void
authentic_needs_a_trusted_server(void **state)
{
	struct bench *b = *state;
	struct error err;
	struct servers *s;

	assert_true(ask(b, "secure.test", DNS_TYPE_A).authentic);
	assert_false(ask(b, "ok.test", DNS_TYPE_A).authentic);
	s = servers_from_parameter(SPAN_LIT("127.0.0.1:3600"), &err);
	s->list[0].trusted = false;
	engine_set_servers(b->engine, s);
	assert_false(ask(b, "secure.test", DNS_TYPE_A).authentic);
}

static void
the_cache_answers_the_second_time(void **state)
{
	struct bench *b = *state;
	static const char *const names[] = {"ok.test", "nx.test", "nodata.test", "servfail.test"};

	for (size_t i = 0; i < 4; i++) {
		unsigned before;

		ask(b, names[i], DNS_TYPE_A);
		before = fake_server_questions(b->server);
		ask(b, names[i], DNS_TYPE_A);
		assert_int_equal(fake_server_questions(b->server), before);
	}
	assert_int_equal(ask(b, "nx2.nx.test", DNS_TYPE_A).ttl, 300);
	assert_true(ask(b, "nx.test", DNS_TYPE_A).ttl <= 30); /* the SOA's minimum */
}

static void
equal_questions_are_merged(void **state)
{
	struct bench *b = *state;
	struct heard h = {0};

	for (int i = 0; i < 50; i++)
		engine_ask(b->engine, SPAN_LIT("Ok.merged.test"), DNS_TYPE_A, 0, 7, hear, &h);
	assert_int_equal(engine_busy(b->engine), 1);
	turn_until(b, &h.count, 50);
	assert_int_equal(fake_server_questions(b->server), 1);
}

/* 500 sessions name zones that do not answer, each its own: a newcomer is served within a second all the same. */
static void
silent_zones_delay_nobody_else(void **state)
{
	struct bench *b = *state;
	struct heard silent = {0}, newcomer = {0};
	char name[64];
	int64_t began_us;

	for (int session = 1; session <= 500; session++) {
		for (int i = 0; i < 2; i++) {
			snprintf(name, sizeof(name), "silent.h%d.zone%d.test-%d", i, session, session);
			engine_ask(b->engine, span_of(name), DNS_TYPE_A, 0, (uint64_t)session, hear, &silent);
		}
	}
	assert_int_equal(silent.count, 0);
	began_us = clock_mono_us();
	engine_ask(b->engine, SPAN_LIT("ok.newcomer.test"), DNS_TYPE_A, 0, 1000, hear, &newcomer);
	turn_until(b, &newcomer.count, 1);
	assert_int_equal(newcomer.status, DNS_OK);
	assert_true(newcomer.at_us - began_us < US_PER_SECOND);
	turn_until(b, &silent.count, 1000);
}

/* More than there is room for: who has waited longest gives way, so that the newcomer is served all the same. */
static void
the_oldest_gives_way(void **state)
{
	struct bench *b = *state;
	struct heard silent = {0}, newcomer = {0};
	char name[64];
	int64_t wait_us;

	for (int session = 1; session <= 1024; session++) {
		snprintf(name, sizeof(name), "silent.zone%d.test-%d", session, session);
		engine_ask(b->engine, span_of(name), DNS_TYPE_A, 0, (uint64_t)session, hear, &silent);
	}
	wait_us = clock_mono_us() + 500 * US_PER_MS;
	while (clock_mono_us() < wait_us)
		event_base_loop(b->base, EVLOOP_ONCE);
	assert_int_equal(silent.count, 0);
	engine_ask(b->engine, SPAN_LIT("ok.newcomer.test"), DNS_TYPE_A, 0, 2000, hear, &newcomer);
	turn_until(b, &newcomer.count, 1);
	assert_int_equal(newcomer.status, DNS_OK);
	assert_int_equal(silent.count, 1);
	turn_until(b, &silent.count, 1024);
}

static void
a_zone_has_its_share_only(void **state)
{
	struct bench *b = *state;
	struct heard h = {0};
	char name[64];

	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "silent.h%d.greedy.test", i);
		engine_ask(b->engine, span_of(name), DNS_TYPE_A, 0, 0, hear, &h);
	}
	assert_int_equal(engine_busy(b->engine), 1024 / ENGINE_SHARE);
	assert_int_equal(h.count, 500 - 1024 / ENGINE_SHARE);
	turn_until(b, &h.count, 500);
}

static void
an_asker_has_its_share_only(void **state)
{
	struct bench *b = *state;
	struct heard h = {0};
	char name[64];

	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "silent.zone-%d.test-%d", i, i);
		engine_ask(b->engine, span_of(name), DNS_TYPE_A, 0, 42, hear, &h);
	}
	assert_int_equal(engine_busy(b->engine), 1024 / ENGINE_SHARE);
	turn_until(b, &h.count, 500);
}

static void
a_silent_zone_is_temporary_at_once(void **state)
{
	struct bench *b = *state;
	struct heard h;
	int64_t began_us;

	ask(b, "ok.lively-zone.test", DNS_TYPE_A); /* the server lives */
	ask(b, "silent.example", DNS_TYPE_A);
	began_us = clock_mono_us();
	h = ask(b, "other.silent.example", DNS_TYPE_A);
	assert_int_equal(h.status, DNS_TEMPORARY);
	assert_true(h.at_us - began_us < 100 * US_PER_MS);
	assert_int_equal(ask(b, "ok.lively-zone.test", DNS_TYPE_AAAA).status, DNS_OK);
}

static void
the_next_server_is_asked(void **state)
{
	struct bench *b = *state;
	struct fake_server *second = fake_server_new(b->base, SECOND_PORT);
	struct error err;
	int64_t began_us = clock_mono_us();

	engine_set_servers(
	    b->engine, servers_from_parameter(SPAN_LIT("127.0.0.1:3601 127.0.0.1:3602"), &err));
	assert_int_equal(ask(b, "ok.test", DNS_TYPE_A).status, DNS_OK);
	assert_true(clock_mono_us() - began_us < 200 * US_PER_MS); /* a refused port costs no waiting */
	assert_int_equal(fake_server_questions(second), 1);
	engine_set_servers(b->engine, servers_from_parameter(SPAN_LIT("127.0.0.1:3601"), &err));
	assert_int_equal(ask(b, "ok.test", DNS_TYPE_A).status, DNS_TEMPORARY);
	assert_int_equal(fake_server_tcp_questions(second), 0);
	fake_server_free(second);
}

struct named {
	unsigned count;
	struct peername result;
};

static void
hear_name(void *context, const struct peername *result)
{
	struct named *n = context;

	n->count++;
	n->result = *result;
}

static void
names_of_clients(void **state)
{
	struct bench *b = *state;
	static const struct {
		const char *address;
		enum name_status status;
		const char *name, *reverse_name;
	} rows[] = {
	    {"192.0.2.1", NAME_CONFIRMED, "ok.test", "ok.test"},
	    {"::ffff:192.0.2.1", NAME_CONFIRMED, "ok.test", "ok.test"},
	    {"192.0.2.2", NAME_FORGED, "", "nx.test"},
	    {"192.0.2.3", NAME_TEMPORARY, "", "servfail.test"},
	    {"192.0.2.4", NAME_NONE, "", ""}, /* an address is no name */
	    {"192.0.2.5", NAME_TEMPORARY, "", ""},
	    {"192.0.2.6", NAME_NONE, "", ""},
	    {"2001:db8::1", NAME_NONE, "", ""},
	    {"192.0.2.77", NAME_CONFIRMED, "printer.lan", "printer.lan"},
	    {"nonsense", NAME_NONE, "", ""},
	};

	engine_set_hosts(b->engine, hosts_file_parse(SPAN_LIT("192.0.2.77 printer.lan printer\n")));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct named n = {0};

		peername_ask(b->engine, span_of(rows[i].address), 0, hear_name, &n);
		turn_until(b, &n.count, 1);
		assert_int_equal(n.result.status, rows[i].status);
		assert_string_equal(n.result.name, rows[i].name);
		assert_string_equal(n.result.reverse_name, rows[i].reverse_name);
	}
}

static void
hosts_come_first_where_wanted(void **state)
{
	struct bench *b = *state;
	struct heard h = {0};

	engine_set_hosts(b->engine, hosts_file_parse(SPAN_LIT("192.0.2.77 ok.test\n")));
	engine_ask(b->engine, SPAN_LIT("ok.test"), DNS_TYPE_A, DNS_WANT_HOSTS, 0, hear, &h);
	assert_int_equal(h.first[3], 77);
	assert_int_equal(ask(b, "ok.test", DNS_TYPE_A).first[3], 1);
	engine_ask(b->engine, SPAN_LIT("nx.test"), DNS_TYPE_A, DNS_HOSTS_ONLY, 0, hear, &h);
	assert_int_equal(h.count, 2);
	assert_int_equal(h.status, DNS_NO_NAME);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(answers_of_every_kind),
	    ROW(the_alias_is_told),
	    ROW(authentic_needs_a_trusted_server),
	    ROW(the_cache_answers_the_second_time),
	    ROW(equal_questions_are_merged),
	    ROW(silent_zones_delay_nobody_else),
	    ROW(the_oldest_gives_way),
	    ROW(a_zone_has_its_share_only),
	    ROW(an_asker_has_its_share_only),
	    ROW(a_silent_zone_is_temporary_at_once),
	    ROW(the_next_server_is_asked),
	    ROW(names_of_clients),
	    ROW(hosts_come_first_where_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
