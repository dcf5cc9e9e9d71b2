/*
 * hop: what jobs teach about a destination.
 *
 * The window grows by one when as many jobs in a row as it has places went well, and shrinks by one for each that
 * could not reach it. Where nothing is left the hop is down: what waits there is deferred as if it had been
 * tried, so that it ages and can expire, and one job at a time asks whether it is back.
 */
#include <stdio.h>

#include "common/base/clock.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

/* NAME_what of the hop's transport: the file's, or that of all transports. */
static int64_t
limit_of(const struct queue *q, const struct hop *hop, const char *what)
{
	char name[CONF_NAME_MAX + 1];

	int64_t limit = -1;

	if ((size_t)snprintf(name, sizeof(name), "%s_%s", hop->transport, what) < sizeof(name))
		limit = conf_lookup_number(q->conf, name);
	if (limit < 0) {
		snprintf(name, sizeof(name), "default_%s", what);
		limit = conf_lookup_number(q->conf, name);
	}
	return limit;
}

void
hop_set_limits(struct queue *q, struct hop *hop)
{
	int64_t initial = limit_of(q, hop, "initial_destination_concurrency");
	int64_t most = q->conf->default_destination_concurrency_limit;
	int64_t cohorts = limit_of(q, hop, "destination_concurrency_failed_cohort_limit");

	/* All of a domain's mailboxes are one hop of local, which keeps the jobs for one mailbox apart itself. */
	if (hop->kind != HOP_TO_LOCAL)
		most = limit_of(q, hop, "destination_concurrency_limit");
	hop->rate_delay_us = limit_of(q, hop, "destination_rate_delay");
	if (hop->rate_delay_us > 0)
		most = 1;
	hop->window_max = (unsigned)most;
	hop->window_start = (unsigned)(initial < most ? initial : most);
	if (hop->window > hop->window_max)
		hop->window = hop->window_max;
	hop->failures_max = hop->window_start * (unsigned)cohorts;
	hop->recipient_limit = (uint32_t)limit_of(q, hop, "destination_recipient_limit");
}

/* Postfix's words; the code is that of the failure where there is one. */
static void
suspend(struct queue *q, struct hop *hop)
{
	char text[400];
	struct message *m;
	struct recipient *r;
	uint32_t count;
	bool flush;

	snprintf(text, sizeof(text), "delivery temporarily suspended: %s", hop->reason);
	while ((r = hop_take(q, hop, UINT32_MAX, &m, &count, &flush))) {
		struct outcome o = {.class = OUTCOME_DEFERRED,
		    .status = SPAN_LIT("4.4.1"),
		    .relay = SPAN_LIT("none"),
		    .text = span_of(text)};
		struct recipient *next;

		m->busy++;
		for (; r; r = next) {
			next = r->next;
			r->next = NULL;
			r->hop = NULL;
			outcome_set(q, m, r, &o);
			outcome_log(m, r, &o);
		}
		m->busy--;
		outcome_settle(q, m);
	}
}

void
hop_feedback(struct queue *q, struct hop *hop, enum hop_state state, const char *text)
{
	if (hop->rate_delay_us > 0)
		hop->pause_us = spool_clock_now() + hop->rate_delay_us;
	switch (state) {
	case HOP_UP:
		hop->failures = 0;
		hop->down_since_us = 0;
		if (hop->window == 0)
			hop->window = hop->window_start;
		if (++hop->successes >= hop->window && hop->window < hop->window_max) {
			hop->window++;
			hop->successes = 0;
		}
		break;
	case HOP_BUSY:
		hop->successes = 0;
		if (hop->window > 1)
			hop->window--;
		break;
	case HOP_DOWN:
		hop->successes = 0;
		hop->failures++;
		snprintf(hop->reason, sizeof(hop->reason), "%s", text);
		if (hop->window > 1)
			hop->window--;
		/* As many failures in a row as it may have jobs at first (times the cohorts): it is down. */
		if (hop->failures >= hop->failures_max || hop->down_since_us != 0)
			hop->window = 0;
		if (hop->window == 0) {
			if (hop->down_since_us == 0)
				hop->down_since_us = spool_clock_now();
			suspend(q, hop);
		}
		break;
	default:
		break;
	}
}
