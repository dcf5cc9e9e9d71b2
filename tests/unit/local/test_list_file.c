/* Which .forward and :include: files are believed, and what is read of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delivery/local/list_file.h"

static char top[40];

static const char *
path_of(const char *name)
{
	static char path[4][100];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", top, name);
	return path[next];
}

static int
begin(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/test_list_file.XXXXXX");
	return mkdtemp(top) && mkdir(path_of("open"), 0700) == 0 && chmod(path_of("open"), 0777) == 0 ? 0
												      : -1;
}

static int
end(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static void
put(const char *name, const char *bytes, size_t len, mode_t mode)
{
	int fd = open(path_of(name), O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* All members, "KIND TEXT;" each; or "status N TEXT". */
static const char *
read_list(enum member_list_kind kind, const char *names, const char *home, uid_t uid)
{
	static char got[1000];
	char path[4096], text[400], paths[600] = "";
	struct span rest = span_of(names), name, member;
	enum member_list_status status;
	enum alias_member what;
	struct list_file *f;
	int more;

	while (span_next_word(&rest, " ", &name))
		snprintf(
		    paths + strlen(paths), sizeof(paths) - strlen(paths), "%s/%.*s\n", top, SPAN_ARG(name));
	f = list_file_open(&(struct list_request){kind, span_of(paths), home, uid}, &status, path, text);
	if (!f) {
		snprintf(got, sizeof(got), "status %d %s", (int)status, text);
		return got;
	}
	assert_int_equal(status, LIST_READ);
	got[0] = '\0';
	while ((more = list_file_next(f, &what, &member, text)) > 0)
		snprintf(
		    got + strlen(got), sizeof(got) - strlen(got), "%d %.*s;", (int)what, SPAN_ARG(member));
	if (more < 0)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "error %s", text);
	list_file_close(&f);
	assert_null(f);
	return got;
}

static void
expect(const char *got, enum member_list_status status, const char *text)
{
	char begin_of[40];

	snprintf(begin_of, sizeof(begin_of), "status %d ", (int)status);
	if (strncmp(got, begin_of, strlen(begin_of)) != 0 || !strstr(got, text))
		fail_msg("want %s%s, got %s", begin_of, text, got);
}

static void
a_forward_is_read_as_its_owner_wrote_it(void **state)
{
	uid_t me = getuid();

	(void)state;
	put("plain", "bob, carol\n# none\n\n|cmd\n  /file", 31, 0644);
	assert_string_equal(read_list(LIST_FORWARD, "plain", top, me), "0 bob;0 carol;1 cmd;2 /file;");
	assert_string_equal(read_list(LIST_FORWARD, "none plain", top, me), "0 bob;0 carol;1 cmd;2 /file;");
	assert_string_equal(read_list(LIST_FORWARD, "plain", "", me), "0 bob;0 carol;1 cmd;2 /file;");
	put("empty", "", 0, 0600);
	assert_string_equal(read_list(LIST_FORWARD, "empty plain", top, me), "");
	put("wrong", "bob\nx@@y z\n", 11, 0600);
	assert_non_null(
	    strstr(read_list(LIST_FORWARD, "wrong", top, me), "/wrong, line 2: not an address;0 z;"));
	expect(read_list(LIST_FORWARD, "none", top, me), LIST_ABSENT, "");
	expect(read_list(LIST_FORWARD, "plain/below", top, me), LIST_ABSENT, "");
	expect(read_list(LIST_FORWARD, "plain", path_of("away"), me), LIST_TEMPORARY, "is not there");
	expect(read_list(LIST_FORWARD, "plain", path_of("plain"), me), LIST_TEMPORARY, "is not there");
}

/* The next candidate is none then: mail that was to go on must not stay behind unseen. */
static void
a_forward_that_others_may_have_written_is_refused(void **state)
{
	uid_t me = getuid();

	(void)state;
	put("good", "bob", 3, 0600);
	put("group", "bob", 3, 0620);
	put("others", "bob", 3, 0602);
	put("nul", "bob\0carol", 9, 0600);
	put("open/it", "bob", 3, 0600);
	assert_int_equal(symlink(path_of("good"), path_of("link")), 0);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	expect(read_list(LIST_FORWARD, "group good", top, me), LIST_REFUSED, "/group is writable for others");
	expect(read_list(LIST_FORWARD, "others good", top, me), LIST_REFUSED, "is writable for others");
	expect(read_list(LIST_FORWARD, "nul good", top, me), LIST_REFUSED, "has a NUL in it");
	expect(read_list(LIST_FORWARD, "open/it good", top, me), LIST_REFUSED, "everybody may write");
	expect(read_list(LIST_FORWARD, "link good", top, me), LIST_REFUSED, "is not a regular file");
	expect(read_list(LIST_FORWARD, "fifo good", top, me), LIST_REFUSED, "is not a regular file");
	assert_int_equal(chmod(path_of("open"), 01777), 0);
	assert_string_equal(read_list(LIST_FORWARD, "open/it", top, me), "0 bob;");
	assert_int_equal(truncate(path_of("good"), LIST_FORWARD_MAX + 1), 0);
	expect(read_list(LIST_FORWARD, "good", top, me), LIST_REFUSED, "is too large");
	if (me == 0) {
		put("his", "bob", 3, 0600);
		assert_int_equal(chown(path_of("his"), 12345, 12345), 0);
		expect(read_list(LIST_FORWARD, "his", top, 12346), LIST_REFUSED, "belongs to another user");
		assert_string_equal(read_list(LIST_FORWARD, "his", top, 12345), "0 bob;");
		put("roots", "bob", 3, 0600);
		assert_string_equal(read_list(LIST_FORWARD, "roots", top, 12345), "0 bob;");
	}
}

static void
an_include_may_be_long_and_shared(void **state)
{
	static char line[LIST_LINE_MAX + 100000];

	(void)state;
	put("list", "bob\ncarol\n", 10, 0664);
	assert_int_equal(symlink(path_of("list"), path_of("linked")), 0);
	assert_string_equal(read_list(LIST_INCLUDE, "linked", "", 12345), "0 bob;0 carol;");
	put("world", "bob\n", 4, 0666);
	expect(read_list(LIST_INCLUDE, "world", "", 0), LIST_TEMPORARY, "is writable for everybody");
	expect(read_list(LIST_INCLUDE, "gone", "", 0), LIST_TEMPORARY, "/gone");
	expect(read_list(LIST_INCLUDE, "open", "", 0), LIST_TEMPORARY, "");
	memset(line, 'x', sizeof(line));
	memcpy(line, "bob\n", 4);
	put("line", line, sizeof(line), 0644);
	assert_non_null(
	    strstr(read_list(LIST_INCLUDE, "line", "", 0), "/line, line 2: cannot be read, or is too long"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_forward_is_read_as_its_owner_wrote_it, begin, end),
	    cmocka_unit_test_setup_teardown(a_forward_that_others_may_have_written_is_refused, begin, end),
	    cmocka_unit_test_setup_teardown(an_include_may_be_long_and_shared, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
