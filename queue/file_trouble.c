/*
 * file_trouble: whether messages that are too large for the log can have their files. Small ones go on meanwhile, so nobody
 * might notice; and as no large one may come for days, it is tried each second whether it is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "queue/log/disk.h"
#include "queue/queue.h"

enum { HANG_S = 20 };

struct probe_task {
	struct task task;
	struct queue *q;
	int dir;
	size_t octets;
	bool sync;
	int status;
	struct error err;
};

static int
probe(struct probe_task *t)
{
	char *zeros;
	int status = 0, fd = disk.openat(t->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return 0; /* it does not know such files: the next message will show */
	if (fd < 0)
		return error_errno(&t->err, "creating a message file");
	zeros = mem_alloc(t->octets);
	if (disk_write_all(fd, zeros, t->octets, 0) < 0)
		status = error_errno(&t->err, "writing a message file");
	else if (t->sync && disk.fsync(fd) < 0)
		status = error_errno(&t->err, "syncing a message file");
	free(zeros);
	disk.close(fd);
	return status;
}

static bool
run_probe(struct task *task)
{
	struct probe_task *t = (struct probe_task *)task;

	t->status = probe(t);
	return false;
}

static void
done_probe(struct task *task)
{
	struct probe_task *t = (struct probe_task *)task;

	t->q->probing = false;
	trouble_set(t->q, TROUBLE_FILES, t->status < 0 ? &t->err : NULL);
	free(t);
}

static void
look_for_hang(struct queue *q)
{
	struct error err;

	q->files_hang = worker_hangs(&q->helper, HANG_S);
	if (!q->files_hang)
		return;
	error_set(&err, "a call for a file has not ended for %d seconds", HANG_S);
	trouble_set(q, TROUBLE_FILES, &err);
}

void
file_trouble_check(struct queue *q)
{
	size_t octets = (size_t)q->conf->spool_inline_limit;
	struct probe_task *t;

	look_for_hang(q);
	if (!trouble_is(q, TROUBLE_FILES) || q->probing || q->read_only || !space_has_room(q, octets))
		return;
	q->probing = true;
	t = mem_alloc(sizeof(*t));
	t->q = q;
	t->dir = q->files_dir;
	t->octets = octets;
	t->sync = q->conf->queue_sync;
	t->task.run = run_probe;
	t->task.done = done_probe;
	worker_put(&q->helper, &t->task);
}

bool
file_trouble_has_room(struct queue *q, uint64_t id, uint64_t octets)
{
	struct error err;

	if (space_has_room(q, octets))
		return true;
	if (space_has_room(q, (uint64_t)q->conf->spool_inline_limit)) {
		log_warning(QUEUE_LOG(id), "insufficient disk space for a message of %llu octets",
		    (unsigned long long)octets);
		return false;
	}
	error_set(&err, "insufficient disk space for the queue");
	trouble_set(q, TROUBLE_FILES, &err);
	return false;
}
