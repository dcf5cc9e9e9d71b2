/*
 * outqueue: frames that wait to be written, with the descriptors that ride along.
 *
 * Bytes lie in blocks that are given back as soon as they are written, so that an idle connection holds none. A
 * frame with a descriptor is sent in a sendmsg() that starts at that frame: so descriptors arrive in the order of
 * their frames, and never after them.
 */
#ifndef POSTERN_IPC_OUTQUEUE_H
#define POSTERN_IPC_OUTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outblock;

struct rider {
	uint64_t position; /* of the frame's first octet, counted from the start of the connection */
	int fd;
};

struct outqueue {
	struct outblock *first, *last;
	uint64_t appended, written; /* octets since the start of the connection */
	struct rider *riders;
	size_t rider_first, rider_count, rider_cap;
	bool small; /* many of these wait, each with little: blocks just as large as needed */
};

/* Closes what was not sent and frees all. */
void outqueue_clear(struct outqueue *q);

/* Room for one frame of size octets, to be filled at once. fd: -1, or a descriptor that is the queue's from now on. */
char *outqueue_add(struct outqueue *q, size_t size, int fd);

/* The frame that was added last, or what follows in its block, has a secret: the block is overwritten before it is used again. */
void outqueue_secret(struct outqueue *q);

/* All of from goes behind what is in q, and from is empty then. */
void outqueue_move(struct outqueue *q, struct outqueue *from);

static inline size_t
outqueue_size(const struct outqueue *q)
{
	return (size_t)(q->appended - q->written);
}

/* Writes until all is out (1), the socket is full (0), or an error (-1, errno set). */
int outqueue_write(struct outqueue *q, int socket);

#endif
