/*
 * memo: what a table said within one question.
 *
 * One recipient makes the engine ask a table for the same keys again: is the address valid, and what does it become? The
 * second time the answer comes from here. It lives no longer than the question, so nothing in it can be out of date, and
 * all steps of a question see one content.
 */
#ifndef POSTERN_MAP_MEMO_H
#define POSTERN_MAP_MEMO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"

enum { MEMO_ENTRIES = 16, MEMO_BYTES = 8192 };

struct memo_entry {
	size_t start, key_len, value_len; /* octets of 'bytes': the key, the value behind it */
	bool partial; /* asked as a part of the question */
	bool found, substituted, loose;
	unsigned line;
	uid_t owner;
};

struct memo {
	uint64_t question;
	struct buf bytes;
	unsigned count;
	struct memo_entry entries[MEMO_ENTRIES];
};

void memo_init(struct memo *m);
void memo_free(struct memo *m);

/* What was said to this key in that question. NULL: it was not asked, or the memo was full. */
const struct memo_entry *memo_find(struct memo *m, uint64_t question, struct span key, bool partial);

/* Remembers entry, whose start and lengths are set here. What does not fit is not remembered. After memo_find() alone. */
void memo_keep(struct memo *m, struct memo_entry entry, struct span key, struct span value);

/* Lives until the next question. */
struct span memo_value(const struct memo *m, const struct memo_entry *entry);

#endif
