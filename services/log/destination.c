#include "services/log/destination.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"

enum { GATHERED_MAX = 1 << 20, FLUSH_AT = 64 << 10, SYSLOG_LINE_MAX = 4096 };

static const char syslog_path[] = "/dev/log";

struct destination {
	int fd; /* file, standard output, or datagram socket; -1: none now */
	int directory_fd; /* of the file: its name is opened below it after a rotation; -1: not a file */
	char name[256];
	dev_t device;
	ino_t inode;
	bool syslog;
	int facility;
	char host[65];
	struct buf gathered;
	uint64_t lost;
	int64_t date_second; /* what 'date' is the text of */
	char date[32];
};

static int
facility_number(const char *name)
{
	static const char *const names[] = {"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
	    "uucp", "cron", "authpriv", "ftp", "", "", "", "", "local0", "local1", "local2", "local3",
	    "local4", "local5", "local6", "local7"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (names[i][0] != '\0' && strcmp(names[i], name) == 0)
			return (int)i;
	}
	return 2;
}

/* ---- syslog ---- */

/* A datagram socket that is connected stays so until the reader goes; then it is connected anew. */
static int
connect_syslog(struct destination *d)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, syslog_path, sizeof(syslog_path));
	io_close(&d->fd);
	d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd < 0)
		return -1;
	if (connect(d->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	io_close(&d->fd);
	return -1;
}

static void
send_syslog(struct destination *d, const char *bytes, size_t len)
{
	if (d->fd >= 0 && send(d->fd, bytes, len, MSG_NOSIGNAL) >= 0)
		return;
	/* Full is full; anything else is a reader that was restarted. */
	if (d->fd >= 0 && (errno == EAGAIN || errno == ENOBUFS)) {
		d->lost++;
		return;
	}
	if (connect_syslog(d) < 0 || send(d->fd, bytes, len, MSG_NOSIGNAL) < 0)
		d->lost++;
}

/* ---- file ---- */

static int
open_file(struct destination *d)
{
	int fd =
	    openat(d->directory_fd, d->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	io_close(&d->fd);
	d->fd = fd;
	d->device = st.st_dev;
	d->inode = st.st_ino;
	return 0;
}

static int
open_named(struct destination *d, const char *file, struct error *err)
{
	const char *slash = strrchr(file, '/');
	char directory[4096];

	if (slash == NULL || file[0] != '/' || strlen(slash + 1) >= sizeof(d->name) || slash[1] == '\0' ||
	    !span_copy(
		span_make(file, slash > file ? (size_t)(slash - file) : 1), directory, sizeof(directory)))
		return error_set(err, "maillog_file %s is no path of a file", file);
	memcpy(d->name, slash + 1, strlen(slash + 1) + 1);
	d->directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->directory_fd < 0 || open_file(d) < 0)
		return error_errno(err, "maillog_file %s", file);
	return 0;
}

void
destination_check(struct destination *d)
{
	struct stat st;

	if (d->directory_fd < 0)
		return;
	if (fstatat(d->directory_fd, d->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == d->device &&
	    st.st_ino == d->inode)
		return;
	destination_flush(d);
	/* If the new one cannot be opened, lines go on into the old one. */
	(void)open_file(d);
}

/* ---- lines ---- */

struct destination *
destination_open(const char *file, const char *facility, struct error *err)
{
	struct destination *d = mem_alloc(sizeof(*d));

	d->fd = d->directory_fd = -1;
	d->facility = facility_number(facility);
	d->date_second = -1;
	buf_init(&d->gathered, GATHERED_MAX);
	gethostname(d->host, sizeof(d->host) - 1);
	d->host[strcspn(d->host, ".")] = '\0';
	tzset();
	if (file[0] == '\0') {
		d->syslog = true;
		connect_syslog(d);
	} else if (strcmp(file, "/dev/stdout") == 0) {
		d->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	} else if (open_named(d, file, err) < 0) {
		destination_close(&d);
	}
	return d;
}

void
destination_close(struct destination **d)
{
	struct destination *old = *d;

	*d = NULL;
	if (old == NULL)
		return;
	destination_flush(old);
	io_close(&old->fd);
	io_close(&old->directory_fd);
	buf_free(&old->gathered);
	free(old);
}

/* "Mmm dd hh:mm:ss" in English whatever the locale: log tools parse it. */
static const char *
date_text(struct destination *d, int64_t time_us)
{
	static const char months[12][4] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t second = (time_t)(time_us / US_PER_SECOND);
	struct tm tm;

	if (second == d->date_second || localtime_r(&second, &tm) == NULL)
		return d->date;
	d->date_second = second;
	snprintf(d->date, sizeof(d->date), "%s %2d %02d:%02d:%02d", months[tm.tm_mon % 12], tm.tm_mday % 100,
	    tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
	return d->date;
}

static void
add_line(struct destination *d, int level, int64_t time_us, struct span ident, uint32_t pid, struct span text)
{
	const char *date = date_text(d, time_us);
	char line[SYSLOG_LINE_MAX];
	int n;

	if (d->syslog) {
		n = snprintf(line, sizeof(line), "<%d>%s %.*s[%u]: %.*s", d->facility * 8 + level, date,
		    SPAN_ARG(ident), pid, SPAN_ARG(text));
		send_syslog(d, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
		return;
	}
	if (buf_printf(&d->gathered, "%s %s %.*s[%u]: %.*s\n", date, d->host, SPAN_ARG(ident), pid,
		SPAN_ARG(text)) < 0)
		d->lost++;
	if (d->gathered.len >= FLUSH_AT)
		destination_flush(d);
}

void
destination_line(
    struct destination *d, int level, int64_t time_us, struct span ident, uint32_t pid, struct span text)
{
	char told[80];
	uint64_t lost = d->lost;

	if (lost > 0) {
		snprintf(
		    told, sizeof(told), "warning: %llu log lines were dropped", (unsigned long long)lost);
		d->lost = 0;
		add_line(d, 4, time_us, SPAN_LIT("postern/log"), (uint32_t)getpid(), span_of(told));
		/* Still no room: nothing was told. */
		if (d->lost > 0)
			d->lost += lost - 1;
	}
	add_line(d, level, time_us, ident, pid, text);
}

void
destination_flush(struct destination *d)
{
	while (d->gathered.len > 0) {
		ssize_t n = write(d->fd, buf_ptr(&d->gathered), d->gathered.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			/* A full disk, or a pipe that nobody empties: what is gathered waits up to its bound. */
			if (d->gathered.len > GATHERED_MAX / 2) {
				d->lost++;
				buf_clear(&d->gathered);
			}
			return;
		}
		buf_consume(&d->gathered, (size_t)n);
	}
	buf_clear(&d->gathered);
}

void
destination_lost(struct destination *d, uint64_t lines)
{
	d->lost += lines;
}
