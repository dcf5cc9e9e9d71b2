/*
 * order: puts lines of many senders in the order of their times.
 *
 * Senders gather lines for some milliseconds (LOG_GATHER_MS in common/server/peers.c), each in its own connection, so a
 * message's "removed" may come before its "status=sent". Log tools want one story: lines are held until nobody can
 * have an earlier one, then given on in order of time, those of equal time as they came.
 */
#ifndef POSTERN_LOG_ORDER_H
#define POSTERN_LOG_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct order;

struct order_line {
	int level;
	int64_t time_us;
	uint32_t pid;
	struct span ident;
	struct span text;
};

/* give: takes a line whose turn has come; its spans live until it returns. */
struct order *order_new(void (*give)(const struct order_line *line, void *context), void *context);
void order_free(struct order **o);

/*
 * Keeps a copy. At the bound of lines that are held, the earlier half is given on at once. now_us: the wall clock, here and below.
 * A time that lies ahead of it counts as now; where it was set back, what was held before is given on first.
 */
void order_add(struct order *o, const struct order_line *line, int64_t now_us);

/* Gives on, in order, all lines that are hold_us old; where the clock was set back, all that are held. */
void order_release(struct order *o, int64_t now_us, int64_t hold_us);

size_t order_count(const struct order *o);

#endif
