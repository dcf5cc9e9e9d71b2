/*
 * stream_inside: what stream.c and linger.c share.
 */
#ifndef POSTERN_NET_STREAM_INSIDE_H
#define POSTERN_NET_STREAM_INSIDE_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/net/stream.h"

/* Where the bytes come from and go to: sockets now, TLS later. As read(2) and write(2), EAGAIN included. */
struct stream_ops {
	ssize_t (*read)(struct stream *s, void *bytes, size_t len);
	ssize_t (*write)(struct stream *s, const void *bytes, size_t len, bool more);
};

struct stream {
	struct event event;
	const struct stream_ops *ops;
	const struct stream_callbacks *callbacks; /* NULL: lingers on its own until flushed */
	void *context;
	struct buf rest; /* input that was shown and not consumed */
	struct buf output;
	TAILQ_ENTRY(stream) dirty_link;
	int64_t deadline_us;
	size_t drained;
	int fd;
	int error;
	short armed; /* EV_READ | EV_WRITE as the event loop has it */
	bool dirty;
	bool connecting;
	bool paused;
	bool show_rest; /* going on after a pause: the rest is to be shown before anything is read */
	bool at_eof;
	bool want_written;
	bool in_callback;
	bool closed;
	bool failed; /* no more I/O */
	bool told_failure;
	bool half_closed;
};

void stream_mark_dirty(struct stream *s);

/* The event and its timer as the stream's state now wants them; within a callback that happens at its end. */
void stream_rearm(struct stream *s);

/* Returns true if all is out. */
bool stream_write_out(struct stream *s);

/* linger.c: a stream without an owner. stream_linger() returns true if it is gone. */
bool stream_linger(struct stream *s, bool written);
void stream_serve_lingering(struct stream *s, short what);

#endif
