/*
 * ipc: one connection between two of Postern's processes.
 *
 * Frames of a typed message each (messages.def) travel over a SOCK_STREAM UNIX socket, many a read and many a
 * write: what a turn of the event loop sends goes out when the turn ends (ipc_flush_all(), called by the server
 * skeleton). A frame that is malformed, not permitted or out of place costs the sender its connection, with a
 * line in the log, and never the receiver its life.
 *
 * Conversations: ipc_ask() opens one with an ASK and gets a number; the asker goes on with MORE messages of that
 * number, the answerer with PARTs and one ANSWER. Each ASK needs credit, of which the answerer grants a fixed
 * number in its HELLO and one back with each ANSWER; without credit an ASK waits here, in order, with what
 * follows it. When the deadline passes or the connection ends, the asker's callback is told with a NULL frame.
 *
 * Spans in a decoded frame point into the read buffer and live until the handler returns.
 */
#ifndef POSTERN_IPC_IPC_H
#define POSTERN_IPC_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/ipc/protocol.h"

struct event_base;
struct buf;
struct ipc_channel;

/* Enough for the largest message of messages.def. */
enum { IPC_FRAME_MAX = 65536, IPC_HEADER_SIZE = 12 };

/* struct msg_NAME */
#define MESSAGE(NAME, name, kind) struct msg_##name {
#define U8(message, field) uint8_t field;
#define U32(message, field) uint32_t field;
#define U64(message, field) uint64_t field;
#define I64(message, field) int64_t field;
#define TEXT(message, field, max) struct span field;
#define BYTES(message, field, max) struct span field;
#define FD(message, field) int field;
#define END(name)                                                                                            \
	}                                                                                                    \
	;
#include "common/ipc/messages.def"

/* enum IPC_NAME */
#define MESSAGE(NAME, name, kind) IPC_##NAME,
enum ipc_type {
	IPC_NONE,
#include "common/ipc/messages.def"
	IPC_TYPE_COUNT
};

/* A decoded message: type says which member of the union holds it. */
#define MESSAGE(NAME, name, kind) struct msg_##name name;
struct ipc_frame {
	enum ipc_type type;
	uint32_t call; /* the conversation, 0 for a NOTE */
	union {
#include "common/ipc/messages.def"
	};
};

/* ---- the codec, also used by what keeps messages in files and by the fuzz target ---- */

/* Appends a whole frame. message is the struct of that type. Returns -1 if a field is over its bound or out is full. */
int ipc_encode(struct buf *out, enum ipc_type type, uint32_t call, const void *message);

/*
 * Decodes the frame at the start of bytes. Returns its whole length; 0 if bytes end before the frame does; -1 if
 * it is malformed. FD fields are set to -1; *has_fd tells whether the sender attached one.
 */
ptrdiff_t ipc_decode(struct span bytes, struct ipc_frame *frame, bool *has_fd, struct error *err);

const char *ipc_type_name(enum ipc_type type);

/* One line "NAME field=value ..." for debugging and tests; contents are not shown, only their length. */
void ipc_print(struct buf *out, const struct ipc_frame *frame);

/* Identifies this version of messages.def. */
uint64_t ipc_hash(void);

/* ---- channels ---- */

/*
 * A frame came that the permit table allows. Descriptors in it are the handler's from now on. A handler that finds
 * the frame out of place returns -1 with err filled: the connection is closed and the text is logged.
 */
typedef int ipc_handler(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err);

/* Who may send what: one table per process. Frames of an open conversation of ours (PART, ANSWER) need no row. */
struct ipc_permit {
	enum ipc_type type;
	unsigned roles; /* ROLE_BIT()s */
	ipc_handler *handler;
};

struct ipc_callbacks {
	const struct ipc_permit *permits;
	size_t permit_count;
	/* HELLO has come and fits; may be NULL. */
	void (*up)(struct ipc_channel *channel, void *context);
	/* The connection is gone; the channel is freed when this returns. All asks were told before. May be NULL. */
	void (*down)(struct ipc_channel *channel, void *context);
	void *context;
};

/*
 * Takes fd over. own: who we are in HELLO. expected: the only role that the peer may claim. credit: how many
 * conversations the peer may have open with us.
 */
struct ipc_channel *ipc_channel_new(struct event_base *base, int fd, enum role own, uint32_t own_index,
    enum role expected, uint32_t credit, const struct ipc_callbacks *callbacks);

/* Closes it: asks are told, down() is called. Safe within a handler. Clears the caller's pointer. */
void ipc_channel_close(struct ipc_channel **channel);

enum role ipc_peer_role(const struct ipc_channel *channel);
uint32_t ipc_peer_index(const struct ipc_channel *channel);
uint32_t ipc_peer_pid(const struct ipc_channel *channel);

/* From SO_PEERCRED: for sockets that any user may connect to. */
unsigned ipc_peer_uid(const struct ipc_channel *channel);

/* Free for the owner of the channel. */
void ipc_set_data(struct ipc_channel *channel, void *data);
void *ipc_data(const struct ipc_channel *channel);

/*
 * Sends a NOTE (call 0), MORE, PART or ANSWER. message is the struct of that type; an FD in it is duplicated
 * (the caller keeps its own). Returns -1 if the channel is NULL or dead: then nothing was sent, ever.
 */
int ipc_send(struct ipc_channel *channel, enum ipc_type type, uint32_t call, const void *message);

/*
 * frame is a PART or the ANSWER that belongs to what was asked (REPLY in messages.def); NULL when there will be none
 * (deadline, connection gone). After an ANSWER or NULL the conversation is over. Not called after ipc_cancel().
 * Returns -1 with err filled if the frame makes no sense: the connection is closed.
 */
typedef int ipc_answer(void *context, const struct ipc_frame *frame, struct error *err);

/*
 * Opens a conversation. timeout_ms counts to the ANSWER, each PART starts it anew; 0: none. Returns its number, or
 * 0 if the channel is NULL or dead or too much waits for credit already: then on_answer is not called.
 */
uint32_t ipc_ask(struct ipc_channel *channel, enum ipc_type type, const void *message, unsigned timeout_ms,
    ipc_answer *on_answer, void *context);

/* The asker no longer cares: answers that come are dropped (and give their credit back). */
void ipc_cancel(struct ipc_channel *channel, uint32_t call);

/* Octets that wait to be written, those without credit included. */
size_t ipc_backlog(const struct ipc_channel *channel);

/* Before its HELLO: which one of its role the peer is. Who says that he is another one loses the connection. */
void ipc_expect_index(struct ipc_channel *channel, uint32_t index);

/*
 * What is sent on this channel may gather for so many milliseconds (0: not at all), unless it is much: for streams of
 * small notes that nobody waits for. Sent in order all the same.
 */
void ipc_set_gather(struct ipc_channel *channel, unsigned gather_ms);

/* Writes out what all channels of this process gathered. The server skeleton calls it after each turn of the loop. */
void ipc_flush_all(void);

/* True while some peer of this process has not taken what was written out to it: a process that ends now takes that along. */
bool ipc_has_unsent(void);

/* For programs without a loop of their own (tools): connect to a UNIX socket; "@..." has no file. Returns the descriptor or -1. */
int ipc_connect(const char *path, struct error *err);

#endif
