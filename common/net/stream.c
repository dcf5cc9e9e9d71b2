/*
 * How a stream stays small: bytes are read into one buffer of the process; what the owner left is copied out
 * (exactly its size) and put in front of the next read. Output lives from the first stream_write() to the write.
 *
 * The event is armed for reading and, while output is stuck, for writing. A pause does not touch the kernel: only
 * when bytes come all the same is reading disarmed. Everything that the owner must be told apart from his own calls
 * is delivered from stream_on_event(), so no callback runs inside a stream_*() call or the flush.
 */
#include "common/net/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/net/stream_inside.h"

enum {
	READ_BUFFER_SIZE = 128 * 1024,
	DIRECT_MIN = 16 * 1024, /* what is worth a system call of its own rather than a copy */
	OUTPUT_MAX = 4 * 1024 * 1024 /* an owner that looks at stream_unsent() never comes near */
};

TAILQ_HEAD(dirty_list, stream);
static struct dirty_list dirty_streams = TAILQ_HEAD_INITIALIZER(dirty_streams);
static char read_buffer[READ_BUFFER_SIZE];
static bool read_buffer_used;

static ssize_t
plain_read(struct stream *s, void *bytes, size_t len)
{
	return recv(s->fd, bytes, len, 0);
}

static ssize_t
plain_write(struct stream *s, const void *bytes, size_t len, bool more)
{
	return send(s->fd, bytes, len, more ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL);
}

static const struct stream_ops plain_ops = {.read = plain_read, .write = plain_write};

void
stream_mark_dirty(struct stream *s)
{
	if (s->dirty)
		return;
	TAILQ_INSERT_TAIL(&dirty_streams, s, dirty_link);
	s->dirty = true;
}

static void
unmark_dirty(struct stream *s)
{
	if (s->dirty)
		TAILQ_REMOVE(&dirty_streams, s, dirty_link);
	s->dirty = false;
}

/* ---- layers ---- */

void
stream_kick(struct stream *s)
{
	s->kicked = true;
	stream_wake(s);
}

void
stream_set_layer(struct stream *s, const struct stream_ops *ops, void *layer, struct buf *unsent)
{
	if (s->layer || s->closed)
		panic("a layer on a stream that cannot take it");
	s->ops = ops;
	s->layer = layer;
	*unsent = s->output;
	buf_init(&s->output, OUTPUT_MAX);
	buf_free(&s->rest);
	s->show_rest = false;
	s->starting = true;
	unmark_dirty(s);
	stream_rearm(s);
	stream_kick(s);
}

static void
go_on_starting(struct stream *s, short what)
{
	enum stream_start how;

	s->kicked = false;
	how = s->ops->start(s, what);
	if (how == STREAM_START_GOES_ON)
		return;
	s->starting = false;
	if (how == STREAM_START_FAILED) {
		s->failed = true;
		s->told_failure = true;
		s->deadline_us = 0;
	} else if (s->output.len || s->want_written)
		stream_mark_dirty(s);
	s->ops->started(s, how == STREAM_START_DONE);
}

/* ---- life ---- */

