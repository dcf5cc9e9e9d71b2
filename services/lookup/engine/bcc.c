/*
 * Copies for those whom nobody named: always_bcc, sender_bcc_maps, recipient_bcc_maps. A copy goes the way of any
 * recipient, through canonical and virtual tables, and asks for no copies itself. Its failure is nobody's business
 * (Postfix: NOTIFY=NEVER): whoever submits the mail sees that by ROUTE_COPY.
 */
#include "common/mail/address.h"
#include "services/lookup/engine/results.h"

static void
add_copy(struct question *q, struct span address)
{
	unsigned flags = q->row_flags;

	address = canonical_address(q, rewrite_address(q, address), USE_ENVELOPE_RECIPIENT);
	if (q->failed)
		return;
	q->row_flags |= ROUTE_COPY;
	q->row_copy = address;
	expand_address(q, address);
	q->row_flags = flags;
	q->row_copy = (struct span){0};
}

static void
add_copies_by(struct question *q, struct maplist *list, struct span address)
{
	struct results r;

	if (!results_find(&r, q, list, address, false))
		return;
	if (r.count == 1)
		add_copy(q, r.list[0]);
	else
		question_fail(q, "a bcc table has more than one address in a result");
}

void
bcc_of_recipient(struct question *q, struct span address)
{
	if (!q->failed)
		add_copies_by(q, q->engine->recipient_bcc, address);
}

void
bcc_of_sender(struct question *q, struct span address)
{
	const char *always = q->engine->values->always_bcc;

	if (always[0] != '\0') {
		question_trace(q, "copy to %s (always_bcc)", always);
		add_copy(q, span_of(always));
	}
	if (address.len > 0 && !q->failed)
		add_copies_by(q, q->engine->sender_bcc, address);
}
