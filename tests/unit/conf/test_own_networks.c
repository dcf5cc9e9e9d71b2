/* The networks of interfaces, as mynetworks_style turns them into mynetworks. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf/own_networks.h"

/* NULL for no text. */
static const struct sockaddr *
address_of(const char *text, struct sockaddr_storage *ss)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (text == NULL)
		return NULL;
	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		memcpy(ss, &in, sizeof(in));
	else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
		memcpy(ss, &in6, sizeof(in6));
	else
		memset(ss, 0, sizeof(*ss));
	return (const struct sockaddr *)ss;
}

static void
networks(void **state)
{
	static const struct {
		const char *address, *mask;
		bool class;
		const char *want;
	} rows[] = {
	    {"192.0.2.77", "255.255.255.0", false, "192.0.2.0/24"},
	    {"192.0.2.77", "255.255.255.192", false, "192.0.2.64/26"},
	    {"192.0.2.77", "255.255.255.254", false, "192.0.2.76/31"},
	    {"192.0.2.77", "255.255.255.255", false, "192.0.2.77/32"},
	    {"192.0.2.77", NULL, false, "192.0.2.77/32"},
	    {"192.0.2.77", "255.0.255.0", false, "192.0.0.0/8"}, /* no mask: what is certain of it */
	    {"192.0.2.77", "0.0.0.0", false, "192.0.2.77/32"},
	    {"2001:db8::9", "::", false, "[2001:db8::9]/128"},
	    {"192.0.2.77", "ffff::", false, "192.0.2.77/32"}, /* of another family */
	    {"10.1.2.3", "255.255.255.0", true, "10.0.0.0/8"},
	    {"172.16.5.4", "255.255.255.0", true, "172.16.0.0/16"},
	    {"192.0.2.77", "255.255.255.240", true, "192.0.2.0/24"},
	    {"240.0.0.1", "255.0.0.0", true, "240.0.0.1/32"},
	    {"2001:db8:1:2::9", "ffff:ffff:ffff:ffff::", false, "[2001:db8:1:2::]/64"},
	    {"2001:db8:1:2::9", "ffff:ffff:ffff:ffff::", true, "[2001:db8:1:2::]/64"},
	    {"2001:db8::9", NULL, false, "[2001:db8::9]/128"},
	};
	struct sockaddr_storage address, mask;
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_init(&out, 1000);
		assert_true(own_networks_add(&out, address_of(rows[i].address, &address),
		    address_of(rows[i].mask, &mask), rows[i].class));
		assert_string_equal(buf_text(&out), rows[i].want);
		buf_free(&out);
	}
}

static void
once_each_and_no_others(void **state)
{
	struct sockaddr_storage address, mask;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_true(own_networks_add(
	    &out, address_of("192.0.2.1", &address), address_of("255.255.255.0", &mask), false));
	assert_false(own_networks_add(
	    &out, address_of("192.0.2.2", &address), address_of("255.255.255.0", &mask), false));
	assert_true(own_networks_add(
	    &out, address_of("192.0.2.2", &address), address_of("255.255.255.252", &mask), false));
	assert_false(own_networks_add(&out, address_of("nonsense", &address), NULL, false));
	assert_false(own_networks_add(&out, NULL, NULL, false));
	assert_string_equal(buf_text(&out), "192.0.2.0/24 192.0.2.0/30");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(networks),
	    cmocka_unit_test(once_each_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
