#include "common/server/logsink.h"

#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum { BACKLOG_BYTES = 1 << 20, LAST_LINES_MS = 500, IDENT_MAX = 64 };

static void
to_stderr(const char *ident, const char *text, size_t len)
{
	dprintf(STDERR_FILENO, "%s: %.*s\n", ident, (int)len, text);
}

static int
send_line(struct logsink *sink, struct ipc_channel *log, const struct msg_log_line *line)
{
	struct msg_log_dropped dropped = {.lines = sink->dropped};

	if (ipc_backlog(log) > BACKLOG_BYTES) {
		sink->dropped++;
		return 0;
	}
	if (sink->dropped > 0 && ipc_send(log, IPC_LOG_DROPPED, 0, &dropped) == 0)
		sink->dropped = 0;
	return ipc_send(log, IPC_LOG_LINE, 0, line);
}

static void
on_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	struct logsink *sink = context;
	struct ipc_channel *log = sink->channel(sink->context);
	struct msg_log_line line = {
	    .level = (uint8_t)level,
	    .time_us = clock_wall_us(),
	    .ident = span_sub(span_of(ident ? ident : sink->ident), 0, IDENT_MAX),
	    .text = span_make(text, len),
	};

	if (log == NULL || send_line(sink, log, &line) < 0) {
		to_stderr(ident ? ident : sink->ident, text, len);
		return;
	}
	/* These may be last words. */
	if (level <= LOG_LEVEL_FATAL) {
		ipc_set_gather(log, 0);
		ipc_flush_all();
	}
}

void
logsink_open(struct logsink *sink)
{
	log_set_program(sink->ident);
	log_set_sink(on_line, sink);
}

void
logsink_close(struct logsink *sink, struct event_base *base)
{
	int64_t end_us = clock_mono_us() + LAST_LINES_MS * US_PER_MS;

	if (sink->channel(sink->context))
		ipc_set_gather(sink->channel(sink->context), 0);
	while (ipc_backlog(sink->channel(sink->context)) > 0 && clock_mono_us() < end_us) {
		ipc_flush_all();
		event_base_loop(base, EVLOOP_NONBLOCK);
		poll(NULL, 0, 1);
	}
	log_set_sink(NULL, NULL);
}
