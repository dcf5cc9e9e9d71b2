#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/server/process.h"

enum { LOG_BACKLOG_BYTES = 1 << 20, LAST_LINES_MS = 500 };

static void
to_stderr(const char *ident, const char *text, size_t len)
{
	dprintf(STDERR_FILENO, "%s: %.*s\n", ident, (int)len, text);
}

/* Drops rather than blocks; how many is said as soon as there is room again. */
static void
send_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	struct server *s = context;
	struct ipc_channel *log = server_peer(s, ROLE_LOG, 0);
	struct msg_log_line m = {
	    .level = (uint8_t)level,
	    .time_us = clock_wall_us(),
	    .ident = span_of(ident ? ident : s->program->ident),
	    .text = span_make(text, len),
	};

	if (log == NULL) {
		to_stderr(ident ? ident : s->program->ident, text, len);
		return;
	}
	if (ipc_backlog(log) > LOG_BACKLOG_BYTES) {
		s->lines_dropped++;
		return;
	}
	if (s->lines_dropped > 0) {
		struct msg_log_dropped dropped = {.lines = s->lines_dropped};

		if (ipc_send(log, IPC_LOG_DROPPED, 0, &dropped) == 0)
			s->lines_dropped = 0;
	}
	if (m.ident.len > 64)
		m.ident.len = 64;
	if (ipc_send(log, IPC_LOG_LINE, 0, &m) < 0)
		to_stderr(ident ? ident : s->program->ident, text, len);
}

void
logsink_open(struct server *s)
{
	log_set_program(s->program->ident);
	if (s->program->role != ROLE_LOG)
		log_set_sink(send_line, s);
}

void
logsink_close(struct server *s)
{
	int64_t end_us = clock_mono_us() + LAST_LINES_MS * US_PER_MS;

	while (ipc_backlog(server_peer(s, ROLE_LOG, 0)) > 0 && clock_mono_us() < end_us) {
		ipc_flush_all();
		event_base_loop(s->base, EVLOOP_NONBLOCK);
		poll(NULL, 0, 1);
	}
}
