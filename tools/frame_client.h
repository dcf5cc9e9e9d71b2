/*
 * frame_client: one conversation over a UNIX socket for a program without an event loop.
 *
 * Blocking, with a deadline for each wait. Only what sendmail(1) needs: HELLO, then frames one after the other.
 */
#ifndef POSTERN_TOOLS_FRAME_CLIENT_H
#define POSTERN_TOOLS_FRAME_CLIENT_H

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/ipc/ipc.h"

struct frame_client {
	int fd;
	struct buf in;
	size_t used; /* octets at the front of in that belong to the frame handed out last */
	bool lost; /* the connection ended, or nothing came in time */
};

/* Connects and exchanges HELLO. Returns -1 with err: nobody there, or one of another version. */
int frame_client_open(struct frame_client *c, const char *path, unsigned timeout_ms, struct error *err);
void frame_client_close(struct frame_client *c);

int frame_client_send(
    struct frame_client *c, enum ipc_type type, uint32_t call, const void *message, struct error *err);

/* The next frame; its spans live until the next call. */
int frame_client_receive(
    struct frame_client *c, struct ipc_frame *frame, unsigned timeout_ms, struct error *err);

/* True if a frame (or the end) can be received without waiting. */
bool frame_client_readable(struct frame_client *c);

#endif
