/*
 * Aliases with several addresses behind them, as smtpd and pickup found them in tables: RFC 3461, 5.2.7.3 (c).
 *
 * Who asked to be told of success is told that the alias was expanded, once, and of nothing that becomes of the addresses behind
 * it but failures and delays. Of an alias with one address everything is asked for there (5.2.7.2).
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/submission.h"

/* So many from the first on have come of one address that was given. */
static uint32_t
run_length(const struct part_recipient *all, uint32_t count)
{
	uint32_t n = 1;

	if (all->orig_to.len == 0 || (all->notify & DSN_NOTIFY_SUCCESS) == 0)
		return 1;
	while (n < count && span_equal(all[n].orig_to, all->orig_to) && all[n].notify == all->notify &&
	       span_equal(all[n].orcpt, all->orcpt))
		n++;
	return n;
}

/* Done with, but for the report. The route only says where the report's turn comes from after a start. */
static struct part_recipient
alias_itself(const struct part_recipient *member)
{
	return (struct part_recipient){.recipient = member->orig_to,
	    .orcpt = member->orcpt,
	    .notify = member->notify,
	    .transport = member->transport,
	    .nexthop = member->nexthop,
	    .generation = member->generation,
	    .state = RECIPIENT_REPORT,
	    .attempt = 1,
	    .class = OUTCOME_EXPANDED,
	    .outcome_flags = OUTCOME_EXPANDED_LIST,
	    .attempt_us = clock_wall_us(),
	    .status = SPAN_LIT("2.0.0"),
	    .relay = SPAN_LIT("none"),
	    .text = SPAN_LIT("alias expanded")};
}

static int
put(struct submission *s, struct buf *out, struct part_recipient *p)
{
	p->index = s->count++;
	return part_encode_recipient(out, p);
}

static int
put_alias(struct submission *s, struct buf *out, struct part_recipient *members, uint32_t count)
{
	struct part_recipient alias = alias_itself(members);
	int bad = put(s, out, &alias);

	s->reports++;
	for (uint32_t i = 0; i < count; i++) {
		recipient_hide_success(&members[i]);
		bad |= put(s, out, &members[i]);
	}
	return bad;
}

int
submission_note_aliases(struct submission *s)
{
	struct span rest = buf_span(&s->recipients);
	uint32_t count = s->count, length;
	struct part_recipient *all;
	struct buf out;
	int bad = 0;

	if (!s->may_expand || s->e.sender.len == 0)
		return 0;
	all = mem_alloc_array(count, sizeof(*all));
	for (uint32_t i = 0; i < count; i++)
		if (part_decode_recipient(&rest, &all[i]) < 0)
			panic("a recipient of its own making is malformed");
	buf_init(&out, s->recipients.max);
	s->count = 0;
	for (uint32_t i = 0; i < count; i += length) {
		length = run_length(&all[i], count - i);
		bad |= length > 1 ? put_alias(s, &out, &all[i], length) : put(s, &out, &all[i]);
	}
	free(all);
	buf_free(&s->recipients);
	s->recipients = out;
	return bad;
}
