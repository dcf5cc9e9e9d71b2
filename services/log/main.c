/*
 * log: writes the lines of all other processes.
 *
 * Runs as   postern-log, in / for the socket of syslog; Landlock leaves it no file: it gets its log file from master.
 * Talks to  every process of Postern (they send lines), syslog.
 * Reads     lines that were made printable by their senders; they are cut and checked again here.
 * If taken  an attacker can write and hide log lines. No mail is in reach, and no network.
 *
 * It is never waited for: senders drop lines when this process is behind (logsink.h), and it drops them when syslog is far
 * behind.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/server/server.h"
#include "services/log/destination.h"
#include "services/log/order.h"

/* HOLD_MS: somewhat more than senders gather lines. */
enum { IDENT_SIZE = 128, LINE_MAX_OCTETS = 4200, HOLD_MS = 20, LOOK_MS = 10, RETRY_MS = 500 /* at most */ };

struct state {
	struct server *server;
	struct destination *destination;
	struct order *order;
	struct event *look; /* pending while lines are held or could not be written */
	bool look_soon; /* it is pending for lines that are held */
	unsigned retry_ms; /* while what waits is not taken: longer each time */
};

/* The turn hook has no context. */
static struct state *only;

/* "postern/smtpd", unless the sender's ident has a name of its own in front. */
static struct span
full_ident(struct state *st, struct span ident, char *text, size_t size)
{
	int n;

	if (span_find(ident, '/') >= 0)
		return ident;
	n = snprintf(text, size, "%s/%.*s", server_conf(st->server)->values->syslog_name, SPAN_ARG(ident));
	return span_make(text, n > 0 && (size_t)n < size ? (size_t)n : size - 1);
}

static void
give(const struct order_line *line, void *context)
{
	struct state *st = context;

	destination_line(st->destination, line->level, line->time_us, line->ident, line->pid, line->text);
}

/* While lines are held; more and more rarely, while only some could not be written. */
static void
look_again(struct state *st)
{
	const struct timeval soon = {.tv_usec = LOOK_MS * 1000}, later = {.tv_usec = st->retry_ms * 1000};
	bool held = order_count(st->order) > 0;

	if (!held && !destination_owes(st->destination))
		return;
	if (event_pending(st->look, EV_TIMEOUT, NULL) && (st->look_soon || !held))
		return;
	st->look_soon = held;
	event_add(st->look, held ? &soon : &later);
}

static void
on_look(evutil_socket_t fd, short what, void *context)
{
	struct state *st = context;

	(void)fd;
	(void)what;
	st->retry_ms = st->retry_ms * 2 < RETRY_MS ? st->retry_ms * 2 : RETRY_MS;
	order_release(st->order, clock_wall_us(), HOLD_MS * US_PER_MS);
}

static void
hold(struct state *st, const struct order_line *line)
{
	order_add(st->order, line, clock_wall_us());
	look_again(st);
}

static int
handle_line(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_log_line *m = &frame->log_line;
	struct state *st = server_data(context);
	char ident[IDENT_SIZE];
	struct buf text;

	if (m->level > 7)
		return error_set(err, "a line of level %u", m->level);
	buf_init(&text, LINE_MAX_OCTETS * 2);
	text_append_printable(&text, m->text, LINE_MAX_OCTETS);
	hold(st, &(struct order_line){m->level, m->time_us, ipc_peer_pid(channel),
		     full_ident(st, m->ident, ident, sizeof(ident)), buf_span(&text)});
	buf_free(&text);
	return 0;
}

/* This process's own lines take the short way. */
static void
own_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	struct state *st = context;
	char full[IDENT_SIZE];

	hold(st,
	    &(struct order_line){(int)level, clock_wall_us(), (uint32_t)getpid(),
		full_ident(st, span_of(ident ? ident : "log"), full, sizeof(full)), span_make(text, len)});
}

static void
on_turn(void)
{
	if (destination_flush(only->destination))
		only->retry_ms = LOOK_MS;
	look_again(only);
}

/* A file's descriptor comes from master, now or as a file that changed; until then lines go where they went. */
static void
choose(struct state *st)
{
	const struct conf_values *values = server_conf(st->server)->values;
	int fd;

	if (values->maillog_file[0] == '\0') {
		destination_to_syslog(st->destination, values->syslog_facility);
	} else if (strcmp(values->maillog_file, "/dev/stdout") == 0) {
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		if (fd >= 0)
			destination_to_file(st->destination, fd);
	}
}

static int
log_open(struct server *s, struct error *err)
{
	struct state *st = mem_alloc(sizeof(*st));
	int fd;

	(void)err;
	st->server = s;
	st->destination = destination_new();
	st->order = order_new(give, st);
	st->retry_ms = LOOK_MS;
	st->look = event_new(server_base(s), -1, 0, on_look, st);
	only = st;
	server_set_data(s, st);
	choose(st);
	fd = server_file(s, server_conf(s)->values->maillog_file);
	if (fd >= 0)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0)
		destination_to_file(st->destination, fd);
	server_forget_files(s); /* or one that is rotated away would take room for ever */
	return 0;
}

static int
log_start(struct server *s, struct error *err)
{
	(void)err;
	log_set_sink(own_line, server_data(s));
	server_on_turn(on_turn);
	return 0;
}

static void
log_configured(struct server *s)
{
	choose(server_data(s));
}

/* The log file: a new one at a reload, or when the old one was rotated away. */
static void
log_file_changed(struct server *s, const char *path, int fd)
{
	struct state *st = server_data(s);

	if (fd >= 0 && strcmp(path, server_conf(s)->values->maillog_file) == 0)
		destination_to_file(st->destination, fd);
	else
		io_close(&fd);
}

/* Lines that were sent before their sender ended are still in the sockets: they are read until the senders are gone. */
static bool
log_idle(struct server *s)
{
	struct state *st = server_data(s);
	struct ipc_channel *one[1];

	for (enum role role = 0; role < ROLE_COUNT; role++) {
		if (role != ROLE_MASTER && server_peers(s, role, one, 1) > 0)
			return false;
	}
	order_release(st->order, INT64_MAX, 0);
	destination_flush(st->destination);
	return true;
}

int
main(int argc, char **argv)
{
	static const struct ipc_permit permits[] = {
	    {IPC_LOG_LINE, ~0U, handle_line},
	};
	static const struct server_program program = {
	    .role = ROLE_LOG,
	    .ident = "log",
	    .sandbox =
		{
		    .user = "log",
		    .root = SANDBOX_ROOT_NONE,
		    .needs = SANDBOX_UNIX_CONNECT,
		},
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(*permits),
	    .open = log_open,
	    .start = log_start,
	    .configured = log_configured,
	    .file_changed = log_file_changed,
	    .idle = log_idle,
	};

	return server_main(argc, argv, &program);
}
