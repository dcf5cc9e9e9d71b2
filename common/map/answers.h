/*
 * answers: what servers of socketmap and tcp tables say, parsed. Both may be anybody's programs: nothing is believed.
 */
#ifndef POSTERN_MAP_ANSWERS_H
#define POSTERN_MAP_ANSWERS_H

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"
#include "common/ipc/protocol.h"

enum { SOCKETMAP_ANSWER_MAX = 100000, TCP_ANSWER_MAX = 4096 };

/*
 * A netstring "LEN:BYTES," at the start of bytes. Its whole length with *content set; 0 if more octets are needed; -1
 * if it is none, or longer than SOCKETMAP_ANSWER_MAX.
 */
ptrdiff_t netstring_parse(struct span bytes, struct span *content);

/* socketmap_table(5): "OK value", "NOTFOUND ", "TEMP text", "TIMEOUT text", "PERM text". The value is appended. */
enum lookup_status socketmap_answer(struct span content, struct buf *value, struct error *err);

/* tcp_table(5): "200 value", "500 text", "400 text", %-encoded, without the line's end. */
enum lookup_status tcp_answer(struct span line, struct buf *value, struct error *err);

/* Appends text %-encoded, as tcp_table(5) wants keys. */
void tcp_encode(struct buf *out, struct span text);

#endif
