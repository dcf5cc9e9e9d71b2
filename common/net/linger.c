/*
 * A stream whose owner has gone: its last output still goes out, and what comes in is read and dropped until the other
 * side closes, for unread input would make close() a reset that overtakes the last reply.
 */
#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/net/stream_inside.h"

/* What is thrown away before the stream is cut. */
enum { DRAIN_MAX = 256 * 1024 };

void
stream_close_after_flush(struct stream **stream, int64_t linger_us)
{
	struct stream *s = *stream;

	*stream = NULL;
	if (!s || s->closed)
		return;
	if (s->failed || s->connecting || s->starting || (s->output.len == 0 && linger_us == 0)) {
		stream_close(&s);
		return;
	}
	s->callbacks = NULL;
	s->paused = false;
	s->want_written = false;
	buf_free(&s->rest);
	s->deadline_us = clock_mono_us() + (linger_us > 0 ? linger_us : US_PER_SECOND);
	s->half_closed = linger_us == 0;
	stream_mark_dirty(s);
	stream_rearm(s);
}

/* Once its output is out the other side is to close. */
bool
stream_linger(struct stream *s, bool written)
{
	struct stream *gone = s;

	if (written && !s->failed && s->ops->goodbye)
		s->ops->goodbye(s);
	if (s->failed || (written && (s->half_closed || s->at_eof))) {
		stream_close(&gone);
		return true;
	}
	if (written) {
		(void)shutdown(s->fd, SHUT_WR);
		s->half_closed = true;
	}
	return false;
}

static void
drain(struct stream *s)
{
	struct stream *gone = s;
	char dropped[16 * 1024];
	ssize_t n = s->ops->read(s, dropped, sizeof(dropped));

	if (n > 0)
		s->drained += (size_t)n;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || s->drained > DRAIN_MAX)
		stream_close(&gone);
}

void
stream_serve_lingering(struct stream *s, short what)
{
	struct stream *gone = s;

	if (clock_mono_us() >= s->deadline_us) {
		stream_close(&gone);
		return;
	}
	if ((what & EV_WRITE) && s->output.len && stream_linger(s, stream_write_out(s)))
		return;
	if (what & EV_READ)
		drain(s);
}
