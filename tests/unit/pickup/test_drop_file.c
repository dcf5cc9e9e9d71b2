/* Files of the drop directory: what counts as a message, and what never does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "services/pickup/drop_file.h"

static char folder[] = "/tmp/test-drop-XXXXXX";
static int folder_fd;

static const struct {
	const char *why, *text;
	enum drop_file_status status;
} rows[] = {
    {"a message", "postern-drop 1\nsize 3\nsender joe\nrcpt a@b\n\nx\ny", DROP_FILE_OK},
    {"nothing in it", "", DROP_FILE_BAD},
    {"not ours", "hello\n\n", DROP_FILE_BAD},
    {"of a later version", "postern-drop 2\nsize 0\nrcpt a\n\n", DROP_FILE_BAD},
    {"no recipients", "postern-drop 1\nsize 1\nsender joe\n\nx", DROP_FILE_BAD},
    {"cut in the content", "postern-drop 1\nsize 3\nrcpt a@b\n\nx", DROP_FILE_BAD},
    {"more than it says", "postern-drop 1\nsize 3\nrcpt a@b\n\nx\ny\n", DROP_FILE_BAD},
    {"cut in the envelope", "postern-drop 1\nsize 3\nrcpt a@b\n", DROP_FILE_BAD},
    {"cut in a line", "postern-drop 1\nsize 3\nrcpt a", DROP_FILE_BAD},
    {"size is no number", "postern-drop 1\nsize -3\nrcpt a\n\n", DROP_FILE_BAD},
    {"a huge size", "postern-drop 1\nsize 18446744073709551615\nrcpt a\n\n", DROP_FILE_BAD},
    {"two senders", "postern-drop 1\nsize 0\nsender a\nsender b\nrcpt a\n\n", DROP_FILE_BAD},
    {"a control character", "postern-drop 1\nsize 0\nsender a\rb\nrcpt a\n\n", DROP_FILE_BAD},
    {"an unknown line", "postern-drop 1\nsize 0\nexec a\nrcpt a\n\n", DROP_FILE_BAD},
    {"an empty recipient", "postern-drop 1\nsize 0\nrcpt \n\n", DROP_FILE_BAD},
    {"notify out of range", "postern-drop 1\nsize 0\nnotify 16\nrcpt a\n\n", DROP_FILE_BAD},
};

static void
write_file(const char *name, const char *text, mode_t mode)
{
	int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	fchmod(fd, mode);
	close(fd);
}

static enum drop_file_status
try_open(const char *name)
{
	struct arena *a = arena_new(1 << 20);
	struct drop_file f;
	struct error err;
	enum drop_file_status status = drop_file_open(&f, folder_fd, name, a, &err);

	if (status == DROP_FILE_OK)
		drop_file_close(&f);
	arena_free(&a);
	return status;
}

static void
files_are_taken_or_set_aside(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file("m", rows[i].text, 0700);
		if (try_open("m") != rows[i].status)
			fail_msg("%s", rows[i].why);
		unlinkat(folder_fd, "m", 0);
	}
}

static void
a_message_is_read_as_it_was_written(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct drop_file f;
	struct error err;
	char bytes[10];

	(void)state;
	write_file("m",
	    "postern-drop 1\nsize 3\nflags 6\nnotify 5\nsender \nname J D\nenvid e\nrcpt a@b\nrcpt \"c "
	    "d\"@e\n\nx\ny",
	    0740);
	assert_int_equal(drop_file_open(&f, folder_fd, "m", a, &err), DROP_FILE_OK);
	assert_int_equal(f.uid, getuid());
	assert_int_equal(f.envelope.flags, 6);
	assert_int_equal(f.envelope.notify, 5);
	assert_int_equal(f.envelope.recipients, 2);
	assert_true(f.envelope.sender.ptr != NULL && f.envelope.sender.len == 0);
	assert_true(span_is(f.envelope.full_name, "J D"));
	assert_true(span_is(f.envelope.first->next->address, "\"c d\"@e"));
	assert_int_equal(drop_file_read(&f, bytes, 2), 2);
	assert_int_equal(drop_file_read(&f, bytes, 10), 1);
	assert_int_equal(drop_file_read(&f, bytes, 10), 0);
	drop_file_close(&f);
	unlinkat(folder_fd, "m", 0);
	arena_free(&a);
}

static void
what_is_no_plain_ready_file_of_one_name_is_refused(void **state)
{
	(void)state;
	write_file("m", rows[0].text, 0600);
	assert_int_equal(try_open("m"), DROP_FILE_NOT_READY);
	write_file("m", rows[0].text, 0700);
	assert_int_equal(linkat(folder_fd, "m", folder_fd, "second", 0), 0);
	assert_int_equal(try_open("m"), DROP_FILE_BAD);
	unlinkat(folder_fd, "second", 0);
	assert_int_equal(try_open("m"), DROP_FILE_OK);
	assert_int_equal(symlinkat("m", folder_fd, "link"), 0);
	assert_int_equal(try_open("link"), DROP_FILE_BAD);
	assert_int_equal(mkfifoat(folder_fd, "fifo", 0700), 0);
	assert_int_equal(try_open("fifo"), DROP_FILE_BAD);
	assert_int_equal(mkdirat(folder_fd, "dir", 0700), 0);
	assert_int_equal(try_open("dir"), DROP_FILE_BAD);
	assert_int_equal(try_open("gone"), DROP_FILE_NOT_READY);
	unlinkat(folder_fd, "m", 0);
	unlinkat(folder_fd, "link", 0);
	unlinkat(folder_fd, "fifo", 0);
	unlinkat(folder_fd, "dir", AT_REMOVEDIR);
}

static void
what_becomes_part_of_a_line_is_plain(void **state)
{
	static const char *const bad[] = {"tag a/b", "tag a b", "tag ", "protocol a b", "protocol :host",
	    "protocol a(b)", "hops -1", "hops 10001", "hops x"};
	struct arena *a = arena_new(1 << 20);
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct drop_envelope e;

		drop_envelope_init(&e, a);
		assert_int_equal(drop_envelope_line(&e, SPAN_LIT("postern-drop 1"), &err), 0);
		assert_int_equal(drop_envelope_line(&e, span_of(bad[i]), &err), -1);
	}
	arena_free(&a);
}

static void
an_envelope_is_written_and_read_again(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct drop_envelope e, again;
	struct span rest, line;
	struct error err;
	struct buf out;
	int result = 0;

	(void)state;
	drop_envelope_init(&e, a);
	drop_envelope_init(&again, a);
	buf_init(&out, 10000);
	e.size = 7;
	e.flags = 3;
	e.sender = SPAN_LIT("joe@x");
	e.tag = SPAN_LIT("night.ly");
	e.protocol = SPAN_LIT("UUCP:far");
	e.hops = 3;
	assert_int_equal(drop_envelope_dsn(&e, 1, SPAN_LIT(""), &err), -1); /* of whom? */
	assert_int_equal(drop_envelope_add(&e, SPAN_LIT("a@b"), &err), 0);
	assert_int_equal(drop_envelope_add(&e, SPAN_LIT("a\n@b"), &err), -1);
	assert_int_equal(drop_envelope_add(&e, SPAN_LIT("c@d"), &err), 0);
	assert_int_equal(drop_envelope_dsn(&e, 16, SPAN_LIT(""), &err), -1);
	assert_int_equal(drop_envelope_dsn(&e, 1, SPAN_LIT("rfc822;c\nrcpt evil@x"), &err), -1);
	assert_int_equal(drop_envelope_dsn(&e, 6, SPAN_LIT("rfc822;c c@x"), &err), 0);
	assert_int_equal(drop_envelope_add(&e, SPAN_LIT("e@f"), &err), 0);
	assert_int_equal(drop_envelope_dsn(&e, 1, SPAN_LIT(""), &err), 0);
	assert_int_equal(drop_envelope_format(&e, &out, &err), 0);
	rest = buf_span(&out);
	while (result == 0 && span_next_line(&rest, &line))
		result = drop_envelope_line(&again, line, &err);
	assert_int_equal(result, 1);
	assert_true(again.size == 7 && again.flags == 3 && span_is(again.sender, "joe@x"));
	assert_true(span_is(again.tag, "night.ly") && span_is(again.protocol, "UUCP:far") && again.hops == 3);
	assert_true(again.recipients == 3 && span_is(again.first->address, "a@b"));
	assert_true(again.first->notify == 0 && again.first->orcpt.len == 0);
	assert_true(again.first->next->notify == 6 && span_is(again.first->next->orcpt, "rfc822;c c@x"));
	assert_true(again.first->next->next->notify == 1 && again.first->next->next->orcpt.len == 0);
	assert_int_equal(drop_envelope_line(&again, SPAN_LIT("dsn 99"), &err), -1);
	assert_int_equal(drop_envelope_line(&again, SPAN_LIT("dsn "), &err), -1);
	e.full_name = SPAN_LIT("a\nrcpt evil@x");
	assert_int_equal(drop_envelope_format(&e, &out, &err), -1);
	buf_free(&out);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_taken_or_set_aside),
	    cmocka_unit_test(a_message_is_read_as_it_was_written),
	    cmocka_unit_test(what_is_no_plain_ready_file_of_one_name_is_refused),
	    cmocka_unit_test(an_envelope_is_written_and_read_again),
	    cmocka_unit_test(what_becomes_part_of_a_line_is_plain),
	};
	int failed;

	if (mkdtemp(folder) == NULL)
		return 99;
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
