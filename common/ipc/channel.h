/*
 * channel: what channel.c, send.c, flush.c and receive.c share of a connection.
 */
#ifndef POSTERN_IPC_CHANNEL_H
#define POSTERN_IPC_CHANNEL_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/base/buf.h"
#include "common/ipc/codec.h"
#include "common/ipc/conversation.h"
#include "common/ipc/ipc.h"
#include "common/ipc/outqueue.h"

/* Descriptors that came and whose frames are not yet whole. */
enum { MOST_FDS = 32 };

struct ipc_channel {
	int fd;
	bool dead; /* closed; freed when nobody is in it any more */
	bool hello_seen;
	bool blocked; /* the socket is full: on_writable goes on */
	bool dirty; /* in the list of ipc_flush_all() */
	bool write_dead; /* the peer reads no more; what it sent before is still read */
	unsigned entered; /* functions on the stack that still look at the channel */

	enum role expected, peer_role;
	uint32_t expected_index;
	bool index_is_known;
	uint32_t peer_index, peer_pid;
	unsigned peer_uid;
	struct ipc_callbacks callbacks;
	const struct ipc_permit *by_type[IPC_TYPE_COUNT];
	void *data;

	struct event readable, writable, timer;
	struct event gather; /* pending while output gathers */
	unsigned gather_ms;
	int64_t timer_us; /* what the timer is set to, 0: off */

	struct buf rest; /* of a frame that is not yet whole */
	int fds[MOST_FDS];
	size_t fd_count;

	struct outqueue out;
	struct conversations ours;
	uint32_t credit, granted_to_us; /* ASKs that we may send now; of how many in all */

	uint32_t theirs, granted; /* conversations that the peer has open with us; how many it may */
	uint32_t last_ask;
	bool asks_wrapped;

	struct ipc_channel *next_dirty;
};

/* receive.c: reads and handles what came. */
void receive(struct ipc_channel *c);

/* ---- send.c ---- */

/* Encodes into q; an FD in it is duplicated. -1 with a line in the log: the message cannot be sent as it is. */
int channel_gather(struct outqueue *q, enum ipc_type type, uint32_t call, const void *message);

/* Sends what waits for credit, as far as there is some. */
void channel_use_credit(struct ipc_channel *c);

/* ---- flush.c ---- */

/* Its output goes out at the end of the turn, or a little later where it gathers. */
void channel_mark_dirty(struct ipc_channel *c);
void channel_unmark_dirty(struct ipc_channel *c);

/* As much as the socket takes; the rest goes on by channel_on_writable(). */
void channel_write_out(struct ipc_channel *c);
void channel_set_blocked(struct ipc_channel *c, bool blocked);

/* Events. */
void channel_on_writable(evutil_socket_t fd, short what, void *context);
void channel_on_gathered(evutil_socket_t fd, short what, void *context);

/* ---- channel.c ---- */

void channel_enter(struct ipc_channel *c);
void channel_leave(struct ipc_channel *c);

/* Closes it with a warning line. */
void channel_violation(struct ipc_channel *c, const char *text);

/* Sets the timer to the first deadline. */
void channel_arm_timer(struct ipc_channel *c);

/* Nobody waits for its answer any more. The peer still owes it: until then the number stays taken. */
void channel_give_up(struct ipc_channel *c, struct conversation *conversation);

#endif
