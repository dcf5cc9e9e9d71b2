/*
 * Unit tests of base64: RFC 4648, section 10, and what a decoder must not take.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/base64.h"

static const struct {
	const char *name, *plain, *text;
} both_ways[] = {
    {"nothing", "", ""},
    {"one octet", "f", "Zg=="},
    {"two octets", "fo", "Zm8="},
    {"three octets", "foo", "Zm9v"},
    {"four octets", "foob", "Zm9vYg=="},
    {"the last letters of the alphabet", "\xff\xef\xbe\xfb",
	"/+++"
	"+w=="},
};

static const struct {
	const char *name, *text;
} wrong[] = {
    {"length 1 mod 4", "Z"},
    {"length 2 mod 4", "Zg"},
    {"length 3 mod 4", "Zm8"},
    {"padding alone", "===="},
    {"one sign of padding alone", "="},
    {"padding in the middle", "Zg==Zg=="},
    {"padding inside a group", "Z=g="},
    {"three signs of padding", "Z==="},
    {"bits behind the only octet", "Zh=="},
    {"bits behind two octets", "Zm9="},
    {"a blank", "Zm9 "},
    {"the URL alphabet", "Zm-_"},
    {"8 bit", "Zm9\xff"},
    {"a line end", "Zm9v\r\n\r\n"},
};

static void
test_both_ways(void **state)
{
	char room[64];

	(void)state;
	for (size_t i = 0; i < sizeof(both_ways) / sizeof(both_ways[0]); i++) {
		struct span plain = span_of(both_ways[i].plain), text = span_of(both_ways[i].text);

		assert_int_equal(base64_encode(plain, room), BASE64_SIZE(plain.len));
		assert_string_equal(room, both_ways[i].text);
		assert_int_equal(base64_decode(text, room), plain.len);
		assert_memory_equal(room, plain.ptr, plain.len);
	}
}

static void
test_wrong(void **state)
{
	char room[64];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (base64_decode(span_of(wrong[i].text), room) != -1)
			fail_msg("%s was taken", wrong[i].name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_ways), cmocka_unit_test(test_wrong)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
