#include "queue/control/walk.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/control/control.h"
#include "queue/control/recorded.h"
#include "queue/index/query.h"

enum {
	PAGE = 200, /* messages */
	PAGE_SCAN = 20000, /* summaries */
	PAGE_BYTES = 4 << 20,
	FRAMES_AHEAD = 128, /* more than the tool takes before it says so */
	FRAME_BYTES = 32768,
	FRAME_MAX = 61440,
	ROW_MAX = 32 << 20,
	CHANGED_MAX = 512, /* that wait for the index */
	LIVE_MAX = 60000, /* in memory, those that wait for the log, too */
	PAUSE_MS = 2,
	TELL_MS = 500
};

static TAILQ_HEAD(, walk) walks = TAILQ_HEAD_INITIALIZER(walks);

static void walk_on(struct walk *w);

/* ---- rows ---- */

static void
send_rows(struct walk *w)
{
	while (w->rows.len > 0 && w->channel) {
		struct msg_control_row msg = {.bytes = span_sub(buf_span(&w->rows), 0, FRAME_MAX)};

		ipc_send(w->channel, IPC_CONTROL_ROW, w->call, &msg);
		w->unacknowledged++;
		buf_consume(&w->rows, msg.bytes.len);
	}
	buf_clear(&w->rows);
}

void
walk_row(struct walk *w, struct span row)
{
	if (w->rows.len + row.len > FRAME_BYTES)
		send_rows(w);
	if (buf_append_span(&w->rows, row) < 0)
		buf_clear(&w->rows);
}

/* How far it has come, now and then. */
static void
tell_progress(struct walk *w)
{
	int64_t now = clock_mono_us();
	char row[64];

	if (!w->changes || !w->channel || w->finish || now - w->told_us < TELL_MS * US_PER_MS)
		return;
	w->told_us = now;
	snprintf(row, sizeof(row), "{\"progress\": %llu}\n", (unsigned long long)w->count);
	walk_row(w, span_of(row));
}

/* ---- the end ---- */

/* While one of them acts on many the index has enough to do. */
static void
note_busy(struct queue *q)
{
	const struct walk *w;

	TAILQ_FOREACH (w, &walks, link)
		if (w->changes && w->filter.id_count == 0)
			break;
	index_busy(q->index, w != NULL);
}

static void
walk_free(struct walk *w)
{
	TAILQ_REMOVE(&walks, w, link);
	note_busy(w->q);
	recorded_forget(w);
	query_plan_free(&w->plan);
	filter_free(&w->filter);
	buf_free(&w->rows);
	if (w->pause)
		event_free(w->pause);
	free(w->live);
	free(w);
}

static void
walk_end(struct walk *w)
{
	send_rows(w);
	if (w->channel && w->finish)
		w->finish(w);
	else if (w->channel)
		control_done(
		    w->channel, w->call, w->failed ? 75 : 0, w->count, w->failed ? w->why.text : w->note);
	walk_free(w);
}

/* What was and what was not done, where the log cannot be written: it was done in memory, and waits there. */
static void
on_recorded(void *context, const char *why)
{
	struct walk *w = context;

	if (why) {
		w->failed = w->ended = true;
		error_set(&w->why,
		    "%llu messages are done, but %llu of them not recorded: they are as before if the queue "
		    "ends now (%s)",
		    (unsigned long long)w->count, (unsigned long long)(w->count - w->recorded), why);
		w->recorded = w->count;
	} else {
		w->recorded = w->marked;
	}
	w->marked = 0;
	walk_on(w);
}

/* One mark at a time is under way, while more is done. ETRN wants no more than the number. */
static void
mark(struct walk *w)
{
	if (!w->changes || w->finish || w->marked != 0 || w->count == w->recorded)
		return;
	w->marked = w->count;
	recorded_wait(w->q, on_recorded, w);
}

static bool
full(const struct walk *w)
{
	return w->filter.limit > 0 && w->count >= w->filter.limit;
}

/* One message, as it is now. */
static void
visit(struct walk *w, struct message *m)
{
	if (message_is_queued(m) && m->open > 0 && filter_match(&w->filter, m) && w->act(w, m))
		w->count++;
}

