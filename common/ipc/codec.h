/*
 * codec: what the channel needs of the table beyond ipc.h.
 *
 * A frame is a header of three words in the byte order of the host (both ends are on it): whole length, type with
 * FRAME_HAS_FD, conversation; then the fields in the order of messages.def, texts and bytes with a 16-bit length in
 * front. The length must be exactly what the fields need.
 */
#ifndef POSTERN_IPC_CODEC_H
#define POSTERN_IPC_CODEC_H

#include "common/ipc/ipc.h"

enum ipc_kind { IPC_KIND_NOTE, IPC_KIND_ASK, IPC_KIND_MORE, IPC_KIND_PART, IPC_KIND_ANSWER };

enum ipc_kind codec_kind(enum ipc_type type);

/* It is a PART or ANSWER of conversations that 'asked' opens. */
bool codec_replies(enum ipc_type type, enum ipc_type asked);

/* A field of it is SECRET: whatever carried the frame is overwritten behind it. */
bool codec_secret(enum ipc_type type);

/* The same of a frame of which only the beginning has come. */
bool codec_may_be_secret(struct span frame);

/* Bytes that the frame takes; 0 with err filled if a field is over its bound or a text holds a NUL. */
size_t codec_size(enum ipc_type type, const void *message, struct error *err);

/* Writes the frame, whose size codec_size() said. */
void codec_write(char *to, size_t size, enum ipc_type type, uint32_t call, const void *message);

/* The descriptor in the message, -1 if it has none. */
int codec_fd(enum ipc_type type, const void *message);

/* Puts fd into the frame's FD field. Returns -1 if its type has none. */
int codec_set_fd(struct ipc_frame *frame, int fd);

#endif
