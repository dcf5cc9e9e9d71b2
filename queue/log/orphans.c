#include "queue/log/orphans.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/mail/queue_id.h"
#include "queue/log/damage.h"
#include "queue/log/disk.h"
#include "queue/queue.h"

enum { PAGE = 4000, ORPHANS_MAX = 200000 };

struct orphan_task {
	struct task task;
	struct queue *q;
	struct index *index;
	uint64_t *ids;
	size_t count, at;
	bool keep; /* records were damaged: one of them may have named it */
	unsigned removed;
};

void
orphans_list(struct queue *q, struct orphans *o)
{
	int fd = dup(q->files_dir);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	size_t cap = 0;

	while (d && o->count < ORPHANS_MAX && (e = readdir(d))) {
		uint64_t id;

		if (queue_id_parse(span_of(e->d_name), &id) < 0)
			continue;
		if (o->count == cap) {
			cap = cap ? cap * 2 : 256;
			o->ids = mem_resize(o->ids, cap * sizeof(uint64_t));
		}
		o->ids[o->count++] = id;
	}
	if (d)
		closedir(d);
}

static bool
run_orphans(struct task *task)
{
	struct orphan_task *t = (struct orphan_task *)task;
	struct index_row row;
	struct error err;
	struct buf bytes;
	size_t until = t->at + PAGE;

	buf_init(&bytes, 32 << 20);
	for (; t->at < t->count && t->at < until; t->at++) {
		char name[32];

		if (index_load(t->index, t->ids[t->at], &bytes, &row, &err) != 0)
			continue;
		content_file_name(t->ids[t->at], name);
		if (t->keep)
			damage_move(t->q->files_dir, name, t->q->damaged_dir, name);
		else
			disk.unlinkat(t->q->files_dir, name, 0);
		t->removed++;
	}
	buf_free(&bytes);
	return false;
}

/* Page by page: when the index is made anew meanwhile, it knows nothing of the messages whose files these are. */
static void
done_orphans(struct task *task)
{
	struct orphan_task *t = (struct orphan_task *)task;

	if (t->at < t->count && !t->q->recovery) {
		worker_put(&t->q->indexer, &t->task);
		return;
	}
	if (t->removed > 0)
		log_info(&queue_log, "%u message files without a record: %s", t->removed,
		    t->keep ? "moved to damaged/" : "removed");
	free(t->ids);
	free(t);
}

void
orphans_remove(struct queue *q, struct orphans *o, bool keep)
{
	struct orphan_task *t;
	size_t kept = 0;

	for (size_t i = 0; i < o->count; i++)
		if (!message_find(&q->live, o->ids[i]))
			o->ids[kept++] = o->ids[i];
	if (kept == 0)
		return;
	t = mem_alloc(sizeof(*t));
	t->q = q;
	t->index = q->index;
	t->ids = o->ids;
	t->count = kept;
	t->keep = keep;
	*o = (struct orphans){NULL, 0};
	t->task.run = run_orphans;
	t->task.done = done_orphans;
	worker_put(&q->indexer, &t->task);
}

void
orphans_free(struct orphans *o)
{
	free(o->ids);
	*o = (struct orphans){NULL, 0};
}
