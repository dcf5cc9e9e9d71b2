/* The way of a recipient: which address delivery goes on under, which lines stand in front. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mail/way.h"

static const struct {
	const char *name, *way, *open, *behind, *fields;
} rows[] = {
    {"none", "", "", "", ""},
    {"an address that has its line", "a@x", "", "a@x", "Delivered-To: a@x\n"},
    {"one that gets it later", "a@x\n", "a@x", "", ""},
    {"two with lines, the latest first", "a@x\nb@x", "", "a@x\nb@x",
	"Delivered-To: b@x\nDelivered-To: a@x\n"},
    {"the last one open", "a@x\nb@x\n", "b@x", "a@x", "Delivered-To: a@x\n"},
    {"two behind the open one", "a@x\nb@x\nc@x\n", "c@x", "a@x\nb@x",
	"Delivered-To: b@x\nDelivered-To: a@x\n"},
    {"nothing but an end", "\n", "", "", ""},
};

static void
test_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span way = span_of(rows[i].way);
		struct buf out;

		print_message("%s\n", rows[i].name);
		buf_init(&out, 1000);
		assert_true(span_is(way_open_address(way), rows[i].open));
		assert_true(span_is(way_behind(way), rows[i].behind));
		way_put(&out, way_behind(way), "\n");
		assert_true(span_is(buf_span(&out), rows[i].fields));
		buf_free(&out);
	}
}

static void
test_membership(void **state)
{
	(void)state;
	assert_true(way_has(SPAN_LIT("a@x\nb@x\n"), SPAN_LIT("B@X")));
	assert_true(way_has(SPAN_LIT("a@x\nb@x"), SPAN_LIT("a@x")));
	assert_false(way_has(SPAN_LIT("a@x\nb@x\n"), SPAN_LIT("b@")));
	assert_false(way_has(SPAN_LIT(""), SPAN_LIT("a@x")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_membership),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
