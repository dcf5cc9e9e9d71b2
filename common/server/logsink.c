#include "common/server/logsink.h"

#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum { BACKLOG_BYTES = 1 << 20, LAST_LINES_MS = 500, IDENT_MAX = 64, LOOK_MS = 50 };

static void
to_stderr(const char *ident, const char *text, size_t len)
{
	dprintf(STDERR_FILENO, "%s: %.*s\n", ident, (int)len, text);
}

static int
send_line(struct ipc_channel *log, enum log_level level, const char *ident, struct span text)
{
	const struct msg_log_line line = {
	    .level = (uint8_t)level,
	    .time_us = clock_wall_us(),
	    .ident = span_sub(span_of(ident), 0, IDENT_MAX),
	    .text = text,
	};

	return ipc_send(log, IPC_LOG_LINE, 0, &line);
}

/* There is room: a line of their number. */
static void
tell_dropped(struct logsink *sink, struct ipc_channel *log)
{
	char text[80];
	int n;

	if (sink->dropped == 0)
		return;
	n = snprintf(
	    text, sizeof(text), "warning: %llu log lines were dropped", (unsigned long long)sink->dropped);
	if (send_line(log, LOG_LEVEL_WARNING, sink->ident, span_make(text, (size_t)n)) == 0)
		sink->dropped = 0;
}

static void
look_later(struct logsink *sink)
{
	const struct timeval wait = {.tv_usec = LOOK_MS * 1000};

	if (!event_pending(sink->look, EV_TIMEOUT, NULL))
		event_add(sink->look, &wait);
}

static void
on_look(evutil_socket_t fd, short what, void *context)
{
	struct logsink *sink = context;
	struct ipc_channel *log = sink->channel(sink->context);

	(void)fd;
	(void)what;
	if (log && ipc_backlog(log) <= BACKLOG_BYTES)
		tell_dropped(sink, log);
	if (sink->dropped > 0)
		look_later(sink);
}

/* No further line may come that would tell of it. */
static void
drop(struct logsink *sink)
{
	sink->dropped++;
	look_later(sink);
}

static void
on_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	struct logsink *sink = context;
	struct ipc_channel *log = sink->channel(sink->context);

	if (!ident)
		ident = sink->ident;
	if (log && ipc_backlog(log) > BACKLOG_BYTES) {
		drop(sink);
		return;
	}
	if (log)
		tell_dropped(sink, log);
	if (log == NULL || send_line(log, level, ident, span_make(text, len)) < 0) {
		to_stderr(ident, text, len);
		return;
	}
	/* These may be last words. */
	if (level <= LOG_LEVEL_FATAL) {
		ipc_set_gather(log, 0);
		ipc_flush_all();
	}
}

void
logsink_open(struct logsink *sink, struct event_base *base)
{
	sink->look = evtimer_new(base, on_look, sink);
	log_set_program(sink->ident);
	log_set_sink(on_line, sink);
}

void
logsink_close(struct logsink *sink, struct event_base *base)
{
	int64_t end_us = clock_mono_us() + LAST_LINES_MS * US_PER_MS;
	struct ipc_channel *log;

	if (sink->channel(sink->context))
		ipc_set_gather(sink->channel(sink->context), 0);
	while ((log = sink->channel(sink->context)) != NULL && clock_mono_us() < end_us) {
		if (ipc_backlog(log) == 0 && sink->dropped == 0)
			break;
		if (ipc_backlog(log) <= BACKLOG_BYTES)
			tell_dropped(sink, log);
		ipc_flush_all();
		event_base_loop(base, EVLOOP_NONBLOCK);
		poll(NULL, 0, 1);
	}
	log_set_sink(NULL, NULL);
	if (sink->look)
		event_free(sink->look);
	sink->look = NULL;
}
