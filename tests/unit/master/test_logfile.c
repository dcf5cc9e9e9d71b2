/* What master opens as the log file, and when it opens it anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/master/logfile.h"

static char top[] = "/tmp/postern-logfile-XXXXXX";
static char path[64], rotated[64];

static void
a_file_is_made_for_few(void **state)
{
	struct error err;
	struct stat st;
	int fd = logfile_open(path, &err);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07137, 0);
	close(fd);
	unlink(path);
}

static void
rotation_is_noticed(void **state)
{
	struct error err;
	int fd = logfile_open(path, &err), other;

	(void)state;
	assert_true(logfile_is_in_place(path, fd));
	assert_int_equal(rename(path, rotated), 0);
	assert_false(logfile_is_in_place(path, fd));
	other = logfile_open(path, &err);
	assert_false(logfile_is_in_place(path, fd));
	assert_true(logfile_is_in_place(path, other));
	close(other);
	close(fd);
	unlink(path);
	unlink(rotated);
}

static void
what_is_no_file_is_refused(void **state)
{
	static const char *const rows[] = {"relative", "/no/such/directory/file", "/tmp/", "/", "/tmp"};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(logfile_open(rows[i], &err), -1);
}

/* A link could make master append to any file; a pipe that nobody reads would stop it. */
static void
links_and_pipes_are_refused(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(logfile_open(path, &err), -1);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(logfile_open(path, &err), -1);
	unlink(path);
}

static int
set_up(void **state)
{
	(void)state;
	umask(022);
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/maillog", top);
	snprintf(rotated, sizeof(rotated), "%s/maillog.1", top);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return rmdir(top);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_is_made_for_few),
	    cmocka_unit_test(rotation_is_noticed),
	    cmocka_unit_test(what_is_no_file_is_refused),
	    cmocka_unit_test(links_and_pipes_are_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
