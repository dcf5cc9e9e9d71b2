#include "common/base/clock.h"
#include "common/base/text.h"
#include "queue/control/control.h"
#include "queue/spool_clock.h"

/* A recipient's texts are some 5,000 octets at most, each of which may take six. */
enum { PIECE_MAX = 32768 };

static void
text(struct buf *out, const char *name, struct span value)
{
	buf_printf(out, "\"%s\": \"", name);
	text_append_json(out, value);
	buf_append_text(out, "\"");
}

static long long
wall_seconds(int64_t spool_us)
{
	return (long long)(spool_clock_to_wall(spool_us) / US_PER_SECOND);
}

static void
recipient_row(struct buf *out, const struct message *m, const struct recipient *r)
{
	buf_append_text(out, "{");
	text(out, "address", r->p.recipient);
	if (r->p.orig_to.len > 0 && !span_equal(r->p.orig_to, r->p.recipient)) {
		buf_append_text(out, ", ");
		text(out, "orig_address", r->p.orig_to);
	}
	if (r->p.own_sender) {
		buf_append_text(out, ", ");
		text(out, "envelope_sender", r->p.sender);
	}
	if (r->p.text.len > 0 && r->p.state == RECIPIENT_QUEUED) {
		buf_append_text(out, ", ");
		text(out, "delay_reason", r->p.text);
	} else if (r->p.text.len > 0) {
		buf_append_text(out, ", ");
		text(out, "bounce_reason", r->p.text);
	}
	buf_append_text(out, ", ");
	text(out, "transport", r->p.transport);
	buf_append_text(out, ", ");
	text(out, "nexthop", r->p.nexthop);
	buf_printf(out, ", \"attempts\": %u", r->p.attempt);
	if (r->p.state == RECIPIENT_QUEUED && !m->e.held && r->p.due_spool_us > 0 && !r->job && !r->hop)
		buf_printf(out, ", \"next_attempt\": %lld", wall_seconds(r->p.due_spool_us));
	if (r->p.outcome_flags & OUTCOME_UNCERTAIN)
		buf_append_text(out, ", \"possibly_delivered\": true");
	buf_append_text(out, "}");
}

/* An operator gave it a time of expiry, and that is past: the next attempt is the last. */
static bool
is_forced_to_expire(const struct message *m)
{
	return m->e.expire_spool_us != 0 && m->e.expire_spool_us <= spool_clock_now();
}

void
control_row(const struct message *m, control_piece *put, void *context)
{
	static const char *const names[] = {
	    [FILTER_ACTIVE] = "active", [FILTER_DEFERRED] = "deferred", [FILTER_HOLD] = "hold"};
	char id[QUEUE_ID_SIZE];
	bool first = true;
	struct buf out;

	buf_init(&out, 2 * PIECE_MAX);
	buf_append_text(&out, "{");
	text(&out, "queue_name", span_of(names[message_state(m)]));
	buf_printf(&out,
	    ", \"queue_id\": \"%s\", \"arrival_time\": %lld, \"message_size\": %llu, \"forced_expire\": %s, ",
	    queue_id_format(m->id, id), (long long)(m->e.arrival_us / US_PER_SECOND),
	    (unsigned long long)m->e.content_len, is_forced_to_expire(m) ? "true" : "false");
	text(&out, "sender", m->e.sender.len > 0 ? m->e.sender : SPAN_LIT("MAILER-DAEMON"));
	if (m->e.sasl_username.len > 0) {
		buf_append_text(&out, ", ");
		text(&out, "sasl_username", m->e.sasl_username);
	}
	if (m->e.held && m->e.hold_reason.len > 0) {
		buf_append_text(&out, ", ");
		text(&out, "hold_reason", m->e.hold_reason);
	}
	buf_append_text(&out, ", \"recipients\": [");
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->recipients[i]->p.state == RECIPIENT_DONE)
			continue;
		if (!first)
			buf_append_text(&out, ", ");
		first = false;
		recipient_row(&out, m, m->recipients[i]);
		if (out.len < PIECE_MAX)
			continue;
		put(context, buf_span(&out));
		buf_clear(&out);
	}
	buf_append_text(&out, "]}\n");
	put(context, buf_span(&out));
	buf_free(&out);
}
