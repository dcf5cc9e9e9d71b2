/*
 * What is kept of an LMDB file is of one transaction: a writer's next one, in the same file, is seen as soon as the file is looked at, and after a
 * second at the latest.
 */
#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/io.h"
#include "common/map/lmdbfile.h"
#include "common/map/mapfile.h"
#include "tests/unit/map/table_files.h"

enum { ENTRIES = 3000, FILE_MAX = 4 << 20, LINE = 40 };

static void
build(const char *name)
{
	struct complaints ignored = {.len = 0};
	const struct mapfile_options options = {
	    .form = MAPFILE_MAP, .complain = complaints_add, .context = &ignored};
	char *text = calloc(ENTRIES, LINE);
	struct error err = {0};
	size_t len = 0;

	for (int i = 0; i < ENTRIES; i++)
		len += (size_t)sprintf(text + len, "user%04d@a.test old\n", i);
	file_write(name, text, len);
	free(text);
	if (mapfile_build("lmdb", file_path(name), &options, &err) < 0)
		fail_msg("%s", err.text);
}

/* As a writer that changes the file itself does. */
static void
change_in_place(const char *name, const char *table, const char *line)
{
	struct complaints ignored = {.len = 0};
	const struct mapfile_options options = {.form = MAPFILE_MAP,
	    .complain = complaints_add,
	    .context = &ignored,
	    .duplicates = MAPFILE_REPLACE};
	char *bytes = malloc(FILE_MAX);
	struct error err = {0};
	int fd = open(file_path(table), O_RDWR | O_CLOEXEC), made;

	assert_true(fd >= 0);
	if (mapfile_add("lmdb", file_path(name), span_of(line), &options, &err) < 0)
		fail_msg("%s", err.text);
	made = open(file_path(table), O_RDONLY | O_CLOEXEC);
	ssize_t len = io_read_all(made, bytes, FILE_MAX);
	assert_true(len > 0 && len < FILE_MAX);
	assert_int_equal(io_pwrite_all(fd, bytes, (size_t)len, 0), 0);
	assert_int_equal(ftruncate(fd, len), 0);
	(void)io_close(&made);
	(void)io_close(&fd);
	free(bytes);
}

static const char *
find(struct lmdbfile *f, const char *key)
{
	static char answer[sizeof(((struct error *)0)->text)];
	struct error err = {0};
	struct buf value;
	char with_nul[LINE];

	buf_init(&value, MAP_VALUE_MAX);
	(void)snprintf(with_nul, sizeof(with_nul), "%s", key);
	switch (lmdbfile_find(f, span_make(with_nul, strlen(with_nul) + 1), &value, &err)) {
	case 1:
		(void)snprintf(answer, sizeof(answer), "%.*s", SPAN_ARG(buf_span(&value)));
		break;
	case 0:
		(void)snprintf(answer, sizeof(answer), "not found");
		break;
	default:
		(void)snprintf(answer, sizeof(answer), "%s", err.text);
	}
	buf_free(&value);
	return answer;
}

static void
test_one_transaction(void **state)
{
	struct lmdbfile *f;
	char key[LINE];

	(void)state;
#ifndef HAVE_LMDB
	skip();
#endif
	build("table");
	f = lmdbfile_open(open(file_path("table.lmdb"), O_RDONLY | O_CLOEXEC), "table", 16 << 20);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < ENTRIES; i += 30) {
			(void)snprintf(key, sizeof(key), "user%04d@a.test", i);
			assert_string_equal(find(f, key), "old");
		}
		assert_string_equal(find(f, "user0000@a.tes"), "not found");
	}
	change_in_place("table", "table.lmdb", "user0000@a.test new\n");
	/* Kept, and not looked at again: that is so for a second. */
	assert_string_equal(find(f, "user0000@a.test"), "old");
	usleep(1050 * 1000);
	assert_string_equal(find(f, "user0000@a.test"), "new");
	assert_string_equal(find(f, "user2999@a.test"), "old");
	lmdbfile_close(&f);
}

static void
test_what_is_not_kept_is_a_look_at_the_file(void **state)
{
	struct lmdbfile *f;

	(void)state;
#ifndef HAVE_LMDB
	skip();
#endif
	build("other");
	f = lmdbfile_open(open(file_path("other.lmdb"), O_RDONLY | O_CLOEXEC), "other", 16 << 20);
	assert_string_equal(find(f, "user0000@a.test"), "old");
	change_in_place("other", "other.lmdb", "user0000@a.test new\n");
	assert_string_equal(find(f, "user2999@a.test"), "old");
	assert_string_equal(find(f, "user0000@a.test"), "new");
	lmdbfile_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_transaction),
	    cmocka_unit_test(test_what_is_not_kept_is_a_look_at_the_file),
	};
	return cmocka_run_group_tests(tests, files_begin, files_end);
}
