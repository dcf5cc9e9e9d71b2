#include "queue/control/tally.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/control/control.h"
#include "queue/control/groups.h"
#include "queue/control/walk.h"

enum { STEP_SCAN = 20000, FRAMES_AHEAD = 128, FRAME_BYTES = 32768 };

struct tally {
	struct task task;
	TAILQ_ENTRY(tally) link;
	struct queue *q;
	struct index *index;
	struct ipc_channel *channel; /* NULL: the tool is gone */
	uint32_t call;
	const char *note;
	struct filter filter;
	struct query_plan *plan;
	struct groups groups;
	uint64_t *live; /* ids that were counted in memory, ascending */
	size_t live_count, live_at;
	uint64_t after;
	bool scanned;
	bool counted; /* the indexer is done with it */
	size_t sent; /* groups */
	unsigned unacknowledged;
	int status;
	struct error err;
};

static TAILQ_HEAD(, tally) tallies = TAILQ_HEAD_INITIALIZER(tallies);

static void
tally_free(struct tally *t)
{
	TAILQ_REMOVE(&tallies, t, link);
	query_plan_free(&t->plan);
	groups_free(&t->groups);
	filter_free(&t->filter);
	free(t->live);
	free(t);
}

/* ---- in the indexer's thread ---- */

/* Whether one of ids from first to last was counted in memory. */
static bool
is_counted(struct tally *t, uint64_t first, uint64_t last)
{
	while (t->live_at < t->live_count && t->live[t->live_at] < first)
		t->live_at++;
	return t->live_at < t->live_count && t->live[t->live_at] <= last;
}

static bool
add_match(const struct summary *s, const struct summary_recipient *r, void *context)
{
	struct tally *t = context;

	if (is_counted(t, s->id, s->id))
		return true;
	t->status = groups_add_summary(&t->groups, t->index, s, r, &t->err);
	return t->status == 0;
}

/* A number is wanted: of messages none of which was counted before, it is enough. */
static bool
add_whole(uint64_t first, uint64_t last, uint64_t messages, void *context)
{
	struct tally *t = context;

	if (is_counted(t, first, last))
		return false;
	t->groups.total.messages += messages;
	return true;
}

static bool
run_tally(struct task *task)
{
	struct tally *t = (struct tally *)task;
	bool more;

	if (t->scanned) {
		t->status = groups_end(&t->groups, t->index, &t->err);
		return t->status > 0;
	}
	if (query_each_match(t->index, t->plan, &t->after, STEP_SCAN, add_match,
		t->groups.by == BY_NOTHING ? add_whole : NULL, t, &more, &t->err) < 0)
		t->status = -1;
	t->scanned = !more;
	return t->status == 0 && (more || t->groups.by != BY_NOTHING);
}

/* ---- in the loop ---- */

/* As many rows as the tool is ready for. */
static void
send_groups(struct tally *t)
{
	size_t count = t->groups.by == BY_NOTHING ? 0 : t->groups.count;
	struct buf rows;

	if (t->filter.limit > 0 && t->filter.limit < count)
		count = (size_t)t->filter.limit;
	buf_init(&rows, FRAME_BYTES + 16384);
	while (t->channel && t->sent < count && t->unacknowledged < FRAMES_AHEAD) {
		struct msg_control_row msg;

		buf_clear(&rows);
		while (t->sent < count && rows.len < FRAME_BYTES)
			groups_row(&rows, &t->groups.all[t->sent++]);
		msg.bytes = buf_span(&rows);
		ipc_send(t->channel, IPC_CONTROL_ROW, t->call, &msg);
		t->unacknowledged++;
	}
	buf_free(&rows);
	if (t->channel && t->sent < count)
		return;
	if (t->channel)
		control_done(t->channel, t->call, 0, t->groups.total.messages, t->note);
	tally_free(t);
}

static void
send_total(struct tally *t)
{
	struct msg_control_row msg;
	struct buf row;

	buf_init(&row, 1024);
	t->groups.total.key = mem_strdup("TOTAL");
	groups_row(&row, &t->groups.total);
	msg.bytes = buf_span(&row);
	ipc_send(t->channel, IPC_CONTROL_ROW, t->call, &msg);
	buf_free(&row);
}

static void
done_tally(struct task *task)
{
	struct tally *t = (struct tally *)task;

	t->counted = true;
	if (t->status < 0 && t->channel) {
		control_done(t->channel, t->call, 75, 0, t->err.text);
		t->channel = NULL;
	}
	if (t->channel && t->groups.by != BY_NOTHING)
		send_total(t);
	send_groups(t);
}

static void
count_memory(struct tally *t)
{
	t->live = message_ids(&t->q->live, &t->live_count);
	for (size_t i = 0; i < t->live_count; i++) {
		const struct message *m = message_find(&t->q->live, t->live[i]);

		if (message_is_queued(m) && m->open > 0 && filter_match(&t->filter, m))
			groups_add_message(&t->groups, &t->filter, m);
	}
}

static void
start(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *filter, enum group_by by)
{
	struct tally *t = mem_alloc(sizeof(*t));

	t->q = q;
	t->index = q->index;
	t->channel = channel;
	t->call = call;
	t->note = recovery_note(q);
	t->filter = *filter;
	t->plan = query_plan_new(&t->filter);
	groups_init(&t->groups, by);
	TAILQ_INSERT_TAIL(&tallies, t, link);
	count_memory(t);
	t->task.run = run_tally;
	t->task.done = done_tally;
	worker_put(&q->indexer, &t->task);
}

void
tally_count(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *filter)
{
	if (filter_excepts(filter)) {
		walk_start(q, channel, call, filter, act_count, false, NULL);
		return;
	}
	start(q, channel, call, filter, BY_NOTHING);
}

void
tally_stats(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *filter)
{
	enum group_by by;

	if (groups_by_parse(filter->by, &by) < 0) {
		control_done(
		    channel, call, 64, 0, "--by: one of domain, sender, sender-domain, nexthop, reason");
		filter_free(filter);
		return;
	}
	if (filter_excepts(filter)) {
		control_done(channel, call, 64, 0, "stats: nothing can be left out");
		filter_free(filter);
		return;
	}
	start(q, channel, call, filter, by);
}

void
tally_taken(struct ipc_channel *channel, uint32_t call, uint32_t frames)
{
	struct tally *t;

	TAILQ_FOREACH (t, &tallies, link)
		if (t->channel == channel && t->call == call)
			break;
	if (!t)
		return;
	t->unacknowledged -= frames < t->unacknowledged ? frames : t->unacknowledged;
	if (t->counted)
		send_groups(t);
}

void
tally_channel_gone(struct ipc_channel *channel)
{
	struct tally *t, *next;

	for (t = TAILQ_FIRST(&tallies); t; t = next) {
		next = TAILQ_NEXT(t, link);
		if (t->channel != channel)
			continue;
		t->channel = NULL;
		if (t->counted)
			send_groups(t);
	}
}
