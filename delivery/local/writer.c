#include "delivery/local/writer.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "common/server/sandbox.h"
#include "delivery/local/letters_in.h"
#include "delivery/local/mailbox.h"
#include "delivery/local/spawn.h"

enum { FAILURE_COUNTS_US = 100000 }; /* a mailbox that could not be opened is not tried more often */

struct writer {
	struct event_base *base;
	struct ipc_channel *channel;
	struct mailbox_settings settings;
	struct mailbox *mailbox;
	struct mailbox_result failed; /* with mailbox NULL: why */
	int64_t opened_us;
	struct letters_in in;
	char *path, *host;
	bool ended;
};

/* ---- the mailbox, once ---- */

static void
read_locks(struct span locks, struct mailbox_settings *s)
{
	struct span word;

	while (span_next_word(&locks, ", \t", &word)) {
		s->lock_fcntl |= span_is(word, "fcntl");
		s->lock_flock |= span_is(word, "flock");
		s->lock_dotlock |= span_is(word, "dotlock");
	}
}

/* A mailbox file needs its directory (locks, first creation), a Maildir its own directories. */
static int
close_sandbox(struct writer *w, struct error *err)
{
	static char directory[4096];
	struct sandbox_path paths[] = {{directory, "rwc"}, {NULL, NULL}};
	struct sandbox_spec spec = {
	    .needs = SANDBOX_FILES | SANDBOX_FILES_WRITE | SANDBOX_SYNC_MANY, .paths = paths};
	const char *slash = strrchr(w->path, '/');
	int landlock = -1;

	snprintf(directory, sizeof(directory), "%s", w->path);
	if (w->settings.kind == MAILBOX_READER)
		paths[0].path = NULL;
	if (w->settings.kind == MAILBOX_MBOX && slash)
		snprintf(directory, sizeof(directory), "%.*s", slash == w->path ? 1 : (int)(slash - w->path),
		    w->path);
	if ((!paths[0].path || access(directory, X_OK) == 0) &&
	    sandbox_landlock_prepare(&spec, NULL, &landlock, err) < 0)
		return -1;
	if (sandbox_no_new_privs(err) < 0 || sandbox_limits(0, err) < 0 ||
	    (landlock >= 0 && sandbox_landlock_close(&landlock, err) < 0))
		return -1;
	return sandbox_seccomp(spec.needs, err);
}

static int
handle_setup(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_mailbox_setup *m = &frame->mailbox_setup;
	struct writer *w = context;
	struct error why;

	(void)channel;
	if (w->path || m->kind > MAILBOX_READER ||
	    (m->kind != MAILBOX_READER && (m->path.len == 0 || m->path.ptr[0] != '/')))
		return error_set(err, "set-up of a mailbox that makes no sense");
	w->path = mem_strndup(m->path.ptr, m->path.len);
	w->host = mem_strndup(m->host.ptr, m->host.len);
	w->settings = (struct mailbox_settings){
	    .kind = (enum mailbox_kind)m->kind,
	    .path = w->path,
	    .host = w->host,
	    .lock_attempts = m->lock_attempts,
	    .lock_delay_us = m->lock_delay_us,
	    .lock_stale_us = m->lock_stale_us,
	    .size_limit = m->size_limit,
	    .strict_owner = m->strict_owner != 0,
	    .shared_file = m->shared_file != 0,
	};
	read_locks(m->locks, &w->settings);
	if (m->kind != MAILBOX_READER)
		w->mailbox = mailbox_open(&w->settings, &w->failed, &why);
	w->opened_us = clock_mono_us();
	return close_sandbox(w, err);
}

/* ---- letters ---- */

static int
handle_open(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct writer *w = context;

	(void)channel;
	if (!w->path)
		return error_set(err, "a letter before the mailbox");
	return letters_in_open(&w->in, frame, err);
}

#define HANDLER(name)                                                                                        \
	static int handle_##name(                                                                            \
	    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)    \
	{                                                                                                    \
		struct writer *w = context;                                                                  \
                                                                                                             \
		(void)channel;                                                                               \
		return letters_in_##name(&w->in, frame, err);                                                \
	}
