/*
 * control_import: mail that comes from another instance (transit.h), one file a conversation.
 *
 * The tool sends the file's octets (SUBMIT_DATA) within SUBMIT_WINDOW and the credit that it gets. The head and the envelope
 * gather in memory and are checked before anything is looked up; content goes the way of any submission. What arrives is on
 * hold until the tool has renamed its file (act_imported). SUBMIT_ANSWER tells the id; its text begins with "again" where an
 * earlier run has stored it, with "there" where the queue had the message anyway.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/control/control.h"
#include "queue/control/transit.h"
#include "queue/spool_clock.h"
#include "queue/submission.h"

enum { PIECE = 61440, TRIES_MAX = 16, ID_STEP = 1 << 12 /* a microsecond */, TEXT_MAX = 400 };

enum stage { STAGE_HEAD, STAGE_ENVELOPE, STAGE_LOOKUP, STAGE_CONTENT, STAGE_END };

struct importing {
	struct importing *next;
	struct queue *q;
	struct ipc_channel *channel; /* NULL: the tool is gone */
	uint32_t call;
	char *dir;
	char who[CONTROL_WHO_SIZE];
	enum stage stage;
	struct buf in;
	struct transit_head head;
	struct transit_sum sum;
	struct message *message; /* until the submission has it */
	struct submission *submission;
	uint64_t id;
	unsigned tries;
	uint64_t received, granted, left;
};

static struct importing *importings;

static void
importing_free(struct importing *i)
{
	struct importing **p = &importings;

	while (*p != i)
		p = &(*p)->next;
	*p = i->next;
	message_free(&i->message);
	buf_free(&i->in);
	free(i->dir);
	free(i);
}

static void
answer(struct importing *i, enum submit_status status, const char *text)
{
	struct msg_submit_answer msg = {
	    .status = (uint8_t)status, .id = i->id, .text = span_sub(span_of(text), 0, TEXT_MAX)};

	if (i->channel)
		ipc_send(i->channel, IPC_SUBMIT_ANSWER, i->call, &msg);
	if (i->submission)
		submission_drop(i->submission);
	importing_free(i);
}

static void
refuse(struct importing *i, const char *why)
{
	answer(i, SUBMIT_REFUSED, why);
}

/* ---- is it here already? ---- */

static void on_found(struct queue *q, struct message *m, void *context);
static bool consume(struct importing *i);

static bool
is_same(const struct message *a, const struct message *b)
{
	return a->e.arrival_us == b->e.arrival_us && a->e.content_len == b->e.content_len &&
	       a->e.header_len == b->e.header_len && span_equal(a->e.sender, b->e.sender) &&
	       span_equal(a->e.envid, b->e.envid) && a->recipients[0]->p.index == b->recipients[0]->p.index;
}

static bool
comes_elsewhere(const struct importing *me)
{
	for (const struct importing *i = importings; i; i = i->next)
		if (i != me && i->stage >= STAGE_LOOKUP && i->id == me->id)
			return true;
	return false;
}

/* The id is free: content may follow. */
static void
take(struct importing *i)
{
	struct message *m = i->message;

	m->id = i->id;
	transit_mark(m, TRANSIT_IN, i->dir, i->who, clock_wall_us());
	i->message = NULL;
	i->submission = submission_take(i->q, i->channel, i->call, m);
	i->left = i->head.content_len;
	i->stage = STAGE_CONTENT;
	while (consume(i))
		;
}

static void
on_found(struct queue *q, struct message *m, void *context)
{
	struct importing *i = context;

	if (!i->channel) {
		importing_free(i);
	} else if (q->recovery) {
		answer(i, SUBMIT_TRY_LATER, "the queue is still being read after a start");
	} else if (!m && !message_find(&q->live, i->id)) {
		take(i);
	} else if (m && is_same(m, i->message)) {
		if (transit_is_mine(m, TRANSIT_IN, i->dir))
			answer(i, SUBMIT_OK, "again");
		else
			answer(i, SUBMIT_REFUSED,
			    transit_is_marked(m) ? "there, and on hold: it is being exported or imported"
						 : "there: it is in the queue already");
	} else if (++i->tries < TRIES_MAX) {
		/* The same ids in the same order, so that a second run meets what the first one stored. */
		i->id += ID_STEP;
		young_get(q, i->id, on_found, i);
	} else {
		refuse(i, "no id is free for it");
	}
}

static void
look_up(struct importing *i)
{
	/* One of a clock that is ahead could be given here again. */
	if (queue_id_time_us(i->head.id) > clock_wall_us())
		i->id = queue_id_next(&i->q->giver);
	i->stage = STAGE_LOOKUP;
	if (comes_elsewhere(i))
		refuse(i, "another import brings it at this moment");
	else
		young_get(i->q, i->id, on_found, i);
}

