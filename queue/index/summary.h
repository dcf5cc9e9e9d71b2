/*
 * summary: what filters and counts need to know of a message, small and of a fixed form.
 *
 * A row (at most SUMMARY_RECIPIENTS recipients, all with the same envelope sender; a message with more has several) lies under id
 * and part. Texts are numbers of the dictionary; addresses are hashes under the index's key. All that is decoded is hostile:
 * lengths are checked.
 *
 *   u8 flags   u8 count   u32 sender's domain   u64 sender's hash   u32 arrival (spool time, seconds)
 *   u64 size   u64 log position   u32 hold reason
 *   with SUMMARY_OWN_SENDER:   u32 domain   u64 hash     of the sender of these recipients (a list's owner)
 *   then, count times:
 *   u64 recipient's hash   u32 domain   u32 hop   u32 reason   u8 length   variables of the reason
 *   with SUMMARY_ORIGINALS:    u32 domain   u64 hash     of its original address, where that is another one; else 0
 */
#ifndef POSTERN_QUEUE_SUMMARY_H
#define POSTERN_QUEUE_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

enum {
	SUMMARY_HELD = 1,
	SUMMARY_IN_FILE = 2,
	SUMMARY_OWN_SENDER = 4,
	SUMMARY_ORIGINALS = 8,
	SUMMARY_FLAGS = 15
};
enum { SUMMARY_RECIPIENTS = 32, SUMMARY_VARIABLES_MAX = 254, SUMMARY_KEY_SIZE = 12 };

struct summary {
	uint64_t id;
	uint32_t part;
	uint8_t flags;
	uint8_t count;
	uint32_t sender_domain;
	uint64_t sender;
	uint32_t arrival_s;
	uint64_t size;
	uint64_t position;
	uint32_t hold_reason;
	uint32_t own_domain;
	uint64_t own_sender;
	struct span rest; /* recipients not yet read */
};

struct summary_recipient {
	uint64_t address;
	uint32_t domain, hop, reason;
	struct span variables;
	bool cut; /* they are too long to be here */
	uint32_t original_domain;
	uint64_t original; /* 0: the address itself */
};

/* count is the number of recipients that will be added; flags: of that row. */
void summary_begin(struct buf *out, const struct summary *s);
void summary_add(struct buf *out, uint8_t flags, const struct summary_recipient *r);

/* -1 if it is none. */
int summary_decode(struct span key, struct span value, struct summary *s);

/* 1 and the next recipient, 0 after the last, -1 if malformed. */
int summary_next(struct summary *s, struct summary_recipient *r);

#endif
