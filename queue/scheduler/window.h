/*
 * window: how many jobs one destination may have at once, learnt from how jobs ended (Postfix's SCHEDULER_README).
 *
 * Success makes it wider, by the positive feedback each; a job that could not reach the destination makes it narrower,
 * by the negative feedback, never below one. When failures have added up to so many pseudo-cohorts (a cohort is a
 * window full of jobs) without the window growing in between, the destination is down. Arithmetic only: no clock, no
 * queue.
 */
#ifndef POSTERN_QUEUE_WINDOW_H
#define POSTERN_QUEUE_WINDOW_H

#include <stdbool.h>

#include "common/conf/feedback.h"

struct window_rules {
	unsigned initial;
	unsigned most; /* 0: no limit */
	unsigned cohorts; /* 0: it is never down */
	struct feedback positive, negative;
};

struct window {
	unsigned size; /* at least 1 */
	bool down;
	double success, failure, cohorts;
};

void window_init(struct window *w, const struct window_rules *rules);

/* The rules have changed. */
void window_limit(struct window *w, const struct window_rules *rules);

/* active: jobs under way, the one that ended not counted. Returns true if the destination was down and is back. */
bool window_success(struct window *w, const struct window_rules *rules, unsigned active);

/* Returns true if it is down since now. */
bool window_failure(struct window *w, const struct window_rules *rules);

#endif
