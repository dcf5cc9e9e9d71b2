#include "delivery/local/helper.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "delivery/local/command.h"
#include "delivery/local/letters_in.h"
#include "delivery/local/list_file.h"
#include "delivery/local/lists.h"
#include "delivery/local/spawn.h"
#include "delivery/local/writer.h"

enum { WAITS_SECONDS = 30, COMMAND_ARENA = 128 << 10, AT_ONCE_MAX = 1000 };

/* A letter's command: task.more. */
struct run {
	struct helper *helper;
	struct task *task;
	struct arena *arena;
	struct command command;
	struct running *running;
};

/* A list that is being told. */
struct telling {
	TAILQ_ENTRY(telling) link;
	uint32_t call;
	unsigned room; /* members that may be told */
	struct list_file *file;
	char path[4096];
};

struct helper {
	struct event_base *base;
	struct ipc_channel *channel;
	struct letters_in in;
	struct task_list running;
	unsigned running_count;
	TAILQ_HEAD(, telling) lists;
	bool ended;
};

/* ---- commands ---- */

static void
run_end(struct run *run, const struct mailbox_result *result)
{
	struct task *task = run->task;

	task_answer(task, run->helper->channel, result);
	arena_free(&run->arena);
	free(run);
}

static void
on_command_done(void *context, const struct mailbox_result *result)
{
	struct run *run = context;
	struct helper *h = run->helper;

	TAILQ_REMOVE(&h->running, run->task, link);
	h->running_count--;
	run_end(run, result);
}

/* Mail that goes round ends here (RFC 9228); a pipe transport's letter says whose it was only with flag D. */
static bool
goes_round(const struct run *run, struct mailbox_result *result)
{
	const struct letter *l = &run->task->letter;

	return (run->command.service.len == 0 || !(l->flags & LETTER_NO_DELIVERED)) &&
	       mailbox_check_loop(l, result) < 0;
}

/* Starts what may be started, in order. */
static void
start_commands(struct helper *h)
{
	struct mailbox_result result;
	struct task *task;

	while ((task = TAILQ_FIRST(&h->in.ready)) != NULL) {
		struct run *run = task->more;

		if (run && h->running_count >= run->command.at_once)
			return;
		TAILQ_REMOVE(&h->in.ready, task, link);
		if (!run) {
			mailbox_result_set(&result, OUTCOME_DEFERRED, "4.3.0", "a letter without a command");
			task_answer(task, h->channel, &result);
			continue;
		}
		if (goes_round(run, &result)) {
			run_end(run, &result);
			continue;
		}
		run->running =
		    command_start(h->base, &run->command, &task->letter, &result, on_command_done, run);
		if (run->running) {
			TAILQ_INSERT_TAIL(&h->running, task, link);
			h->running_count++;
		} else {
			run_end(run, &result);
		}
	}
}

static void
on_child(int fd, short what, void *context)
{
	struct helper *h = context;
	struct task *task;
	int status;
	pid_t pid;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		TAILQ_FOREACH (task, &h->running, link) {
			struct run *run = task->more;

			if (command_child_ended(run->running, pid, status))
				break;
		}
	}
}

/* The root part need not wonder whether this process still lives. */
static void
on_waits(int fd, short what, void *context)
{
	struct helper *h = context;
	struct msg_mailbox_waits waits = {0};
	struct task *task;

	(void)fd;
	(void)what;
	TAILQ_FOREACH (task, &h->in.ready, link) {
		ipc_send(h->channel, IPC_MAILBOX_WAITS, task->call, &waits);
	}
}

static int
handle_command(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_mailbox_command *m = &frame->mailbox_command;
	struct helper *h = context;
	struct task *task = letters_in_find(&h->in, frame->call);
	struct run *run;

	(void)channel;
	if (!task || task->more || m->at_once == 0 || m->at_once > AT_ONCE_MAX)
		return error_set(err, "a command out of place");
	run = mem_alloc(sizeof(*run));
	run->helper = h;
	run->task = task;
	run->arena = arena_new(COMMAND_ARENA);
	run->command = (struct command){
	    .shell = m->shell != 0,
	    .shell_path = arena_copy_span(run->arena, m->shell_path),
	    .argv = arena_copy_span(run->arena, m->argv),
	    .environment = arena_copy_span(run->arena, m->environment),
	    .directory = arena_copy_span(run->arena, m->directory),
	    .service = arena_copy_span(run->arena, m->service),
	    .time_limit_us = m->time_limit_us,
	    .at_once = m->at_once,
	};
	task->more = run;
	return 0;
}

#define HANDLER(name)                                                                                        \
	static int handle_##name(                                                                            \
	    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)    \
	{                                                                                                    \
		struct helper *h = context;                                                                  \
                                                                                                             \
		(void)channel;                                                                               \
		return letters_in_##name(&h->in, frame, err);                                                \
	}
