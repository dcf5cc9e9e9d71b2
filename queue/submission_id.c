/*
 * submission_id: the ids that submitters name. Who has taken smtpd or pickup must reach no message but those that he brings himself,
 * and no id that is given later: each names only ids of its own number (queue/main.c), none of a time to come, and one that may have
 * been used is stored only when it is known that it is free.
 */
#include "common/base/clock.h"
#include "common/mail/queue_id.h"
#include "queue/submission.h"

enum {
	AHEAD_US = 10 * US_PER_SECOND, /* of the clock, which may have been set back since the id was given */
	COUNTED_US = 100 * US_PER_MS, /* on from the highest known, while the clock is behind that */
	YOUNG_S = 600 /* what memory or a submitter's own sessions know */
};

void
submission_id_tick(struct queue *q)
{
	int64_t now_us = clock_wall_us();

	if (now_us > q->wall_high_us)
		q->wall_high_us = now_us;
}

bool
submission_id_is_possible(struct queue *q, uint64_t id)
{
	int64_t at_us = queue_id_time_us(id);

	submission_id_tick(q);
	return at_us <= q->wall_high_us + AHEAD_US || at_us <= queue_id_time_us(q->id_high) + COUNTED_US;
}

bool
submission_id_may_be_used(const struct queue *q, uint64_t id)
{
	return id <= q->id_high_at_start ||
	       queue_id_time_us(id) + YOUNG_S * US_PER_SECOND < queue_id_time_us(q->id_high);
}
