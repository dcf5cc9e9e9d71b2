/*
 * drop: puts a message into the drop directory while nobody listens on pickup's socket.
 *
 * Runs as   its caller, with the group postern-drop (set-gid), so that it may write where the caller may not.
 * Talks to  nobody.
 * Reads     a message on standard input (sendmail(1) made it, or anybody), the default postern.conf.
 * If taken  an attacker can fill the drop directory with files of their own; they cannot list it, nor read, change or
 *           remove what others put there (1730, files belong to their callers).
 *
 * The group is never lent to another configuration: with -c DIR that is not the default, and a caller that is not
 * root, the group is given up before the file is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/inherited.h"
#include "common/base/io.h"
#include "common/conf/conf.h"
#include "common/mail/drop_format.h"

enum {
	READ_BYTES = 16384,
	/* Readable for the group, that is for pickup. The owner's x is the ready bit. */
	MODE_WRITING = 0640,
	MODE_READY = 0740,
	NAME_TRIES = 100
};

static volatile sig_atomic_t stopped;

/* Nothing but a flag: whatever is undone is undone by the program, in its own time (CVE-2006-0058). */
static void
on_signal(int number)
{
	stopped = number;
}

static int
fail(int status, const char *text)
{
	fprintf(stderr, "drop: %s\n", text);
	return status;
}

struct drop {
	const struct conf_values *values;
	char path[4096];
	int fd;
	struct drop_envelope envelope;
	struct buf in; /* the envelope's part that is not yet a line */
	bool enveloped; /* the empty line has come */
	uint64_t content; /* octets that came behind it */
};

/* A name that nobody else has: nobody but this process makes it, and O_EXCL says whether that is true. */
static int
create_file(struct drop *d, const char *directory)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		snprintf(d->path, sizeof(d->path), "%s/%016llx.%u.%d", directory,
		    (unsigned long long)clock_wall_us(), (unsigned)getpid(), i);
		d->fd = open(d->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, MODE_WRITING);
		if (d->fd >= 0 || errno != EEXIST)
			break;
	}
	if (d->fd >= 0)
		return 0;
	fprintf(stderr, "drop: %s: %s\n", directory, strerror(errno));
	return EX_TEMPFAIL;
}

/* Takes lines of the envelope out of d->in. What follows the empty line is content. */
static int
take_envelope(struct drop *d, struct error *err)
{
	ptrdiff_t lf;

	while (!d->enveloped && (lf = span_find(buf_span(&d->in), '\n')) >= 0) {
		int result = drop_envelope_line(&d->envelope, span_sub(buf_span(&d->in), 0, (size_t)lf), err);
		if (result < 0)
			return -1;
		buf_consume(&d->in, (size_t)lf + 1);
		d->enveloped = result == 1;
	}
	if (!d->enveloped)
		return d->in.len > DROP_LINE_MAX ? error_set(err, "malformed line in the envelope") : 0;
	d->content += d->in.len;
	buf_clear(&d->in);
	return 0;
}

static int
take_bytes(struct drop *d, struct span bytes)
{
	uint64_t limit = (uint64_t)d->values->message_size_limit;
	struct error err;

	if (d->enveloped)
		d->content += bytes.len;
	else {
		buf_append_span(&d->in, bytes);
		if (take_envelope(d, &err) < 0)
			return fail(EX_DATAERR, err.text);
	}
	if (limit > 0 && d->content > limit)
		return fail(EX_DATAERR, "message is larger than message_size_limit");
	if (io_write_all(d->fd, bytes.ptr, bytes.len) < 0)
		return fail(EX_TEMPFAIL, strerror(errno));
	return 0;
}

static int
copy(struct drop *d)
{
	char bytes[READ_BYTES];
	ssize_t n;
	int status;

	for (;;) {
		n = read(STDIN_FILENO, bytes, sizeof(bytes));
		if (stopped)
			return fail(EX_TEMPFAIL, "interrupted");
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(EX_IOERR, strerror(errno));
		if (n == 0)
			break;
		status = take_bytes(d, span_make(bytes, (size_t)n));
		if (status != 0)
			return status;
	}
	if (!d->enveloped || d->content != d->envelope.size)
		return fail(EX_DATAERR, "the message is not whole");
	return 0;
}

/* The directory lets its callers write and not read: then there is no descriptor that could be synced. */
static void
sync_directory(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

/* The order: content, sync, ready bit, sync. A file without the bit is no message. */
static int
finish(struct drop *d, const char *directory)
{
	if (fsync(d->fd) < 0)
		return fail(EX_TEMPFAIL, strerror(errno));
	if (stopped)
		return fail(EX_TEMPFAIL, "interrupted");
	sync_directory(directory);
	if (fchmod(d->fd, MODE_READY) < 0 || fsync(d->fd) < 0)
		return fail(EX_TEMPFAIL, strerror(errno));
	return 0;
}

static int
check_space(const struct drop *d, const char *directory)
{
	struct statvfs fs;

	if (d->values->queue_minfree > 0 && statvfs(directory, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < (uint64_t)d->values->queue_minfree)
		return fail(EX_TEMPFAIL, "insufficient disk space");
	return 0;
}

static int
drop_message(struct drop *d)
{
	struct arena *a = arena_new(DROP_ENVELOPE_MAX);
	char directory[4000];
	int status;

	snprintf(directory, sizeof(directory), "%s/maildrop", d->values->queue_directory);
	drop_envelope_init(&d->envelope, a);
	buf_init(&d->in, READ_BYTES + DROP_LINE_MAX);
	d->fd = -1;
	status = check_space(d, directory);
	if (status == 0)
		status = create_file(d, directory);
	if (status == 0) {
		status = copy(d);
		if (status == 0)
			status = finish(d, directory);
		/* The name is this process's own until the ready bit is set: nobody else made or may remove it. */
		if (status != 0)
			unlink(d->path);
	}
	io_close(&d->fd);
	buf_free(&d->in);
	arena_free(&a);
	return status;
}

/* Another configuration than the default is read without the group's rights. */
static int
choose_configuration(int argc, char **argv, const char **confdir)
{
	static const char standard[] = POSTERN_SYSCONFDIR "/postern";

	*confdir = standard;
	if (argc == 1)
		return 0;
	if (argc != 3 || strcmp(argv[1], "-c") != 0)
		return fail(EX_USAGE, "usage: drop [-c CONFDIR]");
	if (strcmp(argv[2], standard) == 0)
		return 0;
	*confdir = argv[2];
	if (getuid() == 0)
		return 0;
	if (setresgid(getgid(), getgid(), getgid()) < 0 || getegid() != getgid())
		return fail(EX_OSERR, "cannot give up the group");
	return 0;
}

static void
clean_surroundings(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_handler = on_signal};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, SIG_DFL);
	clearenv();
	umask(0);
	close_range(3, ~0U, 0);
}

int
main(int argc, char **argv)
{
	struct conf_report *report;
	const char *confdir;
	struct drop d = {.fd = -1};
	struct conf *conf;
	struct error err;
	int status;

	inherited_reset();
	status = choose_configuration(argc, argv, &confdir);
	if (status != 0)
		return status;
	clean_surroundings();
	report = conf_report_new();
	conf = conf_load(confdir, report, &err);
	conf_report_free(&report);
	if (conf == NULL)
		return fail(EX_CONFIG, err.text);
	d.values = conf->values;
	status = drop_message(&d);
	conf_unref(&conf);
	return status;
}
