/*
 * logsink: log lines go to the log process over a channel, bounded; to standard error while there is none.
 *
 * Lines are dropped rather than waited for; a line of their number follows as soon as there is room again.
 */
#ifndef POSTERN_SERVER_LOGSINK_H
#define POSTERN_SERVER_LOGSINK_H

#include <stdint.h>

#include "common/ipc/ipc.h"

struct logsink {
	const char *ident;
	struct ipc_channel *(*channel)(void *context);
	void *context;
	uint64_t dropped; /* not yet told */
	struct event *look; /* pending while there are such */
};

/* Makes it the sink of this process. It stays the caller's. */
void logsink_open(struct logsink *sink, struct event_base *base);

/* Waits a moment until the last lines are out, and goes back to standard error. */
void logsink_close(struct logsink *sink, struct event_base *base);

#endif
