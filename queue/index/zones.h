/*
 * zones: what runs of messages have nothing of, so that a filter need not look at them.
 *
 * A zone stands for all rows of the summaries between two ids, about 1,000, and keeps, in 4 KB of memory, the range of
 * their times, their largest size, and a Bloom filter of the hashes and numbers in them. It errs to one side: what it says is
 * not there is not there. With the queue grows their number, up to ZONES_MAX; beyond, each stands for more rows. Nothing of it is
 * stored: a zone that is not known yet, or of which much was changed, is read again between other work.
 */
#ifndef POSTERN_QUEUE_ZONES_H
#define POSTERN_QUEUE_ZONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "queue/index/images.h"
#include "queue/index/summary.h"

enum { ZONES_MAX = 2048, ZONE_ROWS = 1024, ZONE_BITS = 32768, ZONE_TOKENS_MAX = 200 };

struct index;

struct zone {
	uint64_t first; /* ids from here to the next one's */
	uint64_t highest; /* of those that are here */
	bool known; /* else it may have anything */
	uint32_t rows, removed; /* as far as they were seen; a row that is replaced counts again */
	uint32_t oldest_s, newest_s;
	uint64_t largest;
	bool held, open; /* has messages on hold, and others */
	bool own; /* has recipients with a sender of their own */
	bool originals; /* has some with another original address */
	struct image image;
	uint64_t bits[ZONE_BITS / 64];
};

struct zones {
	struct zone **all; /* ascending, together all ids */
	size_t count, unknown;
	uint32_t rows_a_zone;
	struct images images;
};

void zones_init(struct zones *z, uint32_t rows_a_zone);

/* All is unknown, as at the beginning. */
void zones_forget(struct zones *z);
void zones_fini(struct zones *z);

/* Of that message another row, or none, is stored from now on; a row was stored; one was removed. */
void zones_replace(struct zones *z, uint64_t id);
void zones_add(struct zones *z, const struct summary *s);
void zones_remove(struct zones *z, uint64_t id);

/* The zone is to be read again. */
void zones_forget_one(struct zones *z, struct zone *zone);

/* Reads one zone that is not known. 1 while there may be more, 0, or -1 with err. */
int zones_step(struct index *x, struct error *err);

enum zone_token { ZONE_SENDER, ZONE_SENDER_DOMAIN, ZONE_ADDRESS, ZONE_DOMAIN, ZONE_HOP, ZONE_REASON };

/* A row must have one of these. */
struct zone_set {
	bool wanted; /* else nothing is asked for */
	bool many; /* more than are kept: no help */
	size_t count;
	uint64_t tokens[ZONE_TOKENS_MAX];
};

/* What a filter asks for; all of it must be there. */
struct zone_wanted {
	struct zone_set from, to, hop, reason;
	int64_t oldest_s, newest_s;
	uint64_t larger; /* 0: nothing is asked for, else one octet more */
	bool held, open; /* which of them will do */
};

void zone_set_add(struct zone_set *s, enum zone_token kind, uint64_t value);

/*
 * The next zone above *after that may have it: ids above *after up to *last. NULL: none. *whole: if it has messages at all,
 * every one of them is meant.
 */
struct zone *zones_next(
    const struct zones *z, const struct zone_wanted *w, uint64_t *after, uint64_t *last, bool *whole);

#endif
