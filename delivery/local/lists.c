#include "delivery/local/lists.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum { ANSWER_MS = 120000, TAKEN_STEP = LIST_WINDOW / 2 };

struct list_read {
	struct pool_task task;
	enum member_list_kind kind;
	char *paths, *home;
	uid_t owner;
	uint32_t call;
	unsigned taken; /* not yet told */
	unsigned room; /* so many may come */
	const struct list_reader *reader; /* NULL: nobody listens */
	void *context;
};

static struct list_read *
list_of(struct pool_task *task)
{
	return (struct list_read *)(void *)((char *)task - offsetof(struct list_read, task));
}

static void
end(struct list_read *l, enum member_list_status status, struct span path, struct span text)
{
	if (l->reader)
		l->reader->done(l->context, status, path, text);
	free(l->paths);
	free(l->home);
	free(l);
}

static void
lost(struct pool_task *task, const char *why)
{
	end(list_of(task), LIST_TEMPORARY, span_make("", 0), span_of(why));
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct list_read *l = context;

	if (!frame) {
		pool_task_failed(&l->task);
		lost(&l->task, "the process that reads lists did not answer");
		return 0;
	}
	if (frame->type == IPC_LIST_MEMBER && frame->list_member.kind <= ALIAS_MALFORMED && l->room > 0) {
		l->room--;
		if (l->reader)
			l->reader->member(l->context, frame->list_member.place,
			    (enum alias_member)frame->list_member.kind, frame->list_member.text);
		return 0;
	}
	pool_task_end(&l->task);
	if (frame->type != IPC_LIST_DONE || frame->list_done.status > LIST_TEMPORARY) {
		lost(&l->task, "the process that reads lists answered nonsense");
		return error_set(err, "an answer that makes no sense");
	}
	end(l, (enum member_list_status)frame->list_done.status, frame->list_done.path,
	    frame->list_done.text);
	return 0;
}

static void
begin(struct pool_task *task, struct ipc_channel *channel)
{
	struct list_read *l = list_of(task);
	struct msg_list_ask ask = {
	    .kind = (uint8_t)l->kind, .paths = span_of(l->paths), .home = span_of(l->home), .uid = l->owner};

	(void)channel;
	if (!l->reader) {
		pool_task_end(task);
		lost(task, "");
		return;
	}
	l->room = LIST_WINDOW;
	l->call = pool_task_ask(task, IPC_LIST_ASK, &ask, on_answer, l);
	if (l->call == 0) {
		pool_task_end(task);
		lost(task, "the process that reads lists is not there");
	}
}

static const struct pool_task_kind kind = {.begin = begin, .lost = lost};

struct list_read *
list_read_start(struct pool *pool, const struct conf_values *v, const struct list_source *source,
    const struct list_reader *reader, void *context)
{
	struct list_read *l = mem_alloc(sizeof(*l));

	l->kind = source->kind;
	l->paths = mem_strndup(source->paths.ptr, source->paths.len);
	l->home = mem_strdup(source->home);
	l->owner = source->owner;
	l->reader = reader;
	l->context = context;
	l->task.kind = &kind;
	l->task.target = *source->user;
	l->task.answer_ms = ANSWER_MS;
	pool_add(pool, v, &l->task);
	return l;
}

static void
tell_taken(struct list_read *l, unsigned members)
{
	struct msg_list_taken taken = {.members = members};

	if (l->task.process)
		ipc_send(pool_task_channel(&l->task), IPC_LIST_TAKEN, l->call, &taken);
}

void
list_read_taken(struct list_read *l, unsigned members)
{
	l->taken += members;
	if (l->taken < TAKEN_STEP)
		return;
	tell_taken(l, l->taken);
	l->room += l->taken;
	l->taken = 0;
}

void
list_read_cancel(struct list_read *l)
{
	l->reader = NULL;
	/* Else it would wait for its members to be taken, and be killed for it with the user's commands. */
	tell_taken(l, 0);
}
