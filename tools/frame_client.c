#include "tools/frame_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"

enum { SEND_TIMEOUT_MS = 300000 };

static int
lost(struct frame_client *c, struct error *err, const char *what)
{
	c->lost = true;
	return error_set(err, "%s", what);
}

/* Waits until the socket is ready. Returns 0 in time. */
static int
wait_for(struct frame_client *c, short events, int64_t deadline_us)
{
	for (;;) {
		int64_t left_ms = (deadline_us - clock_mono_us()) / US_PER_MS;
		struct pollfd p = {.fd = c->fd, .events = events};
		int n = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);
		if (n > 0)
			return 0;
		if (n == 0 || errno != EINTR)
			return -1;
	}
}

static int
send_bytes(struct frame_client *c, struct span bytes, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + SEND_TIMEOUT_MS * US_PER_MS;

	while (bytes.len > 0) {
		ssize_t n = send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
		if (n > 0)
			bytes = span_from(bytes, (size_t)n);
		else if (n < 0 && errno == EINTR)
			continue;
		else if (n < 0 && errno == EAGAIN && wait_for(c, POLLOUT, deadline_us) == 0)
			continue;
		else
			return lost(c, err, "the mail system went away");
	}
	return 0;
}

int
frame_client_send(
    struct frame_client *c, enum ipc_type type, uint32_t call, const void *message, struct error *err)
{
	struct buf out;
	int result;

	buf_init(&out, IPC_FRAME_MAX);
	result = ipc_encode(&out, type, call, message);
	if (result < 0)
		error_set(err, "too long for the mail system");
	else
		result = send_bytes(c, buf_span(&out), err);
	buf_free(&out);
	return result;
}

/* Returns 1 when a frame was decoded, 0 if more bytes are needed. */
static int
decode(struct frame_client *c, struct ipc_frame *frame, struct error *err)
{
	bool has_fd;
	ptrdiff_t n = ipc_decode(buf_span(&c->in), frame, &has_fd, err);

	if (n < 0) {
		c->lost = true;
		return -1;
	}
	c->used = (size_t)n;
	return n > 0;
}

int
frame_client_receive(struct frame_client *c, struct ipc_frame *frame, unsigned timeout_ms, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * US_PER_MS;

	buf_consume(&c->in, c->used);
	c->used = 0;
	for (;;) {
		char *room;
		ssize_t n;
		int decoded = decode(c, frame, err);
		if (decoded != 0)
			return decoded < 0 ? -1 : 0;
		room = buf_reserve(&c->in, 4096);
		if (room == NULL)
			return lost(c, err, "malformed answer of the mail system");
		if (wait_for(c, POLLIN, deadline_us) < 0)
			return lost(c, err, "no answer from the mail system");
		n = recv(c->fd, room, 4096, 0);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return lost(c, err, "the mail system went away");
		buf_added(&c->in, (size_t)n);
	}
}

bool
frame_client_readable(struct frame_client *c)
{
	return c->in.len > c->used || wait_for(c, POLLIN, 0) == 0;
}

int
frame_client_open(struct frame_client *c, const char *path, unsigned timeout_ms, struct error *err)
{
	struct msg_hello hello = {.hash = ipc_hash(), .role = ROLE_TOOL, .pid = (uint32_t)getpid()};
	struct ipc_frame frame;

	*c = (struct frame_client){.fd = ipc_connect(path, err)};
	if (c->fd < 0)
		return -1;
	buf_init(&c->in, IPC_FRAME_MAX * 2);
	io_set_nonblocking(c->fd);
	if (frame_client_send(c, IPC_HELLO, 0, &hello, err) < 0 ||
	    frame_client_receive(c, &frame, timeout_ms, err) < 0)
		goto fail;
	if (frame.type != IPC_HELLO || frame.hello.hash != ipc_hash()) {
		error_set(err, "%s: another version of the mail system answers", path);
		goto fail;
	}
	return 0;
fail:
	frame_client_close(c);
	return -1;
}

void
frame_client_close(struct frame_client *c)
{
	io_close(&c->fd);
	buf_free(&c->in);
}