/* ---- by ids ---- */

static void
on_id(struct queue *q, struct message *m, void *context)
{
	struct walk *w = context;

	(void)q;
	w->waiting = false;
	if (m && w->channel)
		visit(w, m);
	walk_on(w);
}

/* ---- by pages ---- */

struct page_task {
	struct task task;
	struct walk *w;
	struct index *index;
	struct query_plan *plan;
	uint64_t after, ids[PAGE];
	struct index_row rows[PAGE];
	size_t at[PAGE];
	size_t found, count;
	struct buf bytes;
	bool more;
	int status;
	struct error err;
};

static bool
take_id(const struct summary *s, const struct summary_recipient *r, void *context)
{
	struct page_task *p = context;

	(void)r;
	if (p->found == 0 || p->ids[p->found - 1] != s->id)
		p->ids[p->found++] = s->id;
	return p->found < PAGE;
}

/* All of the page's matches, as far as they fit: the page ends before what does not. */
static void
load_rows(struct page_task *p)
{
	struct buf row;

	buf_init(&row, ROW_MAX);
	for (size_t i = 0; i < p->found && p->status == 0; i++) {
		int got = index_load(p->index, p->ids[i], &row, &p->rows[p->count], &p->err);

		if (got < 0)
			p->status = -1;
		if (got <= 0)
			continue;
		if (p->count > 0 && p->bytes.len + row.len > PAGE_BYTES) {
			p->after = p->ids[i - 1];
			p->more = true;
			break;
		}
		p->at[p->count] = p->bytes.len;
		buf_append_span(&p->bytes, p->rows[p->count++].payload);
	}
	buf_free(&row);
}

static bool
run_page(struct task *task)
{
	struct page_task *p = (struct page_task *)task;

	p->status =
	    query_each_match(p->index, p->plan, &p->after, PAGE_SCAN, take_id, NULL, p, &p->more, &p->err);
	if (p->status == 0)
		load_rows(p);
	return false;
}

static void
visit_row(struct walk *w, const struct index_row *row)
{
	struct error err;
	struct message *m;

	if (w->changes) {
		m = young_from_row(w->q, row);
		if (m) {
			visit(w, m);
			young_settle(w->q, m);
		}
		return;
	}
	m = message_from_payload(
	    row->id, mem_strndup(row->payload.ptr, row->payload.len), 0, row->payload.len, &err);
	if (m) {
		m->position = row->position;
		visit(w, m);
	}
	message_free(&m);
}

/* Up to which id all is visited now: of what is in memory, too, a page only. Rows behind that are read again. */
static uint64_t
end_of_page(const struct walk *w, const struct page_task *p)
{
	uint64_t last = p->more ? p->after : UINT64_MAX;

	if (w->live_count - w->live_at > PAGE && w->live[w->live_at + PAGE - 1] < last)
		last = w->live[w->live_at + PAGE - 1];
	return last;
}

/*
 * Both are in order. A message that has left memory since the start is in the page: what stored it came to the indexer before
 * the page's question did, for it left memory before the page's answer came.
 */
static void
visit_page(struct walk *w, struct page_task *p)
{
	uint64_t last = end_of_page(w, p);
	size_t row = 0;

	while (!full(w)) {
		bool live = w->live_at < w->live_count && w->live[w->live_at] <= last;
		bool stored = row < p->count && p->rows[row].id <= last;
		uint64_t id;
		struct message *m;

		if (!live && !stored)
			break;
		id = live && (!stored || w->live[w->live_at] <= p->rows[row].id) ? w->live[w->live_at]
										 : p->rows[row].id;
		m = message_find(&w->q->live, id);
		if (m) {
			visit(w, m);
		} else if (stored && p->rows[row].id == id) {
			p->rows[row].payload.ptr = buf_ptr(&p->bytes) + p->at[row];
			visit_row(w, &p->rows[row]);
		}
		if (stored && p->rows[row].id == id)
			row++;
		if (live && w->live[w->live_at] == id)
			w->live_at++;
	}
	w->after = last;
	w->ended = last == UINT64_MAX || full(w);
}

