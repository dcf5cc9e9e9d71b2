/* Where lines go: their form, rotation, and what happens when nobody takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "services/log/destination.h"

static char top[] = "/tmp/postern-log-XXXXXX";
static char path[64], rotated[64];

static const char *
content(const char *file)
{
	static char text[8192];
	int fd = open(file, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : io_read_all(fd, text, sizeof(text) - 1);

	io_close(&fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
line(struct destination *d, const char *text)
{
	/* 2024-02-03 04:05:06 UTC: a day of one digit has a blank in front */
	destination_line(d, 6, 1706933106123456, SPAN_LIT("postern/smtpd"), 123, span_of(text));
	destination_flush(d);
}

static struct destination *
to_file(const char *file)
{
	struct destination *d = destination_new();
	int fd = open(file, O_WRONLY | O_APPEND | O_CREAT, 0600);

	assert_true(fd >= 0);
	destination_to_file(d, fd);
	return d;
}

static void
lines_have_syslogs_form(void **state)
{
	struct destination *d = to_file(path);
	char host[70] = "", expected[300];

	(void)state;
	line(d, "connect from unknown[192.0.2.1]");
	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	snprintf(expected, sizeof(expected),
	    "Feb  3 04:05:06 %s postern/smtpd[123]: connect from unknown[192.0.2.1]\n", host);
	assert_string_equal(content(path), expected);
	destination_close(&d);
	unlink(path);
}

/* What was gathered before goes to the old one, what comes then to the new one: no line is lost. */
static void
another_file_takes_over(void **state)
{
	struct destination *d = to_file(path);

	(void)state;
	line(d, "one");
	destination_line(d, 6, 1706933106123456, SPAN_LIT("postern/smtpd"), 123, SPAN_LIT("two"));
	destination_to_file(d, open(rotated, O_WRONLY | O_APPEND | O_CREAT, 0600));
	line(d, "three");
	assert_non_null(strstr(content(path), "one\n"));
	assert_non_null(strstr(content(path), "two\n"));
	assert_null(strstr(content(path), "three\n"));
	assert_non_null(strstr(content(rotated), "three\n"));
	destination_close(&d);
	unlink(path);
	unlink(rotated);
}

/* Before it is known where they go. */
static void
lines_wait_for_a_place(void **state)
{
	struct destination *d = destination_new();

	(void)state;
	line(d, "early");
	destination_to_file(d, open(path, O_WRONLY | O_APPEND | O_CREAT, 0600));
	destination_flush(d);
	assert_non_null(strstr(content(path), "early\n"));
	destination_close(&d);
	unlink(path);
}

/* A full disk costs lines, never the process; how many is told when there is room again. */
static void
a_full_disk_drops(void **state)
{
	static char big[2000];
	struct destination *d = to_file("/dev/full");

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	for (int i = 0; i < 5000; i++)
		line(d, big);
	destination_close(&d);
}

/* Lines in text, those that it tells to be lost included. */
static size_t
count_lines(const char *text, size_t *lost)
{
	size_t lines = 0, told;

	for (const char *at = text; (at = strstr(at, "]: ")) != NULL; at += 3) {
		if (sscanf(at, "]: warning: %zu log lines were dropped", &told) == 1)
			*lost += told;
		else
			lines++;
	}
	return lines + *lost;
}

/* A reader that stood still, and no line after that: each line came, or is counted. */
static void
every_lost_line_is_counted(void **state)
{
	enum { LINES = 20000, ROUNDS = 3 };
	static char text[1 << 20];
	struct destination *d = destination_new();
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	destination_to_file(d, ends[1]);
	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t lost = 0, had = 0;
		bool owes;
		ssize_t n;

		for (unsigned k = 0; k < LINES; k++)
			line(d, "a line of some length, of which there are very many at once");
		do {
			owes = destination_owes(d);
			while ((n = read(ends[0], text + had, sizeof(text) - 1 - had)) > 0)
				had += (size_t)n;
			destination_flush(d);
		} while (owes);
		text[had] = '\0';
		assert_int_equal(count_lines(text, &lost), LINES);
		assert_true(lost > 0);
	}
	destination_close(&d);
	close(ends[0]);
}

static int
set_up(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	assert_non_null(mkdtemp(top));
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
	    cmocka_unit_test(lines_have_syslogs_form),
	    cmocka_unit_test(another_file_takes_over),
	    cmocka_unit_test(lines_wait_for_a_place),
	    cmocka_unit_test(a_full_disk_drops),
	    cmocka_unit_test(every_lost_line_is_counted),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
