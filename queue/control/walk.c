/*
 * control_walk: through all messages in order of their ids, page by page, memory and index merged.
 *
 * Where a message is in memory, memory counts. Each entry is seen at most once, and all that stay queued are seen.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/control/control.h"

enum { PAGE = 200, ROWS_AHEAD = 500, ROW_PIECE = 61440, ROWS_BYTES = 64 << 20 };

static TAILQ_HEAD(, walk) walks = TAILQ_HEAD_INITIALIZER(walks);

static void walk_on(struct walk *w);

void
walk_row(struct walk *w, struct span row)
{
	while (row.len > 0) {
		struct msg_control_row msg = {.bytes = span_sub(row, 0, ROW_PIECE)};

		ipc_send(w->channel, IPC_CONTROL_ROW, w->call, &msg);
		w->unacknowledged++;
		row = span_from(row, msg.bytes.len);
	}
}

static void
walk_free(struct walk *w)
{
	TAILQ_REMOVE(&walks, w, link);
	filter_free(&w->filter);
	table_free(&w->groups);
	free(w);
}

static void
walk_end(struct walk *w)
{
	if (w->channel) {
		if (w->finish)
			w->finish(w);
		else
			control_done(w->channel, w->call, 0, w->count, "");
	}
	walk_free(w);
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
	if (!m->removed && m->open > 0 && filter_match(&w->filter, m) && w->act(w, m))
		w->count++;
}

/* ---- by ids ---- */

static void
on_id(struct queue *q, struct message *m, void *context)
{
	struct walk *w = context;

	(void)q;
	w->waiting = false;
	if (m)
		visit(w, m);
	walk_on(w);
}

/* ---- by pages ---- */

struct page_task {
	struct task task;
	struct walk *w;
	struct index *index;
	uint64_t after;
	struct index_row rows[PAGE];
	size_t at[PAGE];
	size_t count;
	struct buf bytes;
	bool more;
	int status;
	struct error err;
};

static bool
take_row(const struct index_row *row, void *context)
{
	struct page_task *p = context;

	if (p->count == PAGE || (p->count > 0 && p->bytes.len + row->payload.len > ROWS_BYTES / 2)) {
		p->more = true;
		return false;
	}
	p->at[p->count] = p->bytes.len;
	p->rows[p->count++] = *row;
	buf_append_span(&p->bytes, row->payload);
	return true;
}

static bool
run_page(struct task *task)
{
	struct page_task *p = (struct page_task *)task;

	p->status = index_each(p->index, p->after, take_row, p, &p->err);
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
	if (m)
		visit(w, m);
	message_free(&m);
}

static void
visit_page(struct walk *w, struct page_task *p)
{
	uint64_t last = p->more ? p->rows[p->count - 1].id : UINT64_MAX;
	size_t n, i = 0, row = 0;
	uint64_t *ids = message_ids(&w->q->live, &n);

	while (i < n && ids[i] <= w->after)
		i++;
	while (!full(w) && ((i < n && ids[i] <= last) || row < p->count)) {
		bool live = i < n && ids[i] <= last && (row == p->count || ids[i] <= p->rows[row].id);
		uint64_t id = live ? ids[i] : p->rows[row].id;
		struct message *m = message_find(&w->q->live, id);

		if (m) {
			visit(w, m);
		} else if (row < p->count && p->rows[row].id == id) {
			p->rows[row].payload.ptr = buf_ptr(&p->bytes) + p->at[row];
			visit_row(w, &p->rows[row]);
		}
		if (row < p->count && p->rows[row].id == id)
			row++;
		if (live)
			i++;
		w->after = id;
	}
	free(ids);
	w->ended = !p->more || full(w);
}

static void
done_page(struct task *task)
{
	struct page_task *p = (struct page_task *)task;
	struct walk *w = p->w;

	w->waiting = false;
	if (p->status < 0) {
		if (w->channel)
			control_done(w->channel, w->call, 75, w->count, p->err.text);
		w->channel = NULL;
	} else if (w->channel) {
		visit_page(w, p);
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
	p->after = w->after;
	buf_init(&p->bytes, ROWS_BYTES);
	p->task.run = run_page;
	p->task.done = done_page;
	w->waiting = true;
	worker_put(&w->q->indexer, &p->task);
}

static void
walk_on(struct walk *w)
{
	if (w->waiting)
		return;
	if (!w->channel || w->ended || full(w)) {
		walk_end(w);
		return;
	}
	if (w->unacknowledged > ROWS_AHEAD)
		return;
	if (w->filter.id_count == 0) {
		next_page(w);
	} else if (w->next_id < w->filter.id_count) {
		w->waiting = true;
		young_get(w->q, w->filter.ids[w->next_id++], on_id, w);
	} else {
		w->ended = true;
		walk_end(w);
	}
}

void
walk_start(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *filter,
    bool (*act)(struct walk *w, struct message *m), bool changes, void (*finish)(struct walk *w))
{
	struct walk *w = mem_alloc(sizeof(*w));

	w->q = q;
	w->channel = channel;
	w->call = call;
	w->filter = *filter;
	w->act = act;
	w->changes = changes;
	w->finish = finish;
	TAILQ_INSERT_TAIL(&walks, w, link);
	walk_on(w);
}

void
walk_taken(struct ipc_channel *channel, uint32_t call, uint32_t rows)
{
	struct walk *w;

	TAILQ_FOREACH (w, &walks, link)
		if (w->channel == channel && w->call == call)
			break;
	if (!w)
		return;
	w->unacknowledged -= rows < w->unacknowledged ? rows : w->unacknowledged;
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
