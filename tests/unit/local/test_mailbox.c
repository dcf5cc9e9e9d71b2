/* Letters and the mailboxes that they go into. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "delivery/local/mailbox.h"
#include "delivery/local/sync_many.h"

static char top[64];
static unsigned syncs;

/* In the C library's place. */
int
fsync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fsync, fd);
}

static int
set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/test_mailbox.XXXXXX");
	signal(SIGXFSZ, SIG_IGN);
	return mkdtemp(top) ? 0 : -1;
}

static int
tear_down(void **state)
{
	char command[100];
	pid_t pid = fork();

	(void)state;
	snprintf(command, sizeof(command), "%s", top);
	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", command, (char *)NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

static const char *
path_of(const char *name)
{
	static char path[4][200];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", top, name);
	return path[next];
}

static struct letter
letter_of(const char *content, size_t len)
{
	struct letter l = {.sender = SPAN_LIT("s@x.example"),
	    .recipient = SPAN_LIT("u@y.example"),
	    .delivered_to = SPAN_LIT("u@y.example"),
	    .fd = -1};
	const char *end = memmem(content, len, "\r\n\r\n", 4);

	buf_init(&l.content, 1 << 20);
	buf_append(&l.content, content, len);
	l.content_len = len;
	l.header_len = end ? (uint64_t)(end - content) + 4 : len;
	return l;
}

static char *
read_whole(const char *path)
{
	char *text = test_malloc(1 << 20);
	int fd = open(path, O_RDONLY);
	ssize_t n = io_read_all(fd, text, (1 << 20) - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	io_close(&fd);
	return text;
}

/* The content as it is written, whole and through a file at an offset. */
static char *
converted(const char *content, unsigned flags, bool from_file)
{
	struct letter l = letter_of(content, strlen(content));
	const char *path = path_of("converted"), *source = path_of("source");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint64_t written = 0;
	struct error err;
	char *text;

	if (from_file) {
		l.fd = open(source, O_RDWR | O_CREAT | O_TRUNC, 0600);
		assert_int_equal(io_write_all(l.fd, "junk", 4), 0);
		assert_int_equal(io_write_all(l.fd, content, strlen(content)), 0);
		l.offset = 4;
		buf_free(&l.content);
	}
	assert_int_equal(letter_write(&l, fd, flags, &written, &err), 0);
	io_close(&fd);
	io_close(&l.fd);
	buf_free(&l.content);
	text = read_whole(path);
	assert_int_equal(strlen(text), written);
	return text;
}

static void
lines_end_in_lf(void **state)
{
	static const struct {
		const char *content;
		unsigned flags;
		const char *written;
	} rows[] = {
	    {"a: b\r\n\r\nc\r\n", 0, "a: b\n\nc\n"},
	    {"a\rb\r\r\nc\r", 0, "a\rb\r\nc\r"}, /* only CRLF is a line end */
	    {"From x\r\nFrom y\r\n From z\r\nFrom\r\nFrom", 0, "From x\nFrom y\n From z\nFrom\nFrom"},
	    {"From x\r\nFrom y\r\n From z\r\nFrom\r\nFrom", LETTER_QUOTE_FROM,
		">From x\n>From y\n From z\nFrom\nFrom"},
	    {">From x\r\n\r\nFrom \r\nFFrom \r\n", LETTER_QUOTE_FROM, ">From x\n\n>From \nFFrom \n"},
	    {"From", LETTER_QUOTE_FROM, "From"},
	    {"Fro\r\nm", LETTER_QUOTE_FROM, "Fro\nm"},
	    {"F\r\nFrom\r\nFrom x\r\n.\r\n\r\n", LETTER_QUOTE_FROM | LETTER_QUOTE_DOTS | LETTER_CRLF,
		"F\r\nFrom\r\n>From x\r\n..\r\n\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int from_file = 0; from_file <= 1; from_file++) {
			char *text = converted(rows[i].content, rows[i].flags, from_file);

			assert_string_equal(text, rows[i].written);
			test_free(text);
		}
	}
}

/* "From " and CRLF on both sides of every border between two reads. */
static void
borders_between_reads_do_not_show(void **state)
{
	static char content[70000];

	(void)state;
	for (int shift = 0; shift < 12; shift++) {
		size_t len = 65536 - 8 + (size_t)shift;
		char *text;

		memset(content, 'x', len);
		strcpy(content + len, "\r\nFrom y\r\n");
		text = converted(content, LETTER_QUOTE_FROM, true);
		assert_string_equal(text + len, "\n>From y\n");
		test_free(text);
	}
}

static void
added_lines_stay_lines(void **state)
{
	struct letter l = letter_of("", 0);
	struct buf out;

	(void)state;
	buf_init(&out, 4000);
	l.sender = SPAN_LIT("\"a\nFrom b\"@x");
	l.orig_to = SPAN_LIT("alias@y.example");
	l.header_name = SPAN_LIT("X-Original-To");
	letter_header(&l, &out);
	assert_string_equal(buf_text(&out),
	    "Return-Path: <\"a?From b\"@x>\nX-Original-To: alias@y.example\nDelivered-To: u@y.example\n");
	buf_clear(&out);
	l.sender = SPAN_LIT("");
	l.orig_to = SPAN_LIT("");
	letter_header(&l, &out);
	assert_string_equal(buf_text(&out), "Return-Path: <>\nDelivered-To: u@y.example\n");
	buf_clear(&out);
	l.header_name = SPAN_LIT("Envelope-To");
	letter_header(&l, &out);
	assert_non_null(strstr(buf_text(&out), "\nEnvelope-To: u@y.example\n"));
	buf_clear(&out);
	letter_separator(&l, 0, &out);
	assert_true(span_starts(buf_span(&out), "From MAILER-DAEMON  Thu Jan  1 "));
	buf_free(&out);
	buf_free(&l.content);
}

static void
a_letter_that_comes_back_is_noticed(void **state)
{
	static const struct {
		const char *content;
		int expected;
	} rows[] = {
	    {"Delivered-To: u@y.example\r\n\r\n", 1},
	    {"A: b\r\ndelivered-to:   U@Y.example  \r\n\r\n", 1},
	    {"A: b\r\n\r\nDelivered-To: u@y.example\r\n", 0}, /* in the body it says nothing */
	    {"Delivered-To: uu@y.example\r\n\r\n", 0},
	    {"", 0},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct letter l = letter_of(rows[i].content, strlen(rows[i].content));

		assert_int_equal(letter_was_delivered(&l, &err), rows[i].expected);
		buf_free(&l.content);
	}
}

static struct mailbox_settings
settings_of(enum mailbox_kind kind, const char *path)
{
	return (struct mailbox_settings){
	    .kind = kind,
	    .path = path,
	    .host = "host.example",
	    .lock_fcntl = true,
	    .lock_dotlock = true,
	    .lock_attempts = 2,
	    .lock_delay_us = 1000,
	    .lock_stale_us = 500 * US_PER_SECOND,
	    .strict_owner = true,
	};
}

/* Puts one letter in. */
static struct mailbox_result
deliver(const struct mailbox_settings *settings, const char *content)
{
	struct mailbox_result result = {0}, results[MAILBOX_BATCH_MAX];
	struct letter l = letter_of(content, strlen(content));
	struct error err;
	struct mailbox *m = mailbox_open(settings, &result, &err);

	if (m && mailbox_put(m, &l, &result) == 0) {
		mailbox_commit(m, results);
		result = results[0];
	}
	mailbox_close(&m);
	buf_free(&l.content);
	return result;
}

static unsigned
count_files(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void
a_maildir_is_made_and_filled(void **state)
{
	const char *path = path_of("a/b/Maildir");
	struct mailbox_settings settings = settings_of(MAILBOX_MAILDIR, path);
	struct mailbox_result results[MAILBOX_BATCH_MAX], result;
	struct letter l = letter_of("A: b\r\n\r\nc\r\n", 11);
	struct mailbox *m;
	struct error err;
	struct stat st;

	(void)state;
	assert_string_equal(deliver(&settings, "A: b\r\n\r\nc\r\n").text, "delivered to maildir");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(count_files(path_of("a/b/Maildir/new")), 1);
	m = mailbox_open(&settings, &result, &err);
	for (int i = 0; i < MAILBOX_BATCH_MAX; i++)
		assert_int_equal(mailbox_put(m, &l, &result), 0);
	assert_int_equal(count_files(path_of("a/b/Maildir/new")), 1); /* nothing shows before the commit */
	mailbox_commit(m, results);
	assert_int_equal(count_files(path_of("a/b/Maildir/new")), 1 + MAILBOX_BATCH_MAX);
	assert_int_equal(mailbox_put(m, &l, &result), 0);
	mailbox_close(&m); /* what was not committed leaves nothing behind */
	assert_int_equal(count_files(path_of("a/b/Maildir/tmp")), 0);
	buf_free(&l.content);
}

/* Where each had a flush of its own, twenty letters would cost a slow disk twenty times as much as one. */
static void
a_batch_is_synced_side_by_side(void **state)
{
	struct mailbox_settings settings = settings_of(MAILBOX_MAILDIR, path_of("Maildir"));
	struct mailbox_result results[MAILBOX_BATCH_MAX], result;
	struct letter l = letter_of("A: b\r\n\r\nc\r\n", 11);
	struct error err;
	struct mailbox *m = mailbox_open(&settings, &result, &err);
	int fds[2], failed[2];

	(void)state;
	fds[0] = fds[1] = open(top, O_RDONLY | O_DIRECTORY);
	if (sync_many(fds, 2, failed) == 0)
		skip(); /* no AIO here */
	for (int i = 0; i < 20; i++)
		assert_int_equal(mailbox_put(m, &l, &result), 0);
	syncs = 0;
	mailbox_commit(m, results);
	assert_int_equal(syncs, 1); /* the directory */
	for (int i = 0; i < 20; i++)
		assert_string_equal(results[i].text, "delivered to maildir");
	assert_int_equal(count_files(path_of("Maildir/new")), 20);
	mailbox_close(&m);
	buf_free(&l.content);
	close(fds[0]);
}

/* A file that cannot be synced costs the others nothing, wherever it stands among them. */
static void
each_file_has_its_own_end(void **state)
{
	int ends[2], file = open(path_of("file"), O_RDWR | O_CREAT, 0600);

	(void)state;
	assert_int_equal(pipe(ends), 0);
	for (unsigned row = 0; row < 3; row++) {
		int fds[3] = {file, file, file}, failed[3] = {-1, -1, -1};

		fds[row] = ends[1];
		fds[(row + 1) % 3] = 1000000;
		sync_many(fds, 3, failed);
		assert_int_equal(failed[row], EINVAL);
		assert_int_equal(failed[(row + 1) % 3], EBADF);
		assert_int_equal(failed[(row + 2) % 3], 0);
	}
	close(file);
	close(ends[0]);
	close(ends[1]);
}

static void
no_links_are_followed(void **state)
{
	struct mailbox_settings maildir = settings_of(MAILBOX_MAILDIR, path_of("Maildir"));
	struct mailbox_settings mbox;
	char *text;
	int fd;

	(void)state;
	assert_int_equal(mkdir(path_of("elsewhere"), 0700), 0);
	assert_int_equal(symlink("elsewhere", path_of("Maildir")), 0);
	assert_int_equal(deliver(&maildir, "x\r\n").class, OUTCOME_DEFERRED);
	fd = open(path_of("victim"), O_WRONLY | O_CREAT, 0600);
	io_close(&fd);
	assert_int_equal(symlink("victim", path_of("mbox1")), 0);
	assert_int_equal(link(path_of("victim"), path_of("mbox2")), 0);
	assert_int_equal(mkfifo(path_of("mbox3"), 0600), 0);
	assert_int_equal(mkdir(path_of("mbox4"), 0700), 0);
	assert_int_equal(symlink("/dev/null", path_of("mbox5")), 0);
	for (int i = 1; i <= 5; i++) {
		char name[16];
		struct mailbox_result result;

		snprintf(name, sizeof(name), "mbox%d", i);
		mbox = settings_of(MAILBOX_MBOX, path_of(name));
		result = deliver(&mbox, "x\r\n");
		if (result.class != OUTCOME_DEFERRED)
			fail_msg("%s: %s", name, result.text);
		assert_int_not_equal(access(path_of("mbox1.lock"), F_OK), 0);
	}
	text = read_whole(path_of("victim"));
	assert_string_equal(text, "");
	test_free(text);
}

static void
a_mailbox_file_grows_by_whole_messages(void **state)
{
	struct mailbox_settings settings = settings_of(MAILBOX_MBOX, path_of("mbox"));
	struct stat st;
	char *text, *second;

	(void)state;
	assert_string_equal(deliver(&settings, "A: b\r\n\r\nFrom me\r\n").text, "delivered to mailbox");
	assert_int_equal(stat(settings.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(deliver(&settings, "C: d\r\n\r\nno end").class, OUTCOME_DELIVERED);
	assert_int_equal(deliver(&settings, "E: f\r\n\r\n").class, OUTCOME_DELIVERED);
	text = read_whole(settings.path);
	assert_true(span_starts(span_of(text), "From s@x.example  "));
	assert_non_null(strstr(
	    text, "\nReturn-Path: <s@x.example>\nDelivered-To: u@y.example\nA: b\n\n>From me\n\nFrom "));
	second = strstr(text, "C: d");
	assert_non_null(second);
	assert_non_null(strstr(second, "no end\nFrom s@x.example  "));
	assert_int_not_equal(access(path_of("mbox.lock"), F_OK), 0);
	test_free(text);
}

static void
a_held_lock_defers_and_a_stale_one_goes(void **state)
{
	struct mailbox_settings settings = settings_of(MAILBOX_MBOX, path_of("mbox"));
	struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
	int fd = open(path_of("mbox.lock"), O_WRONLY | O_CREAT, 0600), pair[2];
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(deliver(&settings, "x\r\n").class, OUTCOME_DEFERRED);
	assert_int_equal(access(path_of("mbox.lock"), F_OK), 0);
	assert_int_equal(futimens(fd, old), 0);
	io_close(&fd);
	assert_int_equal(deliver(&settings, "x\r\n").class, OUTCOME_DELIVERED);
	/* fcntl locks count between processes only. */
	assert_int_equal(pipe(pair), 0);
	pid = fork();
	if (pid == 0) {
		struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

		fd = open(settings.path, O_RDWR);
		fcntl(fd, F_SETLK, &whole);
		if (write(pair[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(pair[0], &c, 1), 1);
	assert_int_equal(deliver(&settings, "x\r\n").class, OUTCOME_DEFERRED);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(deliver(&settings, "x\r\n").class, OUTCOME_DELIVERED);
	close(pair[0]);
	close(pair[1]);
}

static void
a_failed_append_restores_the_length(void **state)
{
	struct mailbox_settings settings = settings_of(MAILBOX_MBOX, path_of("mbox"));
	struct rlimit before, small;
	static char content[9000];
	struct mailbox_result result;
	char *text, *after;

	(void)state;
	memset(content, 'y', sizeof(content) - 1);
	assert_int_equal(deliver(&settings, "x\r\n").class, OUTCOME_DELIVERED);
	text = read_whole(settings.path);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){4096, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	result = deliver(&settings, content);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(result.class, OUTCOME_BOUNCED);
	assert_string_equal(result.status, "5.2.2");
	after = read_whole(settings.path);
	assert_string_equal(text, after);
	test_free(text);
	test_free(after);
	settings.size_limit = 4096;
	result = deliver(&settings, content);
	assert_string_equal(result.status, "5.2.2");
	assert_int_equal(deliver(&settings, "x\r\n").class, OUTCOME_DELIVERED);
}

static void
a_loop_bounces(void **state)
{
	struct mailbox_settings settings = settings_of(MAILBOX_MAILDIR, path_of("Maildir"));
	struct mailbox_result result = deliver(&settings, "Delivered-To: u@y.example\r\n\r\n");

	(void)state;
	assert_int_equal(result.class, OUTCOME_BOUNCED);
	assert_string_equal(result.status, "5.4.6");
	assert_string_equal(result.text, "mail forwarding loop for u@y.example");
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(lines_end_in_lf),
	    ROW(borders_between_reads_do_not_show),
	    ROW(added_lines_stay_lines),
	    ROW(a_letter_that_comes_back_is_noticed),
	    ROW(a_maildir_is_made_and_filled),
	    ROW(a_batch_is_synced_side_by_side),
	    ROW(each_file_has_its_own_end),
	    ROW(no_links_are_followed),
	    ROW(a_mailbox_file_grows_by_whole_messages),
	    ROW(a_held_lock_defers_and_a_stale_one_goes),
	    ROW(a_failed_append_restores_the_length),
	    ROW(a_loop_bounces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
