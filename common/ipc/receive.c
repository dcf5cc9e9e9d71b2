/*
 * The reading side of a connection: frames out of bytes, each to whom it belongs.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ipc/channel.h"

enum { READ_BYTES = 256 << 10 };

/* One for the process: a rest from before lies in front of what is read. Handlers never turn the loop. */
static char read_buffer[IPC_FRAME_MAX + READ_BYTES];

/* Takes the descriptors that came. Returns -1 if there were too many. */
static int
take_fds(struct ipc_channel *c, struct msghdr *message)
{
	int result = message->msg_flags & MSG_CTRUNC ? -1 : 0;

	for (struct cmsghdr *m = CMSG_FIRSTHDR(message); m; m = CMSG_NXTHDR(message, m)) {
		size_t count = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(m) + i * sizeof(fd), sizeof(fd));
			if (c->fd_count < MOST_FDS) {
				c->fds[c->fd_count++] = fd;
			} else {
				close(fd);
				result = -1;
			}
		}
	}
	return result;
}

static int
take_fd(struct ipc_channel *c, struct ipc_frame *frame, struct error *err)
{
	int fd;

	if (c->fd_count == 0)
		return error_set(err, "%s came without its descriptor", ipc_type_name(frame->type));
	fd = c->fds[0];
	memmove(c->fds, c->fds + 1, --c->fd_count * sizeof(c->fds[0]));
	if (codec_set_fd(frame, fd) < 0) {
		close(fd);
		return error_set(err, "%s came with a descriptor", ipc_type_name(frame->type));
	}
	return 0;
}

static void
discard_fd(const struct ipc_frame *frame)
{
	int fd = codec_fd(frame->type, &frame->hello);

	if (fd >= 0)
		close(fd);
}

static int
handle_hello(struct ipc_channel *c, const struct ipc_frame *frame, struct error *err)
{
	const struct msg_hello *hello = &frame->hello;

	discard_fd(frame);
	if (frame->type != IPC_HELLO)
		return error_set(err, "%s before HELLO", ipc_type_name(frame->type));
	if (hello->hash != ipc_hash())
		return error_set(err, "it is of another version of Postern");
	if (hello->role != c->expected)
		return error_set(err, "it says that it is %s and should be %s",
		    role_name((enum role)hello->role), role_name(c->expected));
	if (c->index_is_known && hello->index != c->expected_index)
		return error_set(
		    err, "it says that it is number %u and should be %u", hello->index, c->expected_index);
	c->hello_seen = true;
	c->peer_index = hello->index;
	c->peer_pid = hello->pid;
	c->granted_to_us = hello->credit;
	c->credit = hello->credit;
	if (c->callbacks.up)
		c->callbacks.up(c, c->callbacks.context);
	if (!c->dead)
		channel_use_credit(c);
	return 0;
}

/* A frame of one of our conversations. */
static int
handle_reply(struct ipc_channel *c, const struct ipc_frame *frame, enum ipc_kind kind, struct error *err)
{
	struct conversation *conversation = conversation_find(&c->ours, frame->call);
	ipc_answer *on_answer;
	void *context;

	if (conversation == NULL || conversation->waiting) {
		discard_fd(frame);
		if (!conversation_known(&c->ours, frame->call) || conversation)
			return error_set(err, "%s for conversation %u, which was not opened",
			    ipc_type_name(frame->type), frame->call);
		return error_set(
		    err, "%s for conversation %u, which is over", ipc_type_name(frame->type), frame->call);
	}
	if (!codec_replies(frame->type, conversation->asked)) {
		discard_fd(frame);
		return error_set(err, "%s for conversation %u, which is about %s", ipc_type_name(frame->type),
		    frame->call, ipc_type_name(conversation->asked));
	}
	on_answer = conversation->on_answer;
	context = conversation->context;
	if (kind == IPC_KIND_ANSWER) {
		conversation_remove(&c->ours, conversation);
		if (c->credit < c->granted_to_us)
			c->credit++;
		channel_use_credit(c);
	} else if (conversation->deadline_us != 0) {
		conversation_set_deadline(&c->ours, conversation, clock_mono_us() + conversation->timeout_us);
	}
	if (on_answer)
		return on_answer(context, frame, err);
	discard_fd(frame);
	return 0;
}