struct stream *
stream_new(struct event_base *base, int fd, bool connecting, size_t input_max,
    const struct stream_callbacks *callbacks, void *context)
{
	struct stream *s = mem_alloc(sizeof(*s));
	int on = 1;

	if (input_max > READ_BUFFER_SIZE)
		panic("stream with more input than the read buffer holds");
	s->ops = &plain_ops;
	s->fd = fd;
	s->callbacks = callbacks;
	s->context = context;
	s->connecting = connecting;
	buf_init(&s->rest, input_max);
	buf_init(&s->output, OUTPUT_MAX);

	/* Replies are gathered here: Nagle's algorithm would only delay them. Not a TCP socket: no matter. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->armed = connecting ? EV_WRITE : EV_READ;
	event_assign(&s->event, base, fd, (short)(s->armed | EV_PERSIST), stream_on_event, s);
	stream_schedule(s);
	return s;
}

static void
stream_destroy(struct stream *s)
{
	if (s->layer)
		s->ops->free(s);
	buf_free(&s->rest);
	buf_free(&s->output);
	free(s);
}

void
stream_close(struct stream **stream)
{
	struct stream *s = *stream;

	*stream = NULL;
	if (!s || s->closed)
		return;
	if (s->ops->goodbye && !s->starting && !s->failed && s->output.len == 0)
		s->ops->goodbye(s);
	s->closed = true;
	event_del(&s->event);
	unmark_dirty(s);
	(void)io_close(&s->fd);
	if (!s->in_callback)
		stream_destroy(s);
}

/* ---- output ---- */

void
stream_write(struct stream *s, const void *bytes, size_t len)
{
	if (s->closed || s->failed || len == 0)
		return;
	if (buf_append(&s->output, bytes, len) < 0) {
		s->error = ENOBUFS;
		s->failed = true;
		stream_wake(s);
		return;
	}
	if (!s->connecting && !s->starting)
		stream_mark_dirty(s);
}

void
stream_write_more(struct stream *s, const void *bytes, size_t len)
{
	ssize_t n = 0;

	/* An error is left to the next write, which tells the owner of it when nobody is on the stack. */
	if (len >= DIRECT_MIN && !s->closed && !s->failed && !s->connecting && !s->starting &&
	    s->output.len == 0)
		n = s->ops->write(s, bytes, len, true);
	if (n < 0)
		n = 0;
	stream_write(s, (const char *)bytes + n, len - (size_t)n);
}

size_t
stream_unsent(const struct stream *s)
{
	return s->output.len;
}

void
stream_want_written(struct stream *s)
{
	s->want_written = true;
	if (!s->connecting && !s->starting)
		stream_mark_dirty(s);
}

bool
stream_write_out(struct stream *s)
{
	ssize_t n;

	while (s->output.len) {
		n = s->ops->write(s, buf_ptr(&s->output), s->output.len, false);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return false;
		if (n < 0) {
			s->error = errno;
			s->failed = true;
			return false;
		}
		buf_consume(&s->output, (size_t)n);
	}
	buf_free(&s->output);
	return true;
}

void
stream_flush_all(void)
{
	struct stream *s;
	bool written;

	while ((s = TAILQ_FIRST(&dirty_streams))) {
		unmark_dirty(s);
		if (s->closed)
			continue;
		written = !s->failed && stream_write_out(s);
		if (!s->callbacks && stream_linger(s, written))
			continue;
		if (stream_wanted_events(s) != s->armed)
			stream_arm(s, stream_wanted_events(s));
		if (stream_notice_due(s))
			stream_wake(s);
	}
}

/* ---- input ---- */

void
stream_pause(struct stream *s)
{
	s->paused = true;
}

void
stream_resume(struct stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	if (s->closed || s->failed)
		return;
	s->show_rest = s->rest.len > 0;
	if (s->in_callback)
		return;
	if (stream_wanted_events(s) != s->armed)
		stream_arm(s, stream_wanted_events(s));
	if (stream_notice_due(s))
		stream_wake(s);
}

bool
stream_input_pending(struct stream *s)
{
	int waiting = 0;

	return s->rest.len > 0 || (stream_layer_wants(s) & EV_READ) ||
	       (!s->failed && ioctl(s->fd, FIONREAD, &waiting) == 0 && waiting > 0);
}

/* Shows bytes (in the read buffer) to the owner and keeps what he left. */
static void
show(struct stream *s, size_t len)
{
	size_t used;

	used = s->callbacks->input(s, span_make(read_buffer, len), s->context);
	if (s->closed || !s->callbacks || s->starting)
		return;
	if (used > len)
		panic("a stream's owner consumed more than there was");
	buf_free(&s->rest);
	if (used < len && buf_append(&s->rest, read_buffer + used, len - used) < 0)
		panic("more input than was read");
}

static void
take_rest(struct stream *s)
{
	if (s->rest.len)
		memcpy(read_buffer, buf_ptr(&s->rest), s->rest.len);
}

/* Reads once. Returns false if there was nothing to show. */
static bool
fill(struct stream *s)
{
	size_t room = s->rest.max - s->rest.len;
	ssize_t n;

	if (room == 0) {
		s->error = ENOBUFS;
		s->failed = true;
		return false;
	}
	take_rest(s);
	do
		n = s->ops->read(s, read_buffer + s->rest.len, room);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		show(s, s->rest.len + (size_t)n);
		return true;
	}
	if (n == 0)
		s->at_eof = true;
	else if (errno != EAGAIN && errno != EWOULDBLOCK) {
		s->error = errno;
		s->failed = true;
	}
	return false;
}

