#include "queue/control/transit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/octets.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "common/mail/queue_id.h"

enum { MAGIC_SIZE = 16, REASON_MAX = 500, NUMBERS = 5 };

/* Nobody waits there for MAIL_TRACE. */
enum { MAIL_KNOWN = MAIL_TRACE - 1 };

static const char magic[] = "postern mail ", version[] = "1\n";
static const int64_t day_us = 86400 * US_PER_SECOND, time_max_us = (int64_t)1 << 60;
static const uint64_t content_max = (uint64_t)1 << 40;

/* ---- head ---- */

void
transit_head_encode(struct buf *out, const struct transit_head *head)
{
	const uint64_t numbers[NUMBERS] = {head->id, head->payload_len, head->content_len,
	    (uint64_t)head->spool_us, (uint64_t)head->wall_us};
	uint8_t bytes[8];

	buf_append_text(out, magic);
	buf_append(out, version, sizeof(version));
	for (size_t i = 0; i < NUMBERS; i++) {
		octets_store(bytes, numbers[i], 8);
		buf_append(out, bytes, sizeof(bytes));
	}
}

int
transit_head_decode(struct span bytes, struct transit_head *head, struct error *err)
{
	const char *p = bytes.ptr;

	if (bytes.len < TRANSIT_HEAD_SIZE || !span_starts(bytes, magic))
		return error_set(err, "it is no exported message");
	if (memcmp(p + sizeof(magic) - 1, version, sizeof(version)) != 0)
		return error_set(err, "it has a version that is not known here");
	p += MAGIC_SIZE;
	head->id = octets_load(p, 8);
	head->payload_len = octets_load(p + 8, 8);
	head->content_len = octets_load(p + 16, 8);
	head->spool_us = (int64_t)octets_load(p + 24, 8);
	head->wall_us = (int64_t)octets_load(p + 32, 8);
	if (head->id == 0 || head->payload_len > TRANSIT_PAYLOAD_MAX || head->content_len > content_max ||
	    head->spool_us <= 0 || head->spool_us > time_max_us || head->wall_us <= 0 ||
	    head->wall_us > time_max_us)
		return error_set(err, "its head is damaged");
	return 0;
}

/* ---- the message ---- */

/* Control characters would reach SMTP, headers and the log. Texts of ours that have lines end them with LF. */
static bool
is_clean(struct span text, bool lines)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if ((c < ' ' && !(lines && (c == '\n' || c == '\t'))) || c == 0x7f)
			return false;
	}
	return true;
}

static bool
envelope_is_clean(const struct part_envelope *e)
{
	const struct span texts[] = {e->sender, e->envid, e->client_name, e->client_address, e->helo,
	    e->protocol, e->sasl_method, e->sasl_username, e->sasl_sender, e->hold_reason, e->message_id,
	    e->hold_by};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!is_clean(texts[i], false))
			return false;
	return is_clean(e->acts, true);
}

static bool
recipient_is_clean(const struct part_recipient *p)
{
	const struct span texts[] = {p->recipient, p->orig_to, p->orcpt, p->transport, p->nexthop, p->status,
	    p->relay, p->remote_mta, p->sender};
	const struct span with_lines[] = {p->text, p->diagnostic, p->tried, p->history, p->delivered_to};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!is_clean(texts[i], false))
			return false;
	for (size_t i = 0; i < sizeof(with_lines) / sizeof(with_lines[0]); i++)
		if (!is_clean(with_lines[i], true))
			return false;
	return true;
}

static bool
time_is_sane(int64_t us)
{
	return us > -time_max_us && us < time_max_us;
}

static int
check(const struct transit_head *head, const struct message *m, struct error *err)
{
	const struct part_envelope *e = &m->e;

	if (e->content_len != head->content_len || e->header_len > e->content_len || e->in_file ||
	    e->held > 1 || e->warned > 1 || m->open == 0 || !time_is_sane(e->arrival_us) ||
	    !time_is_sane(e->expire_spool_us) || e->arrival_spool_us > head->spool_us ||
	    e->arrival_spool_us < 0 || e->next_index == 0)
		return error_set(err, "its envelope cannot be");
	if (!envelope_is_clean(e))
		return error_set(err, "its envelope has control characters");
	for (uint32_t i = 0; i < m->count; i++) {
		const struct part_recipient *p = &m->recipients[i]->p;

		if ((p->state != RECIPIENT_QUEUED && p->state != RECIPIENT_DONE) ||
		    p->index >= e->next_index || (i > 0 && p->index <= m->recipients[i - 1]->p.index) ||
		    p->recipient.len == 0 || !time_is_sane(p->due_spool_us) ||
		    p->own_sender > OWN_SENDER_VERP || p->pinned > 1 || p->warned > 1)
			return error_set(err, "recipient %u cannot be", i);
		if (!recipient_is_clean(p))
			return error_set(err, "recipient %u has control characters", i);
	}
	return 0;
}

