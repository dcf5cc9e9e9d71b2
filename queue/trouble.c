#include "queue/trouble.h"

#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "queue/queue.h"

static const struct {
	const char *begins, *ends;
} words[TROUBLE_COUNT] = {
    [TROUBLE_SPACE] = {"no more mail is accepted", "there is space again: mail is accepted"},
    [TROUBLE_FILES] = {"large messages are refused", "large messages are accepted again"},
    [TROUBLE_LOG] = {"the spool cannot be written to", "the spool can be written to again"},
    [TROUBLE_INDEX] = {"the index waits", "the index goes on"},
};

void
trouble_set(struct queue *q, enum trouble which, const struct error *err)
{
	struct trouble_state *t = &q->trouble[which];

	if (!err) {
		if (t->since_us != 0)
			log_info(&queue_log, "%s", words[which].ends);
		t->since_us = 0;
		return;
	}
	span_copy(span_sub(span_of(err->text), 0, sizeof(t->text) - 1), t->text, sizeof(t->text));
	if (t->since_us != 0)
		return;
	t->since_us = clock_wall_us();
	log_warning(&queue_log, "%s: %s", words[which].begins, t->text);
}

bool
trouble_is(const struct queue *q, enum trouble which)
{
	return q->trouble[which].since_us != 0;
}

void
trouble_print(const struct queue *q, struct buf *out)
{
	for (size_t i = 0; i < TROUBLE_COUNT; i++) {
		const struct trouble_state *t = &q->trouble[i];
		time_t since = (time_t)(t->since_us / US_PER_SECOND);
		char when[40];
		struct tm tm;

		if (t->since_us == 0 || (i == TROUBLE_FILES && trouble_is(q, TROUBLE_SPACE)))
			continue;
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&since, &tm));
		buf_printf(out, "%s%s: %s (since %s)", out->len ? "; " : "", words[i].begins, t->text, when);
	}
}
