/*
 * trouble: what keeps the spool from working as it should, since when. Each is logged once when it begins and once
 * when it is over, and told to whoever asks for the status.
 */
#ifndef POSTERN_QUEUE_TROUBLE_H
#define POSTERN_QUEUE_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

struct queue;

enum trouble {
	TROUBLE_SPACE, /* no mail is accepted */
	TROUBLE_FILES, /* none that needs a file of its own; TROUBLE_SPACE says it, too */
	TROUBLE_LOG, /* a segment cannot be written, made or erased */
	TROUBLE_INDEX,
	TROUBLE_COUNT
};

struct trouble_state {
	int64_t since_us; /* wall clock; 0: there is none */
	char text[200];
};

/* err NULL: it is over. */
void trouble_set(struct queue *q, enum trouble which, const struct error *err);
bool trouble_is(const struct queue *q, enum trouble which);

/* All of them in one line, or nothing: "no more mail is accepted: ... (since 2026-01-02 03:04:05)". */
void trouble_print(const struct queue *q, struct buf *out);

#endif