static void
done_page(struct task *task)
{
	struct page_task *p = (struct page_task *)task;
	struct walk *w = p->w;

	w->waiting = false;
	if (p->status < 0) {
		w->failed = w->ended = true;
		w->why = p->err;
	} else if (w->channel) {
		visit_page(w, p);
		tell_progress(w);
		send_rows(w);
		mark(w);
	}
	buf_free(&p->bytes);
	free(p);
	walk_on(w);
}

static void
next_page(struct walk *w)
{
	struct page_task *p = mem_alloc(sizeof(*p));

	p->w = w;
	p->index = w->q->index;
	p->plan = w->plan;
	p->after = w->after;
	buf_init(&p->bytes, ROW_MAX);
	p->task.run = run_page;
	p->task.done = done_page;
	w->waiting = true;
	worker_put(&w->q->indexer, &p->task);
}

static void
on_pause(evutil_socket_t fd, short what, void *context)
{
	struct walk *w = context;

	(void)fd;
	(void)what;
	w->waiting = false;
	walk_on(w);
}

/*
 * What was changed leaves memory by way of log and index: no faster may more come in. While the index takes nothing, memory is
 * filled, and then the walk ends.
 */
static bool
must_pause(struct walk *w)
{
	bool trouble = trouble_is(w->q, TROUBLE_INDEX);
	struct timeval tv = {.tv_usec = PAUSE_MS * 1000};

	if (!w->changes || (w->q->live.count < LIVE_MAX && (trouble || w->q->to_index_count < CHANGED_MAX) &&
			       (w->marked == 0 || space_can_record(w->q))))
		return false;
	if (trouble && w->q->live.count >= LIVE_MAX) {
		w->failed = true;
		error_set(&w->why, "the index cannot be written to at present; %llu messages are done",
		    (unsigned long long)w->count);
		walk_end(w);
		return true;
	}
	if (!w->pause)
		w->pause = event_new(w->q->base, -1, 0, on_pause, w);
	w->waiting = true;
	event_add(w->pause, &tv);
	return true;
}

static bool
is_past_ids(const struct walk *w)
{
	return w->filter.id_count > 0 && w->next_id == w->filter.id_count;
}

static void
walk_on(struct walk *w)
{
	if (w->waiting)
		return;
	if (!w->channel || w->failed) {
		walk_end(w);
		return;
	}
	if (w->ended || full(w) || is_past_ids(w)) {
		mark(w);
		if (w->marked == 0)
			walk_end(w);
		return;
	}
	if (w->unacknowledged > FRAMES_AHEAD || must_pause(w))
		return;
	if (w->filter.id_count == 0) {
		next_page(w);
	} else {
		w->waiting = true;
		young_get(w->q, w->filter.ids[w->next_id++], on_id, w);
	}
}

void
walk_start(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *filter, walk_act *act,
    bool changes, void (*finish)(struct walk *w))
{
	struct walk *w = mem_alloc(sizeof(*w));

	w->q = q;
	w->channel = channel;
	w->call = call;
	w->filter = *filter;
	w->plan = query_plan_new(&w->filter);
	w->act = act;
	w->changes = changes;
	w->finish = finish;
	w->note = recovery_note(q);
	w->told_us = clock_mono_us();
	buf_init(&w->rows, ROW_MAX);
	if (w->filter.id_count == 0)
		w->live = message_ids(&q->live, &w->live_count);
	TAILQ_INSERT_TAIL(&walks, w, link);
	note_busy(q);
	walk_on(w);
}

void
walk_taken(struct ipc_channel *channel, uint32_t call, uint32_t frames)
{
	struct walk *w;

	TAILQ_FOREACH (w, &walks, link)
		if (w->channel == channel && w->call == call)
			break;
	if (!w)
		return;
	w->unacknowledged -= frames < w->unacknowledged ? frames : w->unacknowledged;
	walk_on(w);
}

void
walk_channel_gone(struct ipc_channel *channel)
{
	struct walk *w, *next;

	for (w = TAILQ_FIRST(&walks); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->channel != channel)
			continue;
		w->channel = NULL;
		walk_on(w);
	}
}