static void
translate(const struct transit_head *head, struct message *m, int64_t now_spool_us, int64_t now_wall_us)
{
	int64_t way_us = now_wall_us - head->wall_us, shift;

	/* As the spool's clock takes the time between two runs: forward only, a day at most. */
	way_us = way_us < 0 ? 0 : way_us > day_us ? day_us : way_us;
	shift = now_spool_us - head->spool_us - way_us;
	m->e.flags &= (uint32_t)MAIL_KNOWN;
	m->e.arrival_spool_us += shift;
	/* A clock of ours that stands before the mail's arrival: it is as old as it can be. */
	if (m->e.arrival_spool_us < 1)
		m->e.arrival_spool_us = 1;
	if (m->e.expire_spool_us != 0)
		m->e.expire_spool_us += shift;
	if (m->e.expire_spool_us != 0 && m->e.expire_spool_us <= m->e.arrival_spool_us)
		m->e.expire_spool_us = m->e.arrival_spool_us + 1;
	for (uint32_t i = 0; i < m->count; i++) {
		struct part_recipient *p = &m->recipients[i]->p;

		p->due_spool_us = p->due_spool_us <= 0 ? 0 : p->due_spool_us + shift;
		if (p->due_spool_us < 0)
			p->due_spool_us = 0;
		p->generation = 0;
		p->report = 0; /* an id of where it was */
	}
}

struct message *
transit_message(const struct transit_head *head, struct span payload, int64_t now_spool_us,
    int64_t now_wall_us, struct error *err)
{
	struct message *m = message_from_payload(
	    head->id, mem_strndup(payload.len ? payload.ptr : "", payload.len), 0, payload.len, err);

	if (!m)
		return NULL;
	if ((m->content.ptr && m->content.len > 0) || check(head, m, err) < 0) {
		if (m->content.ptr && m->content.len > 0)
			error_set(err, "its envelope is too long");
		message_free(&m);
		return NULL;
	}
	m->content = span_make(NULL, 0);
	translate(head, m, now_spool_us, now_wall_us);
	return m;
}

/* ---- checksum ---- */

static void
add_block(struct transit_sum *s)
{
	uint8_t key[16];

	octets_store(key, s->last, 8);
	octets_store(key + 8, s->blocks++, 8);
	s->last = siphash(key, s->block, s->len);
	s->len = 0;
}

void
transit_sum_add(struct transit_sum *s, struct span bytes)
{
	while (bytes.len > 0) {
		size_t n = TRANSIT_BLOCK - s->len < bytes.len ? TRANSIT_BLOCK - s->len : bytes.len;

		memcpy(s->block + s->len, bytes.ptr, n);
		s->len += n;
		bytes = span_from(bytes, n);
		if (s->len == TRANSIT_BLOCK)
			add_block(s);
	}
}

void
transit_sum_end(struct transit_sum *s, uint8_t sum[TRANSIT_SUM_SIZE])
{
	add_block(s);
	octets_store(sum, s->last, 8);
}

/* ---- marks ---- */

static const char *const ways[] = {[TRANSIT_OUT] = "being exported to ",
    [TRANSIT_SEALED] = "exported to ",
    [TRANSIT_IN] = "being imported from "};
static const char before[] = "; on hold before", because[] = ": ";

bool
transit_is_marked(const struct message *m)
{
	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++)
		if (m->e.held && span_starts(m->e.hold_reason, ways[way]))
			return true;
	return false;
}

/* What is behind the directory's name; ptr NULL: the mark is none of this transit. */
static struct span
rest_of(const struct message *m, enum transit_way way, const char *dir)
{
	struct span rest = m->e.hold_reason;

	if (!m->e.held || !span_starts(rest, ways[way]))
		return span_make(NULL, 0);
	rest = span_from(rest, strlen(ways[way]));
	if (!span_starts(rest, dir))
		return span_make(NULL, 0);
	rest = span_from(rest, strlen(dir));
	return rest.len == 0 ? span_make("", 0) : span_starts(rest, before) ? rest : span_make(NULL, 0);
}

bool
transit_is_mine(const struct message *m, enum transit_way way, const char *dir)
{
	return rest_of(m, way, dir).ptr != NULL;
}

void
transit_mark(struct message *m, enum transit_way way, const char *dir, const char *who, int64_t at_us)
{
	struct buf reason;
	bool held = m->e.held;

	buf_init(&reason, 2 * REASON_MAX);
	buf_printf(&reason, "%s%s", ways[way], dir);
	if (held)
		buf_printf(&reason, "%s%s%.*s", before, m->e.hold_reason.len > 0 ? because : "",
		    SPAN_ARG(m->e.hold_reason));
	message_hold(m, true, span_sub(buf_span(&reason), 0, REASON_MAX), held ? m->e.hold_by : span_of(who),
	    held ? m->e.hold_us : at_us);
	buf_free(&reason);
}

void
transit_unmark(struct message *m, enum transit_way way, const char *dir)
{
	struct span rest = rest_of(m, way, dir);

	if (!rest.ptr)
		return;
	if (rest.len == 0) {
		message_hold(m, false, span_make("", 0), span_make("", 0), 0);
		return;
	}
	rest = span_from(rest, strlen(before));
	if (span_starts(rest, because))
		rest = span_from(rest, strlen(because));
	message_hold(m, true, rest, m->e.hold_by, m->e.hold_us);
}
