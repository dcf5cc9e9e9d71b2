/* "listen = ..." taken apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "services/master/address.h"

static void
addresses(void **state)
{
	static const struct {
		const char *word, *protocols;
		const char *first, *second; /* first NULL: an error */
	} rows[] = {
	    {"127.0.0.1:2525", "all", "127.0.0.1:2525", NULL},
	    {"127.0.0.1", "all", "127.0.0.1:25", NULL},
	    {"127.0.0.1:smtp", "all", "127.0.0.1:25", NULL},
	    {"127.0.0.1:Ours", "all", "127.0.0.1:2526", NULL},
	    {"127.0.0.1:theirs", "all", "127.0.0.1:2526", NULL},
	    {"[::1]:2525", "all", "[::1]:2525", NULL},
	    {"[::1]", "all", "[::1]:25", NULL},
	    {"::1", "all", "[::1]:25", NULL},
	    {"[IPv6:2001:db8::1]:25", "all", "[2001:db8::1]:25", NULL},
	    {":587", "all", "0.0.0.0:587", "[::]:587"},
	    {"*:587", "all", "0.0.0.0:587", "[::]:587"},
	    {":587", "ipv4", "0.0.0.0:587", NULL},
	    {":587", "ipv6", "[::]:587", NULL},
	    {"localhost:25", "ipv4, ipv6", "127.0.0.1:25", "[::1]:25"},
	    {"0.0.0.0:25", "all", "0.0.0.0:25", NULL},
	    {"127.0.0.1:0", "all", NULL, NULL},
	    {"127.0.0.1:65536", "all", NULL, NULL},
	    {"127.0.0.1:", "all", NULL, NULL},
	    {"127.0.0.1:nonsense", "all", NULL, NULL},
	    {"127.0.0.256:25", "all", NULL, NULL},
	    {"[::1", "all", NULL, NULL},
	    {"[::1]25", "all", NULL, NULL},
	    {"[]:25", "all", "0.0.0.0:25", "[::]:25"},
	    {"no-such-host.invalid:25", "all", NULL, NULL},
	    {"no such host:25", "all", NULL, NULL},
	    {"ip4-only..:25", "all", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct conf_values v = {
		    .inet_protocols = rows[i].protocols, .known_tcp_ports = "smtp=25, ours=theirs=2526"};
		struct listen_address list[LISTEN_ADDRESSES_MAX];
		struct error err;
		int count = listen_address_parse(span_of(rows[i].word), &v, "/no/such", list, &err);
		int expected = rows[i].first == NULL ? -1 : rows[i].second == NULL ? 1 : 2;

		if (count != expected)
			fail_msg("%s: %d instead of %d", rows[i].word, count, expected);
		if (count > 0)
			assert_string_equal(list[0].text, rows[i].first);
		if (count > 1)
			assert_string_equal(list[1].text, rows[i].second);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(addresses)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
