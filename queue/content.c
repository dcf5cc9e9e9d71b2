/*
 * content: what messages say, in memory within a budget, else read again from the log or from the message's file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "queue/log/damage.h"
#include "queue/log/disk.h"
#include "queue/queue.h"

enum { CONTENT_BUDGET = 32 << 20 };

void
content_file_name(uint64_t id, char name[32])
{
	queue_id_format(id, name);
}

void
content_keep(struct queue *q, struct message *m)
{
	if (m->content_counted || !m->content.ptr)
		return;
	m->content_counted = true;
	q->content_bytes += m->content.len;
	TAILQ_INSERT_TAIL(&q->contents, m, content_link);
	if (q->content_bytes > CONTENT_BUDGET)
		content_trim(q);
}

void
content_forget(struct queue *q, struct message *m)
{
	if (!m->content_counted)
		return;
	m->content_counted = false;
	q->content_bytes -= m->content.len;
	TAILQ_REMOVE(&q->contents, m, content_link);
}

static void
drop(struct queue *q, struct message *m)
{
	if (m->busy || m->jobs || m->notifying)
		return;
	content_forget(q, m);
	message_drop_content(m);
}

/* Its first attempt did not finish it: it goes to where trimming begins. */
void
content_tried(struct queue *q, struct message *m)
{
	if (!m->content_counted)
		return;
	TAILQ_REMOVE(&q->contents, m, content_link);
	TAILQ_INSERT_HEAD(&q->contents, m, content_link);
}

void
content_trim(struct queue *q)
{
	struct message *m, *next;

	/* What was tried already waits for long; of the rest the oldest are the next to be sent. */
	for (m = TAILQ_FIRST(&q->contents); m && !m->fresh && q->content_bytes > CONTENT_BUDGET; m = next) {
		next = TAILQ_NEXT(m, content_link);
		drop(q, m);
	}
	for (m = TAILQ_LAST(&q->contents, message_list); m && q->content_bytes > CONTENT_BUDGET; m = next) {
		next = TAILQ_PREV(m, message_list, content_link);
		drop(q, m);
	}
}

struct content_task {
	struct task task;
	struct queue *q;
	struct message *m;
	uint64_t id;
	bool in_file;
	int dir, damaged_dir;
	struct segment segment;
	uint64_t position, content_position, content_len, file_offset;
	char *bytes; /* the record */
	char *content;
	int fd;
	content_done *done;
	void *context;
	int status;
	bool lost; /* reading it again will not help */
	bool set_aside; /* just now */
	unsigned damages;
	struct error err;
};

/* The whole record is read and checked: never is a part delivered. */
static int
read_record(struct content_task *t)
{
	uint64_t offset = t->position - t->segment.first;
	uint64_t need = t->content_position + t->content_len - t->position;
	struct record record;
	size_t wanted, len;
	ssize_t n;

	t->lost = t->content_position < t->position || need > RECORD_MAX;
	if (t->lost)
		return error_set(&t->err, "the place of this message in the spool's log cannot be");
	len = (size_t)(need + RECORD_ALIGN);
	t->bytes = mem_alloc(len);
	n = disk_read_all(t->segment.fd, t->bytes, len, (off_t)offset);
	if (n < 0)
		return error_errno(&t->err, "reading the spool's record of this message");
	if (record_read(span_make(t->bytes, (size_t)n), t->position, t->segment.salt, &record, &wanted) <=
		0 ||
	    record.id != t->id) {
		t->lost = true;
		t->set_aside = damage_keep(t->damaged_dir, &t->segment, t->position, need);
		t->damages = damage_count(t->damaged_dir);
		return error_set(&t->err, "the spool's record of this message is damaged");
	}
	t->content = t->bytes + (t->content_position - t->position);
	return 0;
}

