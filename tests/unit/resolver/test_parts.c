/* The resolver's parts that need no network: names, lists of servers, hosts, cache, shares. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "services/resolver/cache.h"
#include "services/resolver/hosts.h"
#include "services/resolver/name.h"
#include "services/resolver/servers.h"
#include "services/resolver/shares.h"

static void
names(void **state)
{
	char label64[80], whole[300], name[NAME_SIZE];
	static const struct {
		const char *text;
		const char *name; /* NULL: refused */
	} rows[] = {
	    {"Example.COM", "example.com"},
	    {"example.com.", "example.com"},
	    {"_dmarc.example", "_dmarc.example"},
	    {"a", "a"}, /* no search domain is put behind it */
	    {"b\303\274cher.example", "xn--bcher-kva.example"},
	    {"\377\376.example", NULL},
	    {"", NULL},
	    {".", NULL},
	    {"a..b", NULL},
	    {".a", NULL},
	    {"a b.example", NULL},
	    {"a\\.b.example", NULL},
	    {"192.0.2.1", NULL},
	    {"1.2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool ok = name_clean(span_of(rows[i].text), name);

		assert_int_equal(ok, rows[i].name != NULL);
		if (ok)
			assert_string_equal(name, rows[i].name);
	}
	memset(label64, 'a', 64);
	snprintf(label64 + 64, 16, ".example");
	assert_false(name_clean(span_of(label64), name));
	assert_true(name_clean(span_of(label64 + 1), name));
	for (size_t i = 0; i < sizeof(whole) - 1; i++)
		whole[i] = i % 2 ? '.' : 'a';
	assert_true(name_clean(span_make(whole, 253), name));
	assert_false(name_clean(span_make(whole, 255), name));
	assert_false(name_clean(SPAN_LIT("a\0b"), name));
}

