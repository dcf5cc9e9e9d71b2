#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/log/disk.h"
#include "queue/submission.h"

enum file_step { FILE_OPEN, FILE_WRITE, FILE_SYNC, FILE_DROP };

struct file_task {
	struct task task;
	struct submission *s;
	enum file_step step;
	int dir, *fd;
	bool sync;
	char name[32];
	uint64_t offset;
	char *bytes;
	size_t len;
	int status;
	struct error err;
};

static int
run_step(struct file_task *t)
{
	switch (t->step) {
	case FILE_OPEN:
		*t->fd =
		    disk.openat(t->dir, t->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		return *t->fd < 0 ? error_errno(&t->err, "creating a message file") : 0;
	case FILE_WRITE:
		if (*t->fd < 0)
			return error_set(&t->err, "no message file");
		if (disk_write_all(*t->fd, t->bytes, t->len, (off_t)t->offset) < 0)
			return error_errno(&t->err, "writing a message file");
		return 0;
	case FILE_SYNC:
		if (*t->fd < 0)
			return error_set(&t->err, "no message file");
		/* File, then directory, then the record that names it. */
		if (t->sync && (disk.fsync(*t->fd) < 0 || disk.fsync(t->dir) < 0))
			return error_errno(&t->err, "syncing a message file");
		disk_step("file-synced");
		return 0;
	default:
		if (*t->fd >= 0) {
			disk.close(*t->fd);
			*t->fd = -1;
			disk.unlinkat(t->dir, t->name, 0);
		}
		return 0;
	}
}

static bool
run(struct task *task)
{
	struct file_task *t = (struct file_task *)task;

	t->status = run_step(t);
	return false;
}

static void
done(struct task *task)
{
	struct file_task *t = (struct file_task *)task;
	struct submission *s = t->s;
	enum file_step step = t->step;

	s->writes--;
	if (t->status < 0 && s->status == SUBMIT_OK) {
		bool disk_is_to_blame = recovery_error_passes(&t->err) || t->err.number == EIO;

		s->status = disk_is_to_blame ? SUBMIT_NO_SPACE : SUBMIT_TRY_LATER;
		log_warning(QUEUE_LOG(s->id), "%s", t->err.text);
		if (disk_is_to_blame)
			trouble_set(s->q, TROUBLE_FILES, &t->err);
	} else if (step == FILE_SYNC && s->status == SUBMIT_OK) {
		trouble_set(s->q, TROUBLE_FILES, NULL);
	}
	if (step == FILE_WRITE && s->channel && !s->closing)
		submission_grant(s, t->len);
	free(t->bytes);
	free(t);
	if (step == FILE_SYNC)
		submission_commit(s);
	else if (step == FILE_DROP)
		submission_free(s);
}

static void
put(struct submission *s, enum file_step step, uint64_t offset, char *bytes, size_t len)
{
	struct file_task *t = mem_alloc(sizeof(*t));

	t->s = s;
	t->step = step;
	t->dir = s->q->files_dir;
	t->fd = &s->fd;
	t->sync = s->q->conf->queue_sync;
	content_file_name(s->id, t->name);
	t->offset = offset;
	t->bytes = bytes;
	t->len = len;
	t->task.run = run;
	t->task.done = done;
	s->writes++;
	worker_put(&s->q->helper, &t->task);
}

void
submission_file_write(struct submission *s, struct span bytes)
{
	/* Nothing more of what will be refused. */
	if (s->status != SUBMIT_OK) {
		submission_grant(s, bytes.len);
		return;
	}
	put(s, FILE_WRITE, FILE_PREPEND_ROOM + s->received, mem_strndup(bytes.ptr, bytes.len), bytes.len);
}

void
submission_spill(struct submission *s)
{
	struct span content = submission_content(s);
	size_t len = content.len;

	s->spilled = true;
	if (!file_trouble_has_room(s->q, s->id, s->e.content_len > len ? s->e.content_len : len))
		s->status = SUBMIT_NO_SPACE;
	put(s, FILE_OPEN, 0, NULL, 0);
	if (len > 0 && s->status == SUBMIT_OK)
		put(s, FILE_WRITE, FILE_PREPEND_ROOM, mem_strndup(content.ptr, len), len);
	s->q->submission_bytes -= len;
	s->ungranted = 0; /* is granted as it is written */
	buf_free(&s->content);
	s->room = 0;
}

void
submission_file_end(struct submission *s)
{
	if (s->prepend_len > 0) {
		put(s, FILE_WRITE, FILE_PREPEND_ROOM - s->prepend_len, s->prepend, s->prepend_len);
		s->prepend = NULL;
	}
	put(s, FILE_SYNC, 0, NULL, 0);
}

void
submission_file_drop(struct submission *s)
{
	put(s, FILE_DROP, 0, NULL, 0);
}
