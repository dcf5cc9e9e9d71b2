#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/net/address.h"

static void
test_forms(void **state)
{
	static const struct {
		const char *text, *formatted; /* NULL: not an address */
	} rows[] = {
	    {"192.0.2.1", "192.0.2.1"},
	    {"[192.0.2.1]", "192.0.2.1"},
	    {"2001:DB8::0:1", "2001:db8::1"},
	    {"[::1]", "::1"},
	    {"::ffff:192.0.2.1", "192.0.2.1"}, /* mapped: the same client */
	    {"192.0.2", NULL},
	    {"192.0.2.256", NULL},
	    {"[192.0.2.1", NULL},
	    {"", NULL},
	    {"[]", NULL},
	    {"localhost", NULL},
	    {"1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333:4444:5555", NULL},
	};
	struct net_address a;
	char text[NET_ADDRESS_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = net_address_parse(span_of(rows[i].text), &a);

		assert_int_equal(r, rows[i].formatted ? 0 : -1);
		if (rows[i].formatted)
			assert_string_equal(net_address_format(&a, text), rows[i].formatted);
	}
}

static void
test_socket_addresses(void **state)
{
	struct sockaddr_storage storage;
	struct net_address a, b;
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(2525)};

	(void)state;
	assert_int_equal(net_address_parse(SPAN_LIT("192.0.2.9"), &a), 0);
	a.port = 25;
	assert_int_equal(net_address_to_sockaddr(&a, &storage), sizeof(struct sockaddr_in));
	net_address_of_sockaddr(&storage, &b);
	assert_true(net_address_equal(&a, &b));
	assert_int_equal(b.port, 25);

	/* A dual-stack socket gives IPv4 clients so. */
	memcpy(v6.sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x09", 16);
	memset(&storage, 0, sizeof(storage));
	memcpy(&storage, &v6, sizeof(v6));
	net_address_of_sockaddr(&storage, &b);
	assert_true(net_address_equal(&a, &b));
	assert_int_equal(b.port, 2525);

	memset(&storage, 0, sizeof(storage));
	storage.ss_family = AF_UNIX;
	net_address_of_sockaddr(&storage, &b);
	assert_int_equal(b.family, AF_UNIX);
}

static void
test_networks(void **state)
{
	static const struct {
		const char *list, *address;
		int expected; /* -1: the list is refused */
	} rows[] = {
	    {"127.0.0.0/8", "127.3.4.5", 1},
	    {"127.0.0.0/8", "128.0.0.1", 0},
	    {"127.0.0.0/8 [::1]/128", "::1", 1},
	    {"127.0.0.0/8, [::1]/128", "::2", 0},
	    {"127.0.0.0/8", "::ffff:127.0.0.1", 1},
	    {"::ffff:127.0.0.0/104", "127.0.0.1", 1},
	    {"!192.0.2.3 192.0.2.0/24", "192.0.2.3", 0}, /* the first match decides */
	    {"!192.0.2.3 192.0.2.0/24", "192.0.2.4", 1},
	    {"192.0.2.0/24 !192.0.2.3", "192.0.2.3", 1},
	    {"0.0.0.0/0", "203.0.113.7", 1},
	    {"0.0.0.0/0", "2001:db8::1", 0}, /* families do not mix */
	    {"[::]/0", "203.0.113.7", 0},
	    {"10.0.0.0/15", "10.2.0.0", 0},
	    {"10.0.0.0/15", "10.1.255.255", 1},
	    {"[2001:db8::]/33", "2001:db8:7fff::1", 1},
	    {"[2001:db8::]/33", "2001:db8:8000::1", 0},
	    {"", "127.0.0.1", 0},
	    {"10.1.0.0/8", "10.1.0.0", -1},
	    {"10.0.0.0/33", "10.0.0.0", -1},
	    {"10.0.0.0/", "10.0.0.0", -1},
	    {"127.0.0.1 host.example", "127.0.0.1", -1},
	    {"/etc/postern/networks", "127.0.0.1", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err;
		struct net_address a;
		struct net_list *list = net_list_parse(span_of(rows[i].list), &err);

		assert_int_equal(net_address_parse(span_of(rows[i].address), &a), 0);
		if (rows[i].expected < 0)
			assert_null(list);
		else {
			assert_non_null(list);
			if (net_list_has(list, &a) != rows[i].expected)
				fail_msg("%s in \"%s\"", rows[i].address, rows[i].list);
		}
		net_list_free(&list);
	}
}

static void
test_host_and_port(void **state)
{
	struct error err;
	struct span host;
	uint16_t port;

	(void)state;
	assert_int_equal(net_split_host_port(SPAN_LIT("[::1]:2525"), &host, &port, &err), 0);
	assert_true(span_is(host, "::1"));
	assert_int_equal(port, 2525);
	assert_int_equal(net_split_host_port(SPAN_LIT(":submission"), &host, &port, &err), 0);
	assert_int_equal(host.len, 0);
	assert_int_equal(port, 587);
	assert_int_equal(net_split_host_port(SPAN_LIT("127.0.0.1:0"), &host, &port, &err), -1);
	assert_int_equal(net_split_host_port(SPAN_LIT("127.0.0.1"), &host, &port, &err), -1);
	assert_int_equal(net_split_host_port(SPAN_LIT("[::1:25"), &host, &port, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_socket_addresses),
	    cmocka_unit_test(test_networks),
	    cmocka_unit_test(test_host_and_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
