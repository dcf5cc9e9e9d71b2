#include "delivery/local/recall.h"

#include <stdlib.h>

#include "common/mail/remembered.h"

struct kept_outcome {
	enum outcome_class class;
	uint32_t flags;
	char status[12], text[1000];
};

static struct remembered_key
key_of(uint64_t id, const struct job_recipient *r)
{
	return (struct remembered_key){
	    .id = id, .attempt = r->attempt, .recipient = r->recipient, .orig_to = r->source};
}

void
recall_keep(struct remembered *kept, uint64_t id, const struct job_recipient *r,
    const struct msg_job_outcome *outcome)
{
	struct kept_outcome o = {.class = (enum outcome_class)outcome->class, .flags = outcome->flags};
	struct remembered_key key = key_of(id, r);

	if (outcome->class != OUTCOME_DELIVERED && outcome->class != OUTCOME_RELAYED &&
	    outcome->class != OUTCOME_BOUNCED)
		return;
	span_copy(outcome->status, o.status, sizeof(o.status));
	span_copy(outcome->text, o.text, sizeof(o.text));
	free(remembered_take(kept, &key));
	remembered_put(kept, &key, &o, sizeof(o));
}

bool
recall_outcome(
    struct remembered *kept, uint64_t id, const struct job_recipient *r, struct msg_job_outcome *outcome)
{
	static struct kept_outcome last;
	struct remembered_key key = key_of(id, r);
	struct kept_outcome *o = remembered_take(kept, &key);

	if (!o)
		return false;
	last = *o;
	free(o);
	outcome->class = (uint8_t)last.class;
	outcome->flags = last.flags;
	outcome->status = span_of(last.status);
	outcome->text = span_of(last.text);
	/* Queue may die again before it has written it down. */
	recall_keep(kept, id, r, outcome);
	return true;
}
