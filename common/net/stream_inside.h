/*
 * stream_inside: what stream.c, stream_arm.c, linger.c and layers on a stream (common/tls) share.
 */
#ifndef POSTERN_NET_STREAM_INSIDE_H
#define POSTERN_NET_STREAM_INSIDE_H

#include <event2/event_struct.h>
#include <event2/util.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/net/stream.h"

enum stream_start { STREAM_START_GOES_ON, STREAM_START_DONE, STREAM_START_FAILED };

/*
 * Where the bytes come from and go to: the socket, or a layer on it. read and write are as read(2) and write(2), EAGAIN
 * included. The others are a layer's alone.
 */
struct stream_ops {
	ssize_t (*read)(struct stream *s, void *bytes, size_t len);
	ssize_t (*write)(struct stream *s, const void *bytes, size_t len, bool more);

	/*
	 * While it starts: what to wait for of the socket. Then: EV_READ if there is input that the socket will not wake us
	 * for, EV_WRITE if reading waits until the socket takes output.
	 */
	short (*wants)(const struct stream *s);

	/* Goes on with the start, within a callback of the stream; what: which events came. */
	enum stream_start (*start)(struct stream *s, short what);

	/* Tells whoever put the layer there of the start's end; may close the stream. */
	void (*started)(struct stream *s, bool ok);

	/* The stream ends in order: the last thing that is sent. Does not block, may be lost, may be called again. */
	void (*goodbye)(struct stream *s);
	void (*free)(struct stream *s);
};

struct stream {
	struct event event;
	const struct stream_ops *ops;
	void *layer;
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
	bool starting; /* a layer is not ready yet: no input, and output waits */
	bool kicked; /* the start is to go on without an event of the socket */
};

/* Puts a layer on a plain stream. Unread input is dropped, unsent output is the layer's. */
void stream_set_layer(struct stream *s, const struct stream_ops *ops, void *layer, struct buf *unsent);

/* The layer's start goes on from the event loop. */
void stream_kick(struct stream *s);

void stream_mark_dirty(struct stream *s);

/* The event and its timer as the stream's state now wants them; within a callback that happens at its end. */
void stream_rearm(struct stream *s);

/* ---- stream_arm.c ---- */

/* What a layer wants of the socket beyond what any stream does: EV_READ, EV_WRITE. */
short stream_layer_wants(const struct stream *s);

/* A layer holds input that the owner may see. */
bool stream_input_inside(const struct stream *s);

/* The owner is to be told something that no descriptor will wake us for. */
bool stream_notice_due(const struct stream *s);

/* stream_on_event() will run in this turn or the next and look at the flags. */
void stream_wake(struct stream *s);

/* The events that the stream waits for now; stream_arm() has the event loop wait for those, and for the deadline. */
short stream_wanted_events(const struct stream *s);
void stream_arm(struct stream *s, short wanted);

/* The deadline alone. */
void stream_schedule(struct stream *s);

/* ---- stream.c ---- */

void stream_on_event(evutil_socket_t fd, short what, void *arg);

/* Returns true if all is out. */
bool stream_write_out(struct stream *s);

/* linger.c: a stream without an owner. stream_linger() returns true if it is gone. */
bool stream_linger(struct stream *s, bool written);
void stream_serve_lingering(struct stream *s, short what);

#endif
