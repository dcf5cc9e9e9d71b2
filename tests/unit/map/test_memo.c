/* Within one question a table is asked for a key once, and says the same whether it is asked or remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/map/map.h"
#include "common/map/memo.h"

static unsigned asked, troubled;

/* Each search that reaches the table tells how it went. */
static void
count(const char *table, const char *trouble, void *context)
{
	(void)table;
	(void)context;
	asked++;
	troubled += trouble != NULL;
}

static uint64_t question;
static const struct map_options options = {.state = count, .question = &question};

static void
check_value(struct map *m, const char *key, const char *want)
{
	struct map_found found;

	map_found_init(&found);
	enum lookup_status status = map_lookup(m, span_of(key), false, &found);
	assert_int_equal(status, want != NULL ? LOOKUP_FOUND : LOOKUP_NOT_FOUND);
	if (want != NULL) {
		assert_true(span_is(buf_span(&found.value), want));
		assert_true(span_is_nocase(buf_span(&found.key), key));
		assert_string_equal(found.table, map_name(m));
	}
	map_found_free(&found);
}

static void
asked_once(void **state)
{
	struct map *m = map_open("inline:{ A=one, b=two }", &options);

	(void)state;
	asked = 0;
	for (question = 1; question <= 3; question++) {
		for (unsigned again = 0; again < 2; again++) {
			check_value(m, "a", "one");
			check_value(m, "A", "one");
			check_value(m, "b", "two");
			check_value(m, "ab", NULL);
		}
		assert_int_equal(asked, 3 * question);
	}
	map_close(&m);
}

static void
always_asked_without_a_question(void **state)
{
	const struct map_options plain = {.state = count};
	struct map *m = map_open("inline:{a=one}", &plain);

	(void)state;
	asked = 0;
	check_value(m, "a", "one");
	check_value(m, "a", "one");
	assert_int_equal(asked, 2);
	map_close(&m);
}

static void
trouble_is_not_remembered(void **state)
{
	struct map *m = map_open("fail:x", &options);
	struct map_found found;

	(void)state;
	map_found_init(&found);
	asked = troubled = 0;
	question = 1;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_TEMPORARY);
	assert_int_equal(troubled, 2);
	map_found_free(&found);
	map_close(&m);
}

/* What a pattern made of the key is said to be that the second time, too (catalogue H10). */
static void
patterns_stay_suspect(void **state)
{
	struct map *m = map_open("regexp:{ {/^(.*)$/ x $1} }", &options);
	struct map_found found;

	(void)state;
	map_found_init(&found);
	question = 1;
	asked = 0;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(map_lookup(m, SPAN_LIT("a, b"), true, &found), LOOKUP_NOT_FOUND);
		assert_int_equal(map_lookup(m, SPAN_LIT("a, b"), false, &found), LOOKUP_FOUND);
		assert_true(span_is(buf_span(&found.value), "x a, b"));
		assert_true(found.substituted && found.loose);
		assert_int_equal(found.line, 1);
	}
	assert_int_equal(asked, 1);
	map_found_free(&found);
	map_close(&m);
}

/* More keys, and longer ones, than there is room for: those are asked again, and nothing is taken for another. */
static void
bounds(void **state)
{
	static char longest[MEMO_BYTES + 1];
	struct memo m;
	char key[16];

	(void)state;
	memset(longest, 'v', sizeof(longest));
	memo_init(&m);
	for (uint64_t n = 1; n <= 2; n++) {
		const struct memo_entry found = {.found = true};
		assert_null(memo_find(&m, n, SPAN_LIT("long"), false));
		memo_keep(&m, found, SPAN_LIT("long"), span_make(longest, MEMO_BYTES - 3));
		assert_null(memo_find(&m, n, SPAN_LIT("long"), false));
		for (unsigned i = 0; i < 2 * MEMO_ENTRIES; i++) {
			(void)snprintf(key, sizeof(key), "key%u", i);
			assert_null(memo_find(&m, n, span_of(key), i % 2));
			memo_keep(&m, (struct memo_entry){.found = true, .partial = i % 2, .line = i},
			    span_of(key), span_of(key + 3));
			const struct memo_entry *e = memo_find(&m, n, span_of(key), i % 2);
			assert_int_equal(e != NULL, i < MEMO_ENTRIES);
			assert_null(memo_find(&m, n, span_of(key), !(i % 2)));
			if (e == NULL)
				continue;
			assert_int_equal(e->line, i);
			assert_true(span_is(memo_value(&m, e), key + 3));
		}
	}
	memo_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(asked_once),
	    cmocka_unit_test(always_asked_without_a_question),
	    cmocka_unit_test(trouble_is_not_remembered),
	    cmocka_unit_test(patterns_stay_suspect),
	    cmocka_unit_test(bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