/* Something that the peer began: the permit table decides. */
static int
handle_request(struct ipc_channel *c, const struct ipc_frame *frame, enum ipc_kind kind, struct error *err)
{
	const struct ipc_permit *permit = c->by_type[frame->type];

	if (permit == NULL) {
		discard_fd(frame);
		return error_set(
		    err, "%s is not permitted to %s", ipc_type_name(frame->type), role_name(c->peer_role));
	}
	if (kind == IPC_KIND_ASK) {
		if (c->theirs >= c->granted)
			return error_set(
			    err, "%s beyond its credit of %u", ipc_type_name(frame->type), c->granted);
		c->theirs++;
		if (frame->call < c->last_ask)
			c->asks_wrapped = true;
		c->last_ask = frame->call;
	} else if (kind == IPC_KIND_MORE && frame->call > c->last_ask && !c->asks_wrapped) {
		discard_fd(frame);
		return error_set(err, "%s for conversation %u, which was not opened",
		    ipc_type_name(frame->type), frame->call);
	}
	return permit->handler(c, frame, c->callbacks.context, err);
}

static int
handle(struct ipc_channel *c, struct ipc_frame *frame, bool has_fd, struct error *err)
{
	enum ipc_kind kind = codec_kind(frame->type);

	if (has_fd && take_fd(c, frame, err) < 0)
		return -1;
	if (!c->hello_seen)
		return handle_hello(c, frame, err);
	if (kind == IPC_KIND_PART || kind == IPC_KIND_ANSWER)
		return handle_reply(c, frame, kind, err);
	return handle_request(c, frame, kind, err);
}

/* All whole frames in the first len octets. Returns how many octets they had, or -1 with err filled. */
static ptrdiff_t
handle_all(struct ipc_channel *c, size_t len, struct error *err)
{
	struct span bytes = span_make(read_buffer, len);
	struct ipc_frame frame;
	size_t done = 0;
	bool has_fd;
	int result;

	while (!c->dead) {
		ptrdiff_t n = ipc_decode(span_from(bytes, done), &frame, &has_fd, err);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		result = handle(c, &frame, has_fd, err);
		if (codec_secret(frame.type))
			explicit_bzero(read_buffer + done, (size_t)n);
		if (result < 0)
			return -1;
		done += (size_t)n;
	}
	if (!c->dead && done == bytes.len && c->fd_count > 0)
		return error_set(err, "it sent a descriptor that belongs to no message");
	return (ptrdiff_t)done;
}

static ssize_t
read_some(struct ipc_channel *c, size_t rest, bool *truncated)
{
	union {
		char bytes[CMSG_SPACE(MOST_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec vector = {read_buffer + rest, READ_BYTES};
	struct msghdr message = {
	    .msg_iov = &vector,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	*truncated = n >= 0 && take_fds(c, &message) < 0;
	return n;
}

void
receive(struct ipc_channel *c)
{
	struct ipc_channel *closing = c;
	struct error err = {0};
	size_t rest = c->rest.len;
	ptrdiff_t done;
	bool truncated;
	ssize_t n;

	n = read_some(c, rest, &truncated);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ipc_channel_close(&closing);
		return;
	}
	if (truncated) {
		channel_violation(c, "it sent too many descriptors");
		return;
	}
	channel_enter(c);
	if (rest > 0)
		memcpy(read_buffer, buf_ptr(&c->rest), rest);
	if (codec_may_be_secret(buf_span(&c->rest)))
		explicit_bzero(buf_ptr(&c->rest), rest);
	done = handle_all(c, rest + (size_t)n, &err);
	if (done < 0) {
		channel_violation(c, err.text);
	} else if (!c->dead) {
		rest = rest + (size_t)n - (size_t)done;
		if (rest > 0) {
			buf_clear(&c->rest);
			buf_append(&c->rest, read_buffer + done, rest);
			if (codec_may_be_secret(buf_span(&c->rest)))
				explicit_bzero(read_buffer + done, rest);
		} else {
			buf_free(&c->rest);
		}
	}
	channel_leave(c);
}
