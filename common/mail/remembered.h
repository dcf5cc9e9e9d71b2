/*
 * remembered: what delivery and local made of recipients lately, for a queue that died before it had written it down.
 *
 * When it is back it hands out the same attempts again, each to the worker that told it of them (JOB_KEPT); who has an outcome
 * here gets it without a second delivery. Outcomes
 * that queue has been told are kept too, for they may have died with it on their way; what it did hear of is never handed
 * out as the same attempt again. An outcome that needs more than itself to be told (an expansion's new recipients) is not for
 * this.
 */
#ifndef POSTERN_MAIL_REMEMBERED_H
#define POSTERN_MAIL_REMEMBERED_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

/* Beyond that many the oldest is forgotten, and its delivery repeated at worst. */
enum { REMEMBERED_MAX = 1000 };

/* A recipient in one attempt: orig_to tells apart those that have the same address. */
struct remembered_key {
	uint64_t id;
	uint32_t attempt;
	struct span recipient, orig_to;
};

struct remembered;

struct remembered *remembered_new(void);
void remembered_free(struct remembered **r);

/* Stands for the key between processes. */
uint64_t remembered_hash(const struct remembered_key *key);

/* The hashes of all that is kept: returns how many, at most REMEMBERED_MAX. */
size_t remembered_hashes(const struct remembered *r, uint64_t hashes[REMEMBERED_MAX]);

/* Keeps a copy of size octets. */
void remembered_put(struct remembered *r, const struct remembered_key *key, const void *outcome, size_t size);

/* The copy, which is the caller's to free() and forgotten here, or NULL. */
void *remembered_take(struct remembered *r, const struct remembered_key *key);

#endif
