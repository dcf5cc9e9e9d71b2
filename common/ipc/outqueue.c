#include "common/ipc/outqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"

enum { BLOCK_BYTES = 2 * IPC_FRAME_MAX, SMALL_BLOCK_BYTES = 1024, SPARE_BLOCKS = 8, MOST_VECTORS = 16 };

struct outblock {
	struct outblock *next;
	bool secret; /* one of its frames is */
	size_t start, end, size;
	char bytes[];
};

/* Blocks of full size that are free, last used first: they are warm. */
static struct outblock *spare;
static unsigned spare_count;

static struct outblock *
block_new(size_t size)
{
	struct outblock *b;

	if (size == BLOCK_BYTES && spare != NULL) {
		b = spare;
		spare = b->next;
		spare_count--;
	} else {
		b = malloc(sizeof(*b) + size);
		if (b == NULL)
			panic("out of memory for an output block");
	}
	*b = (struct outblock){.size = size};
	return b;
}

static void
block_free(struct outblock *b)
{
	if (b->secret)
		explicit_bzero(b->bytes, b->end);
	if (b->size != BLOCK_BYTES || spare_count >= SPARE_BLOCKS) {
		free(b);
		return;
	}
	b->next = spare;
	spare = b;
	spare_count++;
}

static void
drop_first_block(struct outqueue *q)
{
	struct outblock *b = q->first;

	q->first = b->next;
	if (q->first == NULL)
		q->last = NULL;
	block_free(b);
}

static void
add_rider(struct outqueue *q, uint64_t position, int fd)
{
	if (q->rider_first > 0 && q->rider_first + q->rider_count == q->rider_cap) {
		memmove(q->riders, q->riders + q->rider_first, q->rider_count * sizeof(*q->riders));
		q->rider_first = 0;
	}
	if (q->rider_count == q->rider_cap) {
		q->rider_cap = q->rider_cap ? q->rider_cap * 2 : 8;
		q->riders = mem_resize(q->riders, q->rider_cap * sizeof(*q->riders));
	}
	q->riders[q->rider_first + q->rider_count++] = (struct rider){position, fd};
}

void
outqueue_clear(struct outqueue *q)
{
	while (q->first)
		drop_first_block(q);
	for (size_t i = 0; i < q->rider_count; i++)
		io_close(&q->riders[q->rider_first + i].fd);
	free(q->riders);
	*q = (struct outqueue){0};
}

char *
outqueue_add(struct outqueue *q, size_t size, int fd)
{
	struct outblock *b = q->last;

	if (b == NULL || b->size - b->end < size) {
		b = block_new(!q->small ? BLOCK_BYTES : size > SMALL_BLOCK_BYTES ? size : SMALL_BLOCK_BYTES);
		if (q->last)
			q->last->next = b;
		else
			q->first = b;
		q->last = b;
	}
	if (fd >= 0)
		add_rider(q, q->appended, fd);
	b->end += size;
	q->appended += size;
	return b->bytes + b->end - size;
}

void
outqueue_secret(struct outqueue *q)
{
	q->last->secret = true;
}

void
outqueue_move(struct outqueue *q, struct outqueue *from)
{
	size_t rider = 0;

	/* Frames are copied: what waited for credit is little, and its blocks go back to the pool. */
	for (struct outblock *b = from->first; b; b = b->next) {
		size_t at = b->start;

		while (at < b->end) {
			uint32_t size;
			int fd = -1;

			memcpy(&size, b->bytes + at, sizeof(size));
			if (rider < from->rider_count &&
			    from->riders[from->rider_first + rider].position == from->written) {
				fd = from->riders[from->rider_first + rider].fd;
				from->riders[from->rider_first + rider++].fd = -1;
			}
			memcpy(outqueue_add(q, size, fd), b->bytes + at, size);
			if (b->secret)
				outqueue_secret(q);
			at += size;
			from->written += size;
		}
	}
	outqueue_clear(from);
}

/* Octets of the next write: up to the next frame with a descriptor. *fd: the one that goes with its first octet. */
static size_t
next_run(const struct outqueue *q, int *fd)
{
	const struct rider *r;
	size_t count = q->rider_count;

	*fd = -1;
	if (count == 0)
		return outqueue_size(q);
	r = q->riders + q->rider_first;
	if (r->position == q->written) {
		*fd = r->fd;
		r++;
		count--;
	}
	return count > 0 ? (size_t)(r->position - q->written) : outqueue_size(q);
}

static ssize_t
send_run(const struct outqueue *q, int socket, size_t run, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec vectors[MOST_VECTORS];
	struct msghdr message = {.msg_iov = vectors};
	struct outblock *b = q->first;

	while (run > 0 && message.msg_iovlen < MOST_VECTORS) {
		size_t len = b->end - b->start < run ? b->end - b->start : run;

		vectors[message.msg_iovlen++] = (struct iovec){b->bytes + b->start, len};
		run -= len;
		b = b->next;
	}
	if (fd >= 0) {
		struct cmsghdr *c;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* n octets were taken by the kernel. */
static void
advance(struct outqueue *q, size_t n)
{
	q->written += n;
	while (n > 0) {
		struct outblock *b = q->first;
		size_t len = b->end - b->start < n ? b->end - b->start : n;

		b->start += len;
		n -= len;
		if (b->start == b->end)
			drop_first_block(q);
	}
}

int
outqueue_write(struct outqueue *q, int socket)
{
	while (outqueue_size(q) > 0) {
		int fd;
		size_t run = next_run(q, &fd);
		ssize_t n = send_run(q, socket, run, fd);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
		if (fd >= 0) {
			close(q->riders[q->rider_first].fd);
			q->rider_first = q->rider_count > 1 ? q->rider_first + 1 : 0;
			q->rider_count--;
		}
		advance(q, (size_t)n);
	}
	return 1;
}
