#include "services/log/destination.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"

/* DATAGRAMS: so many lines go to syslog with one system call. */
enum {
	GATHERED_MAX = 1 << 20,
	WAITING_MAX = GATHERED_MAX / 2, /* above it is room for one line more: that of the lost ones */
	FLUSH_AT = 64 << 10,
	LENGTH_OCTETS = 2, /* in front of each line for syslog that waits */
	SYSLOG_LINE_MAX = 4096,
	DATAGRAMS = 64
};

/* While nobody listens to syslog's socket, it is looked for no more often than this. */
#define RECONNECT_US (500 * US_PER_MS)

static const char syslog_path[] = "/dev/log";

struct destination {
	int fd; /* file, standard output, or datagram socket; -1: none now */
	bool syslog;
	int facility;
	char host[65];
	struct buf gathered;
	int64_t reconnect_us; /* not before */
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
	int64_t now = clock_mono_us();

	io_close(&d->fd);
	if (now < d->reconnect_us)
		return -1;
	memcpy(address.sun_path, syslog_path, sizeof(syslog_path));
	d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd >= 0 && connect(d->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	io_close(&d->fd);
	d->reconnect_us = now + RECONNECT_US;
	return -1;
}

static size_t
datagram_length(const char *p)
{
	return (size_t)(uint8_t)p[0] | (size_t)(uint8_t)p[1] << 8;
}

/* Sends what one system call takes. False if the kernel took nothing: errno tells why. */
static bool
send_some(struct destination *d)
{
	struct mmsghdr messages[DATAGRAMS];
	struct iovec parts[DATAGRAMS];
	unsigned count = 0;
	size_t octets = 0;
	int sent;

	memset(messages, 0, sizeof(messages));
	for (size_t at = 0; at < d->gathered.len && count < DATAGRAMS; count++) {
		char *p = buf_ptr(&d->gathered) + at;

		parts[count] = (struct iovec){p + LENGTH_OCTETS, datagram_length(p)};
		messages[count].msg_hdr.msg_iov = &parts[count];
		messages[count].msg_hdr.msg_iovlen = 1;
		at += LENGTH_OCTETS + parts[count].iov_len;
	}
	sent = sendmmsg(d->fd, messages, count, MSG_NOSIGNAL);
	for (int i = 0; i < sent; i++)
		octets += LENGTH_OCTETS + parts[i].iov_len;
	buf_consume(&d->gathered, octets);
	return sent > 0;
}

/* What a reader does not take now waits, also while it is restarted. */
static void
flush_syslog(struct destination *d)
{
	bool again = true;

	while (d->gathered.len > 0) {
		if (d->fd >= 0 && send_some(d))
			continue;
		/* Full is full; anything else is a reader that was restarted. */
		if ((d->fd >= 0 && (errno == EAGAIN || errno == ENOBUFS)) || !again || connect_syslog(d) < 0)
			return;
		again = false;
	}
	buf_clear(&d->gathered);
}

static void
add_datagram(struct destination *d, const char *bytes, size_t len)
{
	const char head[LENGTH_OCTETS] = {(char)len, (char)(len >> 8)};

	if (d->gathered.len > WAITING_MAX) {
		d->lost++;
		return;
	}
	buf_append(&d->gathered, head, sizeof(head));
	buf_append(&d->gathered, bytes, len);
	if (d->gathered.len >= FLUSH_AT)
		flush_syslog(d);
}

/* ---- where to ---- */

void
destination_to_syslog(struct destination *d, const char *facility)
{
	d->facility = facility_number(facility);
	if (d->syslog)
		return;
	destination_flush(d);
	/* What the file did not take has not syslog's form. */
	for (size_t i = 0; i < d->gathered.len; i++)
		d->lost += buf_ptr(&d->gathered)[i] == '\n';
	buf_clear(&d->gathered);
	d->syslog = true;
	connect_syslog(d);
}

void
destination_to_file(struct destination *d, int fd)
{
	destination_flush(d);
	if (d->syslog) {
		for (size_t at = 0; at < d->gathered.len; d->lost++)
			at += LENGTH_OCTETS + datagram_length(buf_ptr(&d->gathered) + at);
		buf_clear(&d->gathered);
	}
	d->syslog = false;
	io_close(&d->fd);
	d->fd = fd;
}

/* ---- lines ---- */

struct destination *
destination_new(void)
{
	struct destination *d = mem_alloc(sizeof(*d));

	d->fd = -1;
	d->date_second = -1;
	buf_init(&d->gathered, GATHERED_MAX);
	gethostname(d->host, sizeof(d->host) - 1);
	d->host[strcspn(d->host, ".")] = '\0';
	tzset();
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

/* A line in syslog's form. Returns its length. */
static size_t
format_datagram(struct destination *d, char line[SYSLOG_LINE_MAX], int level, const char *date,
    struct span ident, uint32_t pid, struct span text)
{
	int n = snprintf(line, SYSLOG_LINE_MAX, "<%d>%s %.*s[%u]: %.*s", d->facility * 8 + level, date,
	    SPAN_ARG(ident), pid, SPAN_ARG(text));

	return n < SYSLOG_LINE_MAX ? (size_t)n : SYSLOG_LINE_MAX - 1;
}

/* What a file does not take waits, up to a bound: what comes beyond it is lost, and what waits is not. */
static void
add_to_file(struct destination *d, const char *date, struct span ident, uint32_t pid, struct span text)
{
	if (d->gathered.len > WAITING_MAX || buf_printf(&d->gathered, "%s %s %.*s[%u]: %.*s\n", date, d->host,
						 SPAN_ARG(ident), pid, SPAN_ARG(text)) < 0)
		d->lost++;
}

/* How many lines were lost is told once that has a place among what waits. */
static void
tell_lost(struct destination *d)
{
	const struct span ident = SPAN_LIT("postern/log");
	char line[SYSLOG_LINE_MAX], told[80];
	const char *date;

	if (d->lost == 0 || (d->fd < 0 && !d->syslog) || d->gathered.len > WAITING_MAX)
		return;
	date = date_text(d, clock_wall_us());
	snprintf(told, sizeof(told), "warning: %llu log lines were dropped", (unsigned long long)d->lost);
	d->lost = 0;
	if (d->syslog)
		add_datagram(
		    d, line, format_datagram(d, line, 4, date, ident, (uint32_t)getpid(), span_of(told)));
	else
		add_to_file(d, date, ident, (uint32_t)getpid(), span_of(told));
}

void
destination_line(
    struct destination *d, int level, int64_t time_us, struct span ident, uint32_t pid, struct span text)
{
	char line[SYSLOG_LINE_MAX];

	tell_lost(d);
	if (d->syslog) {
		add_datagram(
		    d, line, format_datagram(d, line, level, date_text(d, time_us), ident, pid, text));
		return;
	}
	add_to_file(d, date_text(d, time_us), ident, pid, text);
	if (d->gathered.len >= FLUSH_AT)
		destination_flush(d);
}

static void
flush_file(struct destination *d)
{
	while (d->gathered.len > 0) {
		ssize_t n = write(d->fd, buf_ptr(&d->gathered), d->gathered.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* a full disk, or a pipe that nobody empties */
		buf_consume(&d->gathered, (size_t)n);
	}
	buf_clear(&d->gathered);
}

bool
destination_flush(struct destination *d)
{
	size_t before;

	tell_lost(d);
	before = d->gathered.len;
	if (d->syslog)
		flush_syslog(d);
	else
		flush_file(d);
	return d->gathered.len < before;
}

bool
destination_owes(const struct destination *d)
{
	return d->lost > 0 || d->gathered.len > 0;
}
