/*
 * record: the codec of the spool's log (records.def).
 *
 * A record is a header, the payload and zeros up to the next multiple of 8:
 *
 *   u32 length       of all, padding included
 *   u8  type         enum record_type
 *   u8  flags        RECORD_SKIPPABLE: a reader that does not know the type may go on without it; RECORD_AGAIN;
 *                    RECORD_XXH3: until segments of version 3 the payload was hashed as the header is
 *   u16 pad          octets of padding
 *   u64 position     in the log: a record that was copied elsewhere is none
 *   u64 id           of the message, 0 for COMMIT
 *   u64 checksum     SipHash under the segment's salt, of the header before it and the hash (XXH3) of all behind it
 *
 * All numbers are little-endian. Since the salt is random and secret, neither what an earlier use of the file left
 * nor bytes that somebody put into a message can pass for a record. Everything that is read is hostile: lengths and
 * counts are checked before they are followed.
 */
#ifndef POSTERN_QUEUE_RECORD_H
#define POSTERN_QUEUE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

enum { RECORD_HEADER_SIZE = 32, RECORD_SALT_SIZE = 16, RECORD_ALIGN = 8 };

/* AGAIN: an older one may be in the log: of a segment that failed, or from before the message was moved away and back. */
enum { RECORD_SKIPPABLE = 1, RECORD_AGAIN = 2, RECORD_XXH3 = 4 };

/* No record is longer; envelope_limit keeps what is written far below. */
enum { RECORD_MAX = 32 * 1024 * 1024 };

#define PART(name) struct part_##name {
#define U8(part, field) uint8_t field;
#define U32(part, field) uint32_t field;
#define U64(part, field) uint64_t field;
#define I64(part, field) int64_t field;
#define TEXT(part, field, max) struct span field;
#define END(name)                                                                                            \
	}                                                                                                    \
	;
#include "queue/log/records.def"

#define RECORD(NAME, number, head, each, content) RECORD_##NAME = number,
enum record_type {
	RECORD_NONE = 0,
#include "queue/log/records.def"
	RECORD_TYPE_COUNT
};

/* part_encode_NAME appends; -1 if a text is over its bound or out is full. part_decode_NAME takes it off the front. */
#define PART(name)                                                                                           \
	int part_encode_##name(struct buf *out, const struct part_##name *part);                             \
	int part_decode_##name(struct span *in, struct part_##name *part);                                   \
	void part_print_##name(struct buf *out, const struct part_##name *part);
#include "queue/log/records.def"

/* enum recipient_state, as stored. */
enum recipient_state {
	RECIPIENT_QUEUED, /* to be attempted when due */
	RECIPIENT_REPORT, /* its fate is known; the DSN that it causes is not durable yet */
	RECIPIENT_DONE
};

/* part_recipient.own_sender: whose the sender of its own is. */
enum own_sender {
	OWN_SENDER_NONE, /* it has none */
	OWN_SENDER_LIST, /* of a list with an owner: what the message's sender asked for ends there (RFC 3461, 5.2.7.3) */
	OWN_SENDER_VERP /* the message's sender, with the recipient in it (common/mail/verp.h) */
};

enum removal_reason {
	REMOVAL_FINISHED,
	REMOVAL_DELETED,
	REMOVAL_REFUSED,
	REMOVAL_EXPIRED,
	REMOVAL_EMPTY = 4,
	REMOVAL_EXPORTED
};

enum edit_kind {
	EDIT_WARNED, /* the delay warning was sent */
	EDIT_ROUTE, /* recipient 'index': transport, nexthop; value: generation */
	EDIT_DUE, /* all queued recipients are due at spool time 'value' (requeue, retry) */
	EDIT_REPORTED, /* recipient 'index': its DSN is durable (value: id) */
	EDIT_RECIPIENT, /* recipient 'index': its address is 'text', its route is to be asked for; due at 'value' */
	EDIT_DROP, /* recipient 'index' is done with, and nobody is told */
	EDIT_NEXTHOP, /* all queued below 'index': transport, nexthop, whatever the tables say; due at 'value' */
	EDIT_EXPIRE, /* it expires at spool time 'value' */
	EDIT_TOLD_HELD, /* postmaster was told that it is on hold */
	EDIT_SENDER, /* its envelope sender is 'text'; routes are to be asked for; due at 'value' */
	EDIT_ADDED /* 'text' is one more recipient, of a RECIPIENTS record in front: for the list of acts */
};

struct record {
	enum record_type type;
	uint8_t flags;
	uint64_t position;
	uint64_t id;
	struct span payload; /* borrowed */
};

/* Starts a record at the end of out: returns where it begins. The payload is appended next. -1 if out is full. */
ptrdiff_t record_begin(struct buf *out, enum record_type type, uint64_t id);

/* Pads it and sets its length. -1 if out is or was full. */
int record_end(struct buf *out, size_t begin);

/* Sets position and checksum of a whole encoded record. */
void record_seal(void *bytes, size_t len, uint64_t position, const uint8_t salt[RECORD_SALT_SIZE]);

/*
 * Reads the record at the front of bytes, which lie at that log position. Returns its length; 0 if bytes end before
 * the record does (length_wanted: how many are needed); -1 if there is no valid record.
 */
ptrdiff_t record_read(struct span bytes, uint64_t position, const uint8_t salt[RECORD_SALT_SIZE],
    struct record *record, size_t *length_wanted);

/* The parts of a payload, one after the other. */
struct record_reader {
	struct span rest;
	uint32_t left; /* 'each' parts not yet read */
};

/* head: the struct of that type's head part. Returns -1 with err if the payload is malformed or the type unknown. */
int record_open(const struct record *record, void *head, struct record_reader *reader, struct error *err);

/* 1 and the next 'each' part, 0 after the last, -1 if malformed. */
int record_next(const struct record *record, struct record_reader *reader, void *each);

bool record_type_is_known(enum record_type type);
const char *record_type_name(enum record_type type);

/* One line for debugging and tests; content is not shown. */
void record_print(struct buf *out, const struct record *record);

#endif
