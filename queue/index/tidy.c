#include "queue/index/tidy.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "queue/index/compact.h"
#include "queue/index/room.h"
#include "queue/index/sweep.h"
#include "queue/index/zones.h"
#include "queue/queue.h"

struct tidy_task {
	struct task task;
	struct queue *q;
	struct index *index;
	int status;
	struct error err;
};

static bool
run_tidy(struct task *task)
{
	struct tidy_task *t = (struct tidy_task *)task;

	t->status = zones_step(t->index, &t->err);
	if (t->status != 0)
		return t->status > 0;
	if (sweep_is_due(t->index))
		t->status = sweep_step(t->index, &t->err);
	else if (compact_is_due(t->index))
		t->status = compact_step(t->index, &t->err);
	else if (space_index_has_room(t->q))
		room_keep(space_room_octets(t->q));
	return t->status > 0;
}

static void
done_tidy(struct task *task)
{
	struct tidy_task *t = (struct tidy_task *)task;

	if (t->status < 0)
		log_warning(&queue_log, "%s", t->err.text);
	t->q->tidying = false;
	free(t);
}

void
tidy_tick(struct queue *q)
{
	struct tidy_task *t;

	if (q->tidying || !q->indexer.started || q->recovery)
		return;
	t = mem_alloc(sizeof(*t));
	t->q = q;
	t->index = q->index;
	t->task.run = run_tidy;
	t->task.done = done_tidy;
	q->tidying = true;
	worker_put(&q->indexer, &t->task);
}
