/*
 * groups: messages grouped by a text, with their ages.
 *
 * In memory the text is at hand; in summaries it is a number, and named when it is first seen or, for senders, at the end.
 */
#ifndef POSTERN_QUEUE_GROUPS_H
#define POSTERN_QUEUE_GROUPS_H

#include "common/base/table.h"
#include "queue/index/number_map.h"
#include "queue/index/query.h"
#include "queue/message.h"

/* Bounds are in minutes; the last one is open. */
enum { AGE_BUCKETS = 10, GROUPS_MAX = 200000 };

enum group_by { BY_NOTHING, BY_DOMAIN, BY_SENDER, BY_SENDER_DOMAIN, BY_NEXTHOP, BY_REASON };

struct group {
	char *key; /* NULL: not known yet */
	uint64_t messages, bytes;
	uint64_t ages[AGE_BUCKETS];
	uint64_t last_id; /* so that a message counts once in a group */
	uint64_t first_id; /* its sender is the key */
};

struct groups {
	enum group_by by;
	int64_t now_s;
	struct group total;
	struct group *all; /* the first is what did not fit */
	size_t count, cap, named;
	struct table *texts; /* key: place in 'all', from 1 */
	struct number_map numbers; /* of a summary: place + 1 */
};

/* -1 if there is no such grouping. "" is the default. */
int groups_by_parse(const char *word, enum group_by *by);

void groups_init(struct groups *g, enum group_by by);
void groups_free(struct groups *g);

/* A message in memory that matches. */
void groups_add_message(struct groups *g, const struct filter *f, const struct message *m);

/* A recipient that matches, in the indexer's thread. */
int groups_add_summary(struct groups *g, struct index *x, const struct summary *s,
    const struct summary_recipient *r, struct error *err);

/* Names what has no name yet, some at a time, and at last puts the largest first. 1: there is more to name, 0, -1 err. */
int groups_end(struct groups *g, struct index *x, struct error *err);

/* {"key": ..., "messages": ..., "bytes": ..., "ages": [...]} and a newline. */
void groups_row(struct buf *out, const struct group *g);

#endif
