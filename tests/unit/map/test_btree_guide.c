/*
 * Large btrees answer as hashes of the same entries do, whatever their keys have in common: nothing, all but the end, more than eight octets
 * behind that, one key the beginning of the next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/map/mapfile.h"
#include "tests/unit/map/table_files.h"

enum { ENTRIES = 6000, KEY_MAX = 300 };

typedef void key_make(unsigned i, char *key);

static void
alike_but_the_end(unsigned i, char *key)
{
	(void)snprintf(key, KEY_MAX, "a-long-beginning-that-all-have-%u@example.test", i);
}

static void
all_different(unsigned i, char *key)
{
	(void)snprintf(key, KEY_MAX, "%x", i * 2654435761u);
}

/* Behind what all share eight octets are the same for hundreds. */
static void
alike_for_long(unsigned i, char *key)
{
	(void)snprintf(key, KEY_MAX, "%u-the-same-for-hundreds-%u", i / 500, i);
}

/* "x", "xx", ...: 200 keys that begin like the next, for each of thirty letters. */
static void
one_begins_the_next(unsigned i, char *key)
{
	size_t len = i % 200 + 1;

	memset(key, "abcdefghijklmnopqrstuvwxyz0123"[i / 200], len);
	key[len] = '\0';
}

static key_make *const makers[] = {alike_but_the_end, all_different, alike_for_long, one_begins_the_next};

static void
build(const char *type, key_make *make)
{
	struct complaints ignored = {.len = 0};
	const struct mapfile_options options = {
	    .form = MAPFILE_MAP, .complain = complaints_add, .context = &ignored};
	struct error err = {0};
	char key[KEY_MAX];
	struct buf text;

	buf_init(&text, 16 << 20);
	for (unsigned i = 0; i < ENTRIES; i++) {
		make(i, key);
		(void)buf_printf(&text, "%s value%u\n", key, i);
	}
	file_write(type, buf_ptr(&text), text.len);
	buf_free(&text);
	if (mapfile_build(type, file_path(type), &options, &err) < 0)
		fail_msg("%s", err.text);
}

static enum lookup_status
ask(struct map *m, const char *key, char *answer, size_t size)
{
	struct map_found found;

	map_found_init(&found);
	enum lookup_status got = map_lookup(m, span_of(key), false, &found);
	(void)snprintf(answer, size, "%.*s", SPAN_ARG(buf_span(&found.value)));
	map_found_free(&found);
	return got;
}

static void
check_alike(struct map *tables[2], const char *key)
{
	char answers[2][32];

	assert_int_equal(ask(tables[0], key, answers[0], sizeof(answers[0])),
	    ask(tables[1], key, answers[1], sizeof(answers[1])));
	assert_string_equal(answers[0], answers[1]);
}

/* The key itself, and what comes right before and behind it. */
static void
check_around(struct map *tables[2], unsigned i, char *key)
{
	char want[32], answer[32];
	size_t len = strlen(key);

	(void)snprintf(want, sizeof(want), "value%u", i);
	assert_int_equal(ask(tables[0], key, answer, sizeof(answer)), LOOKUP_FOUND);
	assert_string_equal(answer, want);
	memcpy(key + len, "!", 2);
	check_alike(tables, key);
	memcpy(key + len, "~", 2);
	check_alike(tables, key);
	if (len > 1) {
		key[len - 1] = '\0';
		check_alike(tables, key);
	}
}

static void
answers_like_a_hash(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(makers) / sizeof(makers[0]); n++) {
		const struct map_options options = {
		    .complain = complaints_add, .context = &(struct complaints){.len = 0}};
		char key[KEY_MAX];

		struct map *tables[2];

		build("hash", makers[n]);
		build("btree", makers[n]);
		tables[0] = map_open(table_name("btree", "btree"), &options);
		tables[1] = map_open(table_name("hash", "hash"), &options);
		for (unsigned i = 0; i < ENTRIES; i++) {
			makers[n](i, key);
			check_around(tables, i, key);
		}
		check_alike(tables, "\x01");
		check_alike(tables, "a");
		check_alike(tables, "~~");
		map_close(&tables[0]);
		map_close(&tables[1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(answers_like_a_hash)};

	return cmocka_run_group_tests(tests, files_begin, files_end);
}
