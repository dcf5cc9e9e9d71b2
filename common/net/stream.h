/*
 * stream: the byte stream of a network connection, plain now and TLS later, with events.
 *
 * Input is read when the owner wants it and handed to on_input as what is unread so far; the owner consumes what it
 * used. An idle stream holds no buffer: bytes are read into one buffer of the process and only a rest is kept.
 * Output is gathered and written at the end of the callback (stream_flush_all() after each turn of the loop).
 */
#ifndef POSTERN_NET_STREAM_H
#define POSTERN_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

struct event_base;
struct stream;

enum stream_event {
	STREAM_EOF, /* the peer closed its side */
	STREAM_ERROR, /* reset, or the connection could not be made: stream_errno() */
	STREAM_TIMEOUT, /* the deadline passed */
	STREAM_WRITTEN, /* all gathered output was handed to the kernel (only if asked for with stream_want_written) */
	STREAM_CONNECTED
};

struct stream_callbacks {
	/* bytes: all unread input. Returns how much was consumed; the rest is kept and shown again with what follows. */
	size_t (*input)(struct stream *s, struct span bytes, void *context);
	void (*event)(struct stream *s, enum stream_event event, void *context);
};

/* Takes fd (connected, or connecting when connecting is set). input_max: most unread bytes that are kept. */
struct stream *stream_new(struct event_base *base, int fd, bool connecting, size_t input_max,
    const struct stream_callbacks *callbacks, void *context);

/* Closes at once; unsent output is lost. Safe within its callbacks. Clears the caller's pointer. */
void stream_close(struct stream **s);

/* Sends what is gathered, then closes (bounded by the deadline given, microseconds). The owner has no more of it. */
void stream_close_after_flush(struct stream **s, int64_t linger_us);

/* Stop and go on reading (back-pressure); reading is on at first. Going on shows kept bytes again. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

void stream_write(struct stream *s, const void *bytes, size_t len);

/* The same for a large piece with more behind it in this turn: what the kernel takes at once is not copied. */
void stream_write_more(struct stream *s, const void *bytes, size_t len);

/* Octets not yet taken by the kernel. */
size_t stream_unsent(const struct stream *s);
void stream_want_written(struct stream *s);

/* One deadline, absolute on clock_mono_us(); 0: none. Passing it gives STREAM_TIMEOUT once. */
void stream_set_deadline(struct stream *s, int64_t mono_us);
int64_t stream_deadline(const struct stream *s);

int stream_errno(const struct stream *s);
int stream_fd(const struct stream *s);

/* True if unread input is kept or waits in the socket: pregreet and pipelining checks. */
bool stream_input_pending(struct stream *s);

/* Writes what all streams gathered. */
void stream_flush_all(void);

#endif