/* Whatever lies there in the file's place holds up nobody's mail; and of one that was cut short no part is sent. */
static int
open_file(struct content_task *t)
{
	struct stat st;
	char name[32];

	content_file_name(t->id, name);
	t->fd = disk.openat(t->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (t->fd < 0 && errno == ENOENT)
		return error_set(&t->err, "the spool's file of this message is missing");
	if (t->fd < 0)
		return error_errno(&t->err, "opening the spool's file of this message");
	if (fstat(t->fd, &st) < 0 || !S_ISREG(st.st_mode))
		error_set(&t->err, "the spool's file of this message is no regular file");
	else if ((uint64_t)st.st_size < t->file_offset + t->content_len)
		error_set(&t->err, "the spool's file of this message is cut short");
	else
		return 0;
	disk.close(t->fd);
	t->fd = -1;
	return -1;
}

static bool
run_content(struct task *task)
{
	struct content_task *t = (struct content_task *)task;

	t->status = t->in_file ? open_file(t) : read_record(t);
	return false;
}

/* The message's memory takes the content over, as if it had come with it. */
static void
attach(struct message *m, struct content_task *t)
{
	struct message_block *b = mem_alloc(sizeof(*b) + (size_t)t->content_len + 1);

	memcpy(b->bytes, t->content, (size_t)t->content_len);
	b->next = m->blocks;
	m->blocks = b;
	m->content = span_make(b->bytes, (size_t)t->content_len);
}

/* Once; what becomes of it is told with each attempt. */
static void
tell_of_damage(const struct content_task *t)
{
	t->q->damages = t->damages;
	log_error(QUEUE_LOG(t->id),
	    "its record is damaged (segment %06u, log position %llu); set aside as damaged/record-%020llu; "
	    "its sender is told when it expires or an operator bounces it",
	    t->segment.slot, (unsigned long long)t->position, (unsigned long long)t->position);
}

static void
done_content(struct task *task)
{
	struct content_task *t = (struct content_task *)task;

	t->m->busy--;
	t->m->lost = t->m->lost || t->lost;
	if (t->set_aside)
		tell_of_damage(t);
	if (t->status == 0 && !t->in_file && !t->m->content.ptr)
		attach(t->m, t);
	t->done(t->q, t->m, t->fd, t->context, t->status < 0 ? t->err.text : NULL);
	free(t->bytes);
	young_settle(t->q, t->m);
	free(t);
}

void
content_get(struct queue *q, struct message *m, content_done *done, void *context)
{
	struct segment_info *info = space_segment_of(q, m->position);
	struct content_task *t;

	if (m->content.ptr || (m->e.content_len == 0 && !m->e.in_file)) {
		done(q, m, -1, context, NULL);
		return;
	}
	if (!info && !m->e.in_file) {
		m->lost = true;
		done(q, m, -1, context, "the spool's segment with this message is gone");
		return;
	}
	t = mem_alloc(sizeof(*t));
	t->q = q;
	t->m = m;
	t->id = m->id;
	t->in_file = m->e.in_file;
	t->dir = q->files_dir;
	t->damaged_dir = q->damaged_dir;
	if (info)
		t->segment = info->s;
	t->position = m->position;
	t->content_position = m->content_position;
	t->content_len = m->e.content_len;
	t->file_offset = m->e.file_offset;
	t->fd = -1;
	t->done = done;
	t->context = context;
	t->task.run = run_content;
	t->task.done = done_content;
	m->busy++;
	worker_put(&q->helper, &t->task);
}

/* The loop waits for no disk: who wants octets in memory has the helper read them. */
struct first_task {
	struct task task;
	struct queue *q;
	struct message *m;
	int fd;
	off_t offset;
	size_t len;
	char *bytes;
	ssize_t got;
	content_first_done *done;
	void *context;
	struct error err;
};

static bool
run_first(struct task *task)
{
	struct first_task *t = (struct first_task *)task;

	t->got = disk_read_all(t->fd, t->bytes, t->len, t->offset);
	if (t->got < 0)
		error_errno(&t->err, "reading its file");
	return false;
}

static void
done_first(struct task *task)
{
	struct first_task *t = (struct first_task *)task;
	size_t got = t->got > 0 ? (size_t)t->got : 0;

	t->m->busy--;
	t->done(t->q, t->m, span_make(t->bytes, got), t->context, t->got < 0 ? t->err.text : NULL);
	disk.close(t->fd);
	free(t->bytes);
	young_settle(t->q, t->m);
	free(t);
}

static void
on_first(struct queue *q, struct message *m, int fd, void *context, const char *error)
{
	struct first_task *t = context;

	if (error || fd < 0) {
		t->done(q, m, error ? span_make("", 0) : span_sub(m->content, 0, t->len), t->context, error);
		free(t);
		return;
	}
	t->fd = fd;
	t->offset = (off_t)m->e.file_offset;
	t->bytes = mem_alloc(t->len + 1);
	m->busy++;
	worker_put(&q->helper, &t->task);
}

void
content_first(struct queue *q, struct message *m, uint64_t most, content_first_done *done, void *context)
{
	struct first_task *t = mem_alloc(sizeof(*t));

	t->task.run = run_first;
	t->task.done = done_first;
	t->q = q;
	t->m = m;
	t->len = (size_t)(most < m->e.content_len ? most : m->e.content_len);
	t->done = done;
	t->context = context;
	content_get(q, m, on_first, t);
}

struct unlink_task {
	struct task task;
	int dir;
	char name[32];
};

static bool
run_unlink(struct task *task)
{
	struct unlink_task *t = (struct unlink_task *)task;

	/* What stays because of an error is an orphan, which the next start removes. */
	(void)disk.unlinkat(t->dir, t->name, 0);
	return false;
}

static void
done_unlink(struct task *task)
{
	free(task);
}

void
content_remove_file(struct queue *q, uint64_t id)
{
	struct unlink_task *t = mem_alloc(sizeof(*t));

	t->dir = q->files_dir;
	content_file_name(id, t->name);
	t->task.run = run_unlink;
	t->task.done = done_unlink;
	worker_put(&q->helper, &t->task);
}
