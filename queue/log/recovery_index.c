/*
 * The first step of a recovery: the index that is there, or an empty one where that does not fit the log.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "queue/index/room.h"
#include "queue/log/recovery_step.h"
#include "queue/trouble.h"

/*
 * For a command that looks at a stopped instance: what cannot be written to need not be waited for, and what is there need not
 * be wiped because the disk takes nothing.
 */
static bool
is_for_memory(const struct queue *q, const struct error *err)
{
	return q->alone &&
	       (space_is_read_only(q) || !space_index_has_room(q) || (err && recovery_error_passes(err)));
}

static void
renew(struct recovery_step *s)
{
	s->renew = true;
	if (is_for_memory(s->r->q, s->status < 0 ? &s->err : NULL))
		index_in_memory(s->index);
	index_hide(s->index, false);
	s->status = index_renew(s->index, &s->err);
}

/* On a disk that is full to the last octet it can be opened with what was kept back for that. */
static int
open_with_room(struct queue *q, struct index *index, struct error *err)
{
	int status = index_reopen(index, err);

	if (status < 0 && !space_index_has_room(q) && room_give())
		status = index_reopen(index, err);
	return status;
}

/* It knew of mail that is nowhere else now. */
static void
find_strays(struct recovery_step *s)
{
	struct error err;

	s->strays = strays_new();
	index_hide(s->index, false);
	if (strays_find(s->strays, s->index, s->places, s->place_count, &err) < 0)
		buf_printf(&s->lines, "%s: what the index says of lost mail is not known\n", err.text);
}

static void
note_cut(struct recovery_step *s, uint64_t position)
{
	s->cut = true;
	buf_printf(&s->lines,
	    "the end of the log is gone: it is there up to position %llu, and the index knows it up to %llu; "
	    "the index is rebuilt, and what was done since then may be done again\n",
	    (unsigned long long)s->limit, (unsigned long long)position);
	find_strays(s);
}

static void
note_old(struct recovery_step *s)
{
	buf_append_text(&s->lines, "the index is older than the log: it is rebuilt\n");
	find_strays(s);
	strays_are_old(s->strays);
}

/* It could not be opened. True if that passes, false if it is to be made anew. */
static bool
waits(struct recovery_step *s)
{
	if (is_for_memory(s->r->q, &s->err))
		return false;
	/* Nothing is damaged because it cannot be written to. */
	if (space_is_read_only(s->r->q))
		s->err.number = EROFS;
	if (!recovery_error_passes(&s->err)) {
		buf_printf(&s->lines, "%s: the index is rebuilt\n", s->err.text);
		return false;
	}
	index_hide(s->index, true);
	return true;
}

/* The index that is there. False if it is to be made anew. */
static bool
take_index(struct recovery_step *s)
{
	uint64_t position;

	s->status = open_with_room(s->r->q, s->index, &s->err);
	room_keep(space_room_octets(s->r->q));
	if (s->status < 0)
		return waits(s);
	position = index_position(s->index);
	if (position > s->limit) {
		note_cut(s, position);
		return false;
	}
	if (position > 0 && position < s->oldest) {
		note_old(s);
		return false;
	}
	if (position == 0 && s->limit > 0)
		return false;
	index_hide(s->index, true);
	return true;
}

static bool
run_open(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;

	if (s->sound)
		find_strays(s);
	if (s->renew || !take_index(s))
		renew(s);
	return false;
}

/* The index is empty: what memory has of messages that were in it is all there is, until they are stored again. */
static void
forget_index(struct recovery *r)
{
	struct queue *q = r->q;
	struct id_set skip = {NULL, 0, 0};
	size_t count;
	uint64_t *ids = message_ids(&q->live, &count);

	for (size_t i = 0; i < q->segment_count; i++) {
		q->segments[i].messages = 0;
		q->segments[i].live_bytes = 0;
	}
	for (size_t i = 0; i < count; i++) {
		struct message *m = message_find(&q->live, ids[i]);

		id_set_add(&skip, m->id);
		r->rows += !m->removed;
		if (m->position != 0 && !m->removal_durable)
			space_message_added(q, m);
		if (!m->indexed)
			continue;
		m->indexed = false;
		young_want_index(q, m);
	}
	free(ids);
	young_reorder(q);
	r->replay = replay_new(q, r->from, r->limit, r->whole, &skip);
}

static void
retry_open(struct recovery *r)
{
	recovery_open_index(r, false);
}

static void
retry_renew(struct recovery *r)
{
	recovery_open_index(r, true);
}

static void
done_open(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;
	struct recovery *r = s->r;
	struct queue *q = r->q;
	struct id_set none = {NULL, 0, 0};

	recovery_log_lines(&s->lines);
	r->cut = r->cut || s->cut;
	if (s->strays && !r->strays) {
		r->strays = s->strays;
		s->strays = NULL;
		strays_leave_out_removed(r->strays, q);
	}
	r->whole = s->renew;
	if (s->status < 0) {
		recovery_try_again(r, &s->err, s->renew ? retry_renew : retry_open);
		recovery_step_free(s);
		return;
	}
	trouble_set(q, TROUBLE_INDEX, NULL);
	r->phase = READING;
	r->read_all = false;
	r->rows = 0;
	if (r->whole) {
		r->from = 0;
		r->limit = q->durable;
		r->counted_to = UINT64_MAX;
		forget_index(r);
	} else {
		r->from = index_position(q->index);
		r->counted_to = 0;
		r->replay = replay_new(q, r->from, r->limit, false, &none);
	}
	recovery_step_free(s);
	recovery_read_on(r);
	young_tick(q);
}

void
recovery_open_index(struct recovery *r, bool renew)
{
	struct recovery_step *s = recovery_step_new(r, run_open, done_open);

	r->phase = OPENING;
	s->renew = renew;
	s->sound = r->sound && !r->strays;
	s->places = mem_alloc_array(r->q->segment_count + 1, sizeof(*s->places));
	for (size_t i = 0; i < r->q->segment_count; i++)
		if (r->q->segments[i].s.first < r->limit)
			s->places[s->place_count++] =
			    (struct log_place){r->q->segments[i].s.first, r->q->segments[i].s.size};
	s->limit = r->limit;
	s->oldest = r->q->segment_count > 0 ? r->q->segments[0].s.first : 0;
	worker_put(&r->q->indexer, &s->task);
}