HANDLER(open)
HANDLER(data)
HANDLER(file)
HANDLER(go)
#undef HANDLER

/* ---- lists ---- */

static void
telling_end(struct helper *h, struct telling *t, enum member_list_status status, const char *text)
{
	struct msg_list_done done = {
	    .status = (uint8_t)status, .path = span_of(t->path), .text = span_of(text)};

	ipc_send(h->channel, IPC_LIST_DONE, t->call, &done);
	TAILQ_REMOVE(&h->lists, t, link);
	list_file_close(&t->file);
	free(t);
}

static void
tell(struct helper *h, struct telling *t)
{
	enum alias_member kind;
	struct span member;
	char text[400];
	int got = 1;

	for (; t->room > 0 && (got = list_file_next(t->file, &kind, &member, text)) > 0; t->room--) {
		struct msg_list_member m = {
		    .kind = (uint8_t)kind, .place = list_file_place(t->file), .text = member};

		ipc_send(h->channel, IPC_LIST_MEMBER, t->call, &m);
	}
	if (got == 0)
		telling_end(h, t, LIST_READ, "");
	else if (got < 0)
		telling_end(h, t, LIST_TEMPORARY, text);
}

static int
handle_list_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_list_ask *m = &frame->list_ask;
	struct helper *h = context;
	struct telling *t = mem_alloc(sizeof(*t));
	char home[4096], text[400];
	enum member_list_status status;
	struct list_request request = {
	    .kind = m->kind == LIST_FORWARD ? LIST_FORWARD : LIST_INCLUDE,
	    .paths = m->paths,
	    .home = home,
	    .uid = m->uid,
	};

	(void)channel;
	(void)err;
	span_copy(m->home, home, sizeof(home));
	t->call = frame->call;
	t->room = LIST_WINDOW;
	TAILQ_INSERT_TAIL(&h->lists, t, link);
	t->file = list_file_open(&request, &status, t->path, text);
	if (t->file)
		tell(h, t);
	else
		telling_end(h, t, status, text);
	return 0;
}

static int
handle_list_taken(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct helper *h = context;
	struct telling *t;

	(void)channel;
	(void)err;
	TAILQ_FOREACH (t, &h->lists, link) {
		if (t->call != frame->call)
			continue;
		t->room += frame->list_taken.members;
		if (frame->list_taken.members == 0)
			telling_end(h, t, LIST_READ, "");
		else
			tell(h, t);
		break;
	}
	return 0; /* a list that has ended takes no more */
}

/* ---- life ---- */

static void
down(struct ipc_channel *channel, void *context)
{
	struct helper *h = context;

	(void)channel;
	h->channel = NULL;
	h->ended = true;
}

static const struct ipc_permit permits[] = {
    {IPC_MAILBOX_OPEN, ROLE_BIT(ROLE_LOCAL), handle_open},
    {IPC_MAILBOX_COMMAND, ROLE_BIT(ROLE_LOCAL), handle_command},
    {IPC_MAILBOX_DATA, ROLE_BIT(ROLE_LOCAL), handle_data},
    {IPC_MAILBOX_FILE, ROLE_BIT(ROLE_LOCAL), handle_file},
    {IPC_MAILBOX_GO, ROLE_BIT(ROLE_LOCAL), handle_go},
    {IPC_LIST_ASK, ROLE_BIT(ROLE_LOCAL), handle_list_ask},
    {IPC_LIST_TAKEN, ROLE_BIT(ROLE_LOCAL), handle_list_taken},
};

static void
set_up(struct helper *h)
{
	const struct timeval often = {.tv_sec = WAITS_SECONDS};
	struct ipc_callbacks callbacks = {
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(permits[0]),
	    .down = down,
	    .context = h,
	};

	letters_in_init(&h->in);
	TAILQ_INIT(&h->running);
	TAILQ_INIT(&h->lists);
	h->base = event_base_new();
	event_add(evsignal_new(h->base, SIGCHLD, on_child, h), NULL);
	event_add(event_new(h->base, -1, EV_PERSIST, on_waits, h), &often);
	h->channel =
	    ipc_channel_new(h->base, WRITER_FD, ROLE_LOCAL, 1, ROLE_LOCAL, WRITER_CREDIT, &callbacks);
}

int
helper_main(const char *root, const char *ids)
{
	struct helper *h = mem_alloc(sizeof(*h));
	struct task *task;

	if ((root && spawned_enter_root(root, ids) < 0) || spawned_begin() < 0)
		return 1;
	set_up(h);
	while (!h->ended) {
		ipc_flush_all();
		if (event_base_loop(h->base, EVLOOP_ONCE) < 0)
			break;
		start_commands(h);
	}
	/* Whoever asked has gone: what is under way would be run again. */
	TAILQ_FOREACH (task, &h->running, link)
		command_abort(((struct run *)task->more)->running);
	return 0;
}