static void
tell(struct stream *s, enum stream_event event)
{
	if (!s->closed && s->callbacks)
		s->callbacks->event(s, event, s->context);
}

static void
tell_failure(struct stream *s)
{
	struct stream *gone = s;

	s->told_failure = true;
	s->deadline_us = 0;
	if (s->callbacks)
		tell(s, STREAM_ERROR);
	else
		stream_close(&gone);
}

/* ---- the event ---- */

static void
finish_connecting(struct stream *s)
{
	socklen_t len = sizeof(s->error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &s->error, &len) < 0)
		s->error = errno;
	if (s->error) {
		s->failed = true;
		return;
	}
	s->connecting = false;
	if (s->output.len || s->want_written)
		stream_mark_dirty(s);
	tell(s, STREAM_CONNECTED);
}

static void
read_and_show(struct stream *s, bool readable)
{
	bool was_eof = s->at_eof;

	if (s->paused) {
		/* Bytes came during a pause: only now is the kernel asked to keep quiet. */
		if (readable)
			stream_arm(s, (short)(s->armed & ~EV_READ));
		return;
	}
	if (s->show_rest) {
		s->show_rest = false;
		take_rest(s);
		if (s->rest.len)
			show(s, s->rest.len);
		return;
	}
	if ((readable || stream_input_inside(s)) && !s->at_eof)
		(void)fill(s);
	if (s->at_eof && !was_eof)
		tell(s, STREAM_EOF);
}

static void
serve(struct stream *s, short what)
{
	if (s->deadline_us && !s->failed && clock_mono_us() >= s->deadline_us) {
		s->deadline_us = 0;
		tell(s, STREAM_TIMEOUT);
		if (s->closed || !s->callbacks)
			return;
	}
	if (s->starting && !s->failed) {
		go_on_starting(s, what);
		return;
	}
	if (s->connecting && (what & EV_WRITE) && !s->failed)
		finish_connecting(s);
	else if (!s->connecting && !s->failed && s->output.len && (what & EV_WRITE))
		(void)stream_write_out(s);
	if (s->want_written && !s->connecting && s->output.len == 0 && !s->failed && !s->closed) {
		s->want_written = false;
		tell(s, STREAM_WRITTEN);
	}
	/* A layer whose input waits for its own output goes on once the socket takes some. */
	if ((what & EV_WRITE) && (stream_layer_wants(s) & EV_WRITE))
		what |= EV_READ;
	if (!s->failed && !s->connecting && !s->starting && !s->closed && s->callbacks)
		read_and_show(s, what & EV_READ);
}

void
stream_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	if (read_buffer_used)
		panic("a stream's event within another's callback");
	read_buffer_used = true;
	s->in_callback = true;
	if (s->callbacks)
		serve(s, what);
	else
		stream_serve_lingering(s, what);
	if (s->failed && !s->told_failure)
		tell_failure(s);
	s->in_callback = false;
	read_buffer_used = false;
	if (s->closed) {
		stream_destroy(s);
		return;
	}
	/* A persistent event starts its timeout anew with each byte; ours is absolute, so it is set again. */
	if (stream_wanted_events(s) != s->armed || s->deadline_us)
		stream_arm(s, stream_wanted_events(s));
	if (stream_notice_due(s))
		stream_wake(s);
}

void
stream_set_deadline(struct stream *s, int64_t mono_us)
{
	if (s->closed || s->deadline_us == mono_us)
		return;
	s->deadline_us = mono_us;
	if (s->in_callback)
		return;
	if (!mono_us)
		event_remove_timer(&s->event);
	stream_arm(s, stream_wanted_events(s));
}

int64_t
stream_deadline(const struct stream *s)
{
	return s->deadline_us;
}

int
stream_errno(const struct stream *s)
{
	return s->error;
}

int
stream_fd(const struct stream *s)
{
	return s->fd;
}