HANDLER(data)
HANDLER(file)
HANDLER(go)
#undef HANDLER

/* Was it at this recipient before? */
static const struct mailbox_result *
look(const struct letter *l, struct mailbox_result *result)
{
	mailbox_result_set(result, OUTCOME_DELIVERED, "2.0.0", "not yet seen");
	mailbox_check_loop(l, result);
	return result;
}

/* What was opened, or could not be, is not what is there now. */
static bool
is_outdated(const struct writer *w)
{
	if (w->settings.kind == MAILBOX_READER)
		return false;
	return w->mailbox ? mailbox_has_moved(w->mailbox)
			  : clock_mono_us() - w->opened_us > FAILURE_COUNTS_US;
}

/* All that came goes to another process. */
static void
pass_on(struct writer *w)
{
	struct mailbox_result result;
	struct task *task;

	mailbox_result_set(&result, OUTCOME_DEFERRED, "4.2.0", "the mailbox was replaced meanwhile");
	result.moved = true;
	while ((task = TAILQ_FIRST(&w->in.ready)) != NULL) {
		TAILQ_REMOVE(&w->in.ready, task, link);
		task_answer(task, w->channel, &result);
	}
}

/* Writes what is ready: all letters, then one commit for them. */
static void
write_batch(struct writer *w)
{
	struct task *task, *written[MAILBOX_BATCH_MAX];
	struct mailbox_result result, results[MAILBOX_BATCH_MAX];
	size_t count = 0;

	if (!TAILQ_EMPTY(&w->in.ready) && is_outdated(w))
		pass_on(w);
	while (count < MAILBOX_BATCH_MAX && (task = TAILQ_FIRST(&w->in.ready)) != NULL) {
		TAILQ_REMOVE(&w->in.ready, task, link);
		if (w->settings.kind == MAILBOX_READER)
			task_answer(task, w->channel, look(&task->letter, &result));
		else if (!w->mailbox)
			task_answer(task, w->channel, &w->failed);
		else if (mailbox_put(w->mailbox, &task->letter, &result) < 0)
			task_answer(task, w->channel, &result);
		else
			written[count++] = task;
	}
	if (count > 0)
		mailbox_commit(w->mailbox, results);
	for (size_t i = 0; i < count; i++)
		task_answer(written[i], w->channel, &results[i]);
}

static void
down(struct ipc_channel *channel, void *context)
{
	struct writer *w = context;

	(void)channel;
	w->channel = NULL;
	w->ended = true;
}

static const struct ipc_permit permits[] = {
    {IPC_MAILBOX_SETUP, ROLE_BIT(ROLE_LOCAL), handle_setup},
    {IPC_MAILBOX_OPEN, ROLE_BIT(ROLE_LOCAL), handle_open},
    {IPC_MAILBOX_DATA, ROLE_BIT(ROLE_LOCAL), handle_data},
    {IPC_MAILBOX_FILE, ROLE_BIT(ROLE_LOCAL), handle_file},
    {IPC_MAILBOX_GO, ROLE_BIT(ROLE_LOCAL), handle_go},
};

int
writer_main(void)
{
	struct writer *w = mem_alloc(sizeof(*w));
	struct ipc_callbacks callbacks = {
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(permits[0]),
	    .down = down,
	    .context = w,
	};

	if (spawned_begin() < 0)
		return 1;
	letters_in_init(&w->in);
	w->base = event_base_new();
	w->channel =
	    ipc_channel_new(w->base, WRITER_FD, ROLE_LOCAL, 1, ROLE_LOCAL, WRITER_CREDIT, &callbacks);
	while (!w->ended) {
		ipc_flush_all();
		if (event_base_loop(
			w->base, TAILQ_EMPTY(&w->in.ready) ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK) < 0)
			break;
		write_batch(w);
	}
	mailbox_close(&w->mailbox);
	return 0;
}