/* ---- octets ---- */

static void
take_envelope(struct importing *i)
{
	struct span payload = span_sub(buf_span(&i->in), 0, (size_t)i->head.payload_len);
	struct error err;

	transit_sum_add(&i->sum, payload);
	i->message = transit_message(&i->head, payload, spool_clock_now(), clock_wall_us(), &err);
	buf_consume(&i->in, payload.len);
	if (!i->message)
		refuse(i, err.text);
	else
		look_up(i);
}

static void
take_content(struct importing *i)
{
	struct ipc_frame frame = {.type = IPC_SUBMIT_DATA, .call = i->call};
	size_t len = i->in.len < i->left ? i->in.len : (size_t)i->left;
	struct error err;

	if (len > PIECE)
		len = PIECE;
	frame.submit_data.bytes = span_sub(buf_span(&i->in), 0, len);
	transit_sum_add(&i->sum, frame.submit_data.bytes);
	submission_data(i->channel, &frame, i->q->server, &err);
	buf_consume(&i->in, len);
	i->left -= len;
}

static void
finish(struct importing *i)
{
	uint8_t sum[TRANSIT_SUM_SIZE];
	struct submission *s = i->submission;

	transit_sum_end(&i->sum, sum);
	if (memcmp(sum, buf_ptr(&i->in), sizeof(sum)) != 0) {
		refuse(i, "it is damaged: its checksum is another one");
	} else if (i->in.len > sizeof(sum)) {
		refuse(i, "something follows its end");
	} else {
		importing_free(i);
		submission_taken(s);
	}
}

/* True if there may be more to do; false: not now, or it has ended. */
static bool
consume(struct importing *i)
{
	struct error err;

	switch (i->stage) {
	case STAGE_HEAD:
		if (i->in.len < TRANSIT_HEAD_SIZE)
			return false;
		if (transit_head_decode(buf_span(&i->in), &i->head, &err) < 0) {
			refuse(i, err.text);
			return false;
		}
		transit_sum_add(&i->sum, span_sub(buf_span(&i->in), 0, TRANSIT_HEAD_SIZE));
		buf_consume(&i->in, TRANSIT_HEAD_SIZE);
		i->id = i->head.id;
		i->stage = STAGE_ENVELOPE;
		return true;
	case STAGE_ENVELOPE:
		if (i->in.len >= i->head.payload_len)
			take_envelope(i);
		return false; /* take() goes on */
	case STAGE_CONTENT:
		if (i->left == 0)
			i->stage = STAGE_END;
		else if (i->in.len > 0)
			take_content(i);
		else
			return false;
		return true;
	case STAGE_END:
		if (i->in.len >= TRANSIT_SUM_SIZE)
			finish(i);
		return false;
	default:
		return false;
	}
}

/* What is not content is granted as it comes; content by the submission. */
static void
grant(struct importing *i)
{
	uint64_t upto = i->stage == STAGE_HEAD ? TRANSIT_HEAD_SIZE : TRANSIT_HEAD_SIZE + i->head.payload_len;
	struct msg_submit_credit credit;

	if (upto > i->received)
		upto = i->received;
	credit.octets = upto - i->granted;
	if (credit.octets == 0)
		return;
	i->granted = upto;
	ipc_send(i->channel, IPC_SUBMIT_CREDIT, i->call, &credit);
}

void
control_import_data(struct ipc_channel *channel, uint32_t call, struct span bytes)
{
	struct importing *i = importings;
	bool whole_head;

	while (i && (i->channel != channel || i->call != call))
		i = i->next;
	if (!i)
		return; /* it was answered already */
	i->received += bytes.len;
	if (buf_append_span(&i->in, bytes) < 0) {
		refuse(i, "more than was granted");
		return;
	}
	whole_head = i->received >= TRANSIT_HEAD_SIZE;
	if (i->stage == STAGE_HEAD && !consume(i) && whole_head)
		return; /* refused, and gone */
	grant(i);
	while (consume(i))
		;
}

void
control_import(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f)
{
	struct importing *i = mem_alloc(sizeof(*i));

	i->q = q;
	i->channel = channel;
	i->call = call;
	i->dir = f->hold_reason;
	f->hold_reason = NULL;
	filter_free(f);
	control_who(channel, i->who);
	buf_init(&i->in, TRANSIT_PAYLOAD_MAX + 2 * SUBMIT_WINDOW);
	i->next = importings;
	importings = i;
}

/* The submission goes with submission_peer_down(). */
void
control_import_gone(struct ipc_channel *channel)
{
	struct importing *next;

	for (struct importing *i = importings; i; i = next) {
		next = i->next;
		if (i->channel != channel)
			continue;
		i->channel = NULL;
		if (i->stage != STAGE_LOOKUP)
			importing_free(i);
	}
}