static void
zones(void **state)
{
	static const struct {
		const char *name, *zone;
	} rows[] = {
	    {"mail.a.example.com", "example.com"},
	    {"www.victim.co.uk", "victim.co.uk"},
	    {"example", "example"},
	    {"4.3.2.1.in-addr.arpa", "3.2.1.in-addr.arpa"},
	    {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		"0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span zone = name_zone(span_of(rows[i].name));

		assert_true(span_is(zone, rows[i].zone));
	}
}

static void
reverse_names(void **state)
{
	static const uint8_t v4[] = {192, 0, 2, 1}, v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	char name[NAME_SIZE];

	(void)state;
	name_reverse(v4, 4, name);
	assert_string_equal(name, "1.2.0.192.in-addr.arpa");
	name_reverse(v6, 16, name);
	assert_string_equal(name, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

static void
lists_of_servers(void **state)
{
	struct error err;
	struct servers *s =
	    servers_from_parameter(SPAN_LIT("192.0.2.1, 127.0.0.1:3600 [2001:db8::1]:53 ::1"), &err);

	(void)state;
	assert_int_equal(s->count, 4);
	assert_string_equal(s->list[0].text, "192.0.2.1:53");
	assert_false(s->list[0].trusted);
	assert_string_equal(s->list[1].text, "127.0.0.1:3600");
	assert_true(s->list[1].trusted);
	assert_string_equal(s->list[2].text, "2001:db8::1:53");
	assert_true(s->list[3].trusted);
	servers_unref(&s);
	assert_null(servers_from_parameter(SPAN_LIT("127.0.0.1:0"), &err));
	assert_null(servers_from_parameter(SPAN_LIT("ns.example"), &err));
	assert_null(servers_from_parameter(SPAN_LIT("127.0.0.1:99999"), &err));
	assert_null(servers_from_parameter(SPAN_LIT("[::1"), &err));
}

static void
resolv_conf(void **state)
{
	struct servers *s = servers_from_resolv_conf(SPAN_LIT(
	    "# comment\nsearch a b\nnameserver 192.0.2.7\nnameserver fe80::1%eth0\nnameserver\t::1\noptions "
	    "ndots:5 trust-ad timeout:9\n"));

	(void)state;
	assert_int_equal(s->count, 2);
	assert_string_equal(s->list[0].text, "192.0.2.7:53");
	assert_true(s->list[0].trusted);
	servers_unref(&s);
	s = servers_from_resolv_conf(SPAN_LIT(""));
	assert_int_equal(s->count, 1); /* resolv.conf(5): the local host */
	assert_string_equal(s->list[0].text, "127.0.0.1:53");
	servers_unref(&s);
}

static void
silent_servers_come_last(void **state)
{
	struct error err;
	struct servers *s = servers_from_parameter(SPAN_LIT("127.0.0.1 127.0.0.2"), &err);

	(void)state;
	assert_ptr_equal(servers_for_try(s, 0), &s->list[0]);
	for (int i = 0; i < 20; i++)
		server_was_silent(&s->list[0]);
	assert_ptr_equal(servers_for_try(s, 0), &s->list[1]);
	assert_ptr_equal(servers_for_try(s, 1), &s->list[0]);
	server_answered(&s->list[0]);
	assert_ptr_equal(servers_for_try(s, 0), &s->list[0]);
	servers_unref(&s);
}

static void
hosts(void **state)
{
	static const uint8_t v4[] = {192, 0, 2, 9}, other[] = {192, 0, 2, 10};
	struct hosts_file *h =
	    hosts_file_parse(SPAN_LIT("127.0.0.1 localhost\n192.0.2.9\tMail.example mail # text\n"
				      "2001:db8::9 mail\n192.0.2.10 mail\nnonsense x\n192.0.2.9 later\n"));
	struct buf records;

	(void)state;
	buf_init(&records, 10000);
	assert_int_equal(hosts_file_addresses(h, SPAN_LIT("mail"), DNS_TYPE_A, &records), 2);
	assert_int_equal(hosts_file_addresses(h, SPAN_LIT("mail"), DNS_TYPE_AAAA, &records), 1);
	assert_int_equal(hosts_file_addresses(h, SPAN_LIT("mail"), DNS_TYPE_MX, &records), 0);
	assert_int_equal(hosts_file_addresses(h, SPAN_LIT("text"), DNS_TYPE_A, &records), 0);
	assert_int_equal(hosts_file_addresses(NULL, SPAN_LIT("mail"), DNS_TYPE_A, &records), 0);
	assert_string_equal(hosts_file_name(h, v4, 4), "mail.example");
	assert_string_equal(hosts_file_name(h, other, 4), "mail");
	buf_free(&records);
	hosts_file_free(&h);
}

static void
put_answer(struct cache *c, const char *key, uint32_t ttl, size_t bytes)
{
	static char octets[4000];
	struct dns_record record = {.type = DNS_TYPE_TXT, .data = {octets, bytes}};
	struct answer answer;

	answer_init(&answer);
	answer.status = DNS_OK;
	answer.ttl = ttl;
	dns_record_pack(&answer.records, &record);
	cache_put(c, span_of(key), &answer, 0);
	answer_free(&answer);
}

static void
cached_answers_age_and_go(void **state)
{
	struct cache *c = cache_new(3, 20000);

	(void)state;
	put_answer(c, "a", 10, 100);
	assert_int_equal(cache_get(c, SPAN_LIT("a"), 4 * US_PER_SECOND)->ttl, 6);
	assert_null(cache_get(c, SPAN_LIT("a"), 10 * US_PER_SECOND));
	assert_int_equal(cache_count(c), 0);
	put_answer(c, "zero", 0, 100);
	assert_int_equal(cache_count(c), 0);
	put_answer(c, "a", 10, 100);
	put_answer(c, "b", 10, 100);
	put_answer(c, "c", 10, 100);
	assert_non_null(cache_get(c, SPAN_LIT("a"), 0));
	put_answer(c, "d", 10, 100); /* b was not used for longest */
	assert_null(cache_get(c, SPAN_LIT("b"), 0));
	assert_non_null(cache_get(c, SPAN_LIT("a"), 0));
	for (int i = 0; i < 20; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		put_answer(c, key, 10, 3900);
		assert_true(cache_bytes(c) <= 20000);
	}
	cache_free(&c);
}

static void
shares_are_kept_and_silence_remembered(void **state)
{
	struct shares *s = shares_new(3, 2);
	struct party *a1, *a2, *b, *c, *d;

	(void)state;
	a1 = shares_take(s, SPAN_LIT("a"));
	a2 = shares_take(s, SPAN_LIT("a"));
	assert_non_null(a2);
	assert_null(shares_take(s, SPAN_LIT("a")));
	b = shares_take(s, SPAN_LIT("b"));
	assert_non_null(b);
	shares_give(s, &a1);
	assert_non_null(a1 = shares_take(s, SPAN_LIT("a")));
	party_set_silent(b, 100);
	shares_give(s, &b);
	assert_true(shares_is_silent(s, SPAN_LIT("b"), 99));
	assert_false(shares_is_silent(s, SPAN_LIT("b"), 100));
	assert_non_null(c = shares_take(s, SPAN_LIT("c")));
	assert_non_null(d = shares_take(s, SPAN_LIT("d"))); /* the resting one is forgotten for it */
	assert_false(shares_is_silent(s, SPAN_LIT("b"), 99));
	assert_null(shares_take(s, SPAN_LIT("e"))); /* all have something under way */
	shares_free(&s);
}

/* Sessions are told apart by a number, which may have a zero among its octets. */
static void
shares_of_numbers_are_forgotten_and_kept_as_any(void **state)
{
	const struct span first = {"\1\0a", 3}, second = {"\1\0b", 3}, third = {"\1\0c", 3};
	struct shares *s = shares_new(2, 1);
	struct party *p;

	(void)state;
	p = shares_take(s, first);
	shares_give(s, &p);
	p = shares_take(s, second);
	shares_give(s, &p);
	assert_non_null(p = shares_take(s, third));
	assert_null(shares_take(s, third));
	shares_give(s, &p);
	assert_non_null(p = shares_take(s, first));
	shares_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names),
	    cmocka_unit_test(zones),
	    cmocka_unit_test(reverse_names),
	    cmocka_unit_test(lists_of_servers),
	    cmocka_unit_test(resolv_conf),
	    cmocka_unit_test(silent_servers_come_last),
	    cmocka_unit_test(hosts),
	    cmocka_unit_test(cached_answers_age_and_go),
	    cmocka_unit_test(shares_are_kept_and_silence_remembered),
	    cmocka_unit_test(shares_of_numbers_are_forgotten_and_kept_as_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
