#include "delivery/local/writers.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

/* Of those that take their time: letters for one mailbox, and for the commands of one user or alias. */
enum { LETTERS_SLOW_MAX = 4, COMMANDS_SLOW_MAX = 10 };

enum { CHUNK = 61440, SPARE_ANSWER_MS = 60000 };

struct delivery {
	struct pool_task task;
	const struct letter *letter;
	const struct command *command;
	writers_done *done;
	void *context;
	bool again; /* a second process is asked */
	/* What the writer is told of the configuration, as it was then. */
	char *host, *locks;
};

static struct delivery *
delivery_of(struct pool_task *task)
{
	return (struct delivery *)(void *)((char *)task - offsetof(struct delivery, task));
}

static void
delivery_end(struct delivery *d, enum outcome_class class, const char *status, struct span text)
{
	d->done(d->context, class, span_of(status), text);
	free(d->host);
	free(d->locks);
	free(d);
}

static void
lost(struct pool_task *task, const char *why)
{
	delivery_end(delivery_of(task), OUTCOME_DEFERRED, "4.3.0", span_of(why));
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct delivery *d = context;
	const struct msg_mailbox_done *m;
	char status[16];

	if (!frame) {
		pool_task_failed(&d->task);
		delivery_end(d, OUTCOME_DEFERRED, "4.3.0", SPAN_LIT("the mailbox's writer did not answer"));
		return 0;
	}
	if (frame->type == IPC_MAILBOX_WAITS)
		return 0;
	m = &frame->mailbox_done;
	if (m->moved && !d->again) {
		d->again = true;
		pool_task_again(&d->task);
		return 0;
	}
	pool_task_end(&d->task);
	if (!span_copy(m->status, status, sizeof(status)) ||
	    (m->class != OUTCOME_DELIVERED && m->class != OUTCOME_DEFERRED && m->class != OUTCOME_BOUNCED)) {
		delivery_end(
		    d, OUTCOME_DEFERRED, "4.3.0", SPAN_LIT("the mailbox's writer answered nonsense"));
		return error_set(err, "an answer that makes no sense");
	}
	delivery_end(d, (enum outcome_class)m->class, status, m->text);
	return 0;
}

static void
send_content(struct ipc_channel *channel, uint32_t call, const struct letter *l)
{
	struct span rest = buf_span(&l->content);

	if (l->fd >= 0) {
		struct msg_mailbox_file file = {.offset = l->offset, .fd = l->fd};

		ipc_send(channel, IPC_MAILBOX_FILE, call, &file);
		return;
	}
	while (rest.len > 0) {
		struct msg_mailbox_data data = {.bytes = span_sub(rest, 0, CHUNK)};

		ipc_send(channel, IPC_MAILBOX_DATA, call, &data);
		rest = span_from(rest, data.bytes.len);
	}
}

static int
send_command(struct ipc_channel *channel, uint32_t call, const struct command *c)
{
	struct msg_mailbox_command message = {
	    .shell = c->shell,
	    .shell_path = c->shell_path,
	    .argv = c->argv,
	    .environment = c->environment,
	    .directory = c->directory,
	    .service = c->service,
	    .time_limit_us = c->time_limit_us,
	    .at_once = c->at_once,
	};

	return ipc_send(channel, IPC_MAILBOX_COMMAND, call, &message);
}

static void
begin(struct pool_task *task, struct ipc_channel *channel)
{
	struct delivery *d = delivery_of(task);
	const struct letter *l = d->letter;
	struct msg_mailbox_open open = {
	    .sender = l->sender,
	    .recipient = l->recipient,
	    .orig_to = l->orig_to,
	    .header_name = l->header_name,
	    .delivered_to = l->delivered_to,
	    .way = l->way,
	    .flags = l->flags,
	    .content_len = l->content_len,
	    .header_len = l->header_len,
	};
	struct msg_mailbox_go go = {0};
	uint32_t call = pool_task_ask(task, IPC_MAILBOX_OPEN, &open, on_answer, d);

	if (call == 0) {
		pool_task_end(task);
		lost(task, "the mailbox's writer is not there");
		return;
	}
	if (d->command)
		send_command(channel, call, d->command);
	send_content(channel, call, l);
	ipc_send(channel, IPC_MAILBOX_GO, call, &go);
}

static const struct pool_task_kind kind = {.begin = begin, .lost = lost};

/* Of a pipe transport queue gives no more than may run; all of them are one lane. */
static void
set_command(struct pool_task *task, const struct command *c)
{
	bool pipe = c->service.len > 0;

	task->lane = pipe ? c->service : c->lane;
	task->slow_max = pipe ? 0 : COMMANDS_SLOW_MAX;
	task->answer_ms = SPARE_ANSWER_MS * 2 + (unsigned)(c->time_limit_us / US_PER_MS);
}

void
writers_deliver(struct pool *pool, const struct conf_values *v, const struct writers_request *request,
    writers_done *done, void *context)
{
	struct delivery *d = mem_alloc(sizeof(*d));
	struct pool_task *task = &d->task;

	d->letter = request->letter;
	d->command = request->command;
	d->done = done;
	d->context = context;
	d->host = mem_strdup(v->myhostname);
	d->locks = mem_strdup(request->locks ? request->locks : "");
	task->kind = &kind;
	task->target = *request->target;
	task->setup = (struct msg_mailbox_setup){
	    .kind = (uint8_t)task->target.kind,
	    .path = span_of(task->target.path),
	    .host = span_of(d->host),
	    .locks = span_of(d->locks),
	    .lock_attempts = (uint32_t)v->deliver_lock_attempts,
	    .lock_delay_us = v->deliver_lock_delay,
	    .lock_stale_us = v->stale_lock_time,
	    .size_limit = request->size_limit,
	    .strict_owner = request->strict_owner,
	    .shared_file = request->shared_file,
	};
	/* Locks may take all their attempts for each letter before the last; a command tells that it waits. */
	task->answer_ms =
	    SPARE_ANSWER_MS + (unsigned)(v->deliver_lock_attempts * v->deliver_lock_delay / US_PER_MS) * 4;
	task->slow_max = LETTERS_SLOW_MAX;
	if (d->command)
		set_command(task, d->command);
	pool_add(pool, v, task);
}
