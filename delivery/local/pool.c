#include "delivery/local/pool.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "delivery/local/spawn.h"

/* Commands may take long, and their users' lists are asked for in between: helpers get more room. */
enum { KEEP_SECONDS = 5, HELPERS_PER_WORKER = 5, IDENTITY_MAX = 8000 };

/*
 * A process that brought nothing to an end for so long gets no more than its tasks say, lest they take all places of the others, and
 * counts no more, up to so many times as there may be.
 */
enum { STUCK_S = 5, PROCESSES_TIMES = 5 };

/* Nor may the commands of many take all places: of those that bring nothing to an end for so long there are so many at most. */
enum { COMMANDS_SLOW_S = 2, COMMANDS_SLOW_MAX = 50 };

/* Mailboxes and helpers do not wait for each other. */
enum pool_class { POOL_MAILBOXES, POOL_HELPERS, POOL_CLASSES };

TAILQ_HEAD(task_list, pool_task);

struct pool_process {
	TAILQ_ENTRY(pool_process) link;
	struct pool *pool;
	struct ipc_channel *channel;
	pid_t pid;
	enum mailbox_kind kind;
	char *identity;
	struct event idle_timer;
	struct task_list under_way;
	size_t count; /* of them */
	int64_t moved_us; /* monotonic: when one of them ended last, or the first began */
	bool retired; /* gets no more of them */
	bool bounded; /* slow_max of its tasks is not 0 */
};

TAILQ_HEAD(process_list, pool_process);

struct pool {
	struct event_base *base;
	bool privileged;
	int exe_fd;
	struct event *sigchld;
	struct process_list processes;
	struct {
		size_t count, max; /* processes */
		struct task_list waiting;
	} classes[POOL_CLASSES];
	struct event go_on;
};

static enum pool_class
class_of(enum mailbox_kind kind)
{
	return kind == MAILBOX_HELPER ? POOL_HELPERS : POOL_MAILBOXES;
}

/* ---- processes ---- */

/* Closing its connection ends it once it has done what it has. */
static void
process_let_go(struct pool_process *x)
{
	ipc_channel_close(&x->channel);
}

static void
process_down(struct ipc_channel *channel, void *context)
{
	struct pool_process *x = context;
	struct pool *p = x->pool;
	struct pool_task *task;

	(void)channel;
	x->channel = NULL;
	event_del(&x->idle_timer);
	TAILQ_REMOVE(&p->processes, x, link);
	p->classes[class_of(x->kind)].count--;
	/* Those whose conversation never began; the others were told by their own callbacks. */
	while ((task = TAILQ_FIRST(&x->under_way)) != NULL) {
		pool_task_end(task);
		task->kind->lost(task, "the process of that user ended");
	}
	free(x->identity);
	free(x);
	event_active(&p->go_on, EV_TIMEOUT, 0);
}

static void
on_idle(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	process_let_go(arg);
}

static void
on_child(int fd, short what, void *arg)
{
	struct pool *p = arg;
	struct pool_process *x;
	int status;
	pid_t pid;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		TAILQ_FOREACH (x, &p->processes, link) {
			if (x->pid == pid)
				x->pid = 0; /* the number may be another's from now on */
		}
		if (WIFSIGNALED(status))
			log_warning(
			    NULL, "process %d of a user died of signal %d", (int)pid, WTERMSIG(status));
		else if (WEXITSTATUS(status) != 0)
			log_warning(
			    NULL, "process %d of a user ended with status %d", (int)pid, WEXITSTATUS(status));
	}
}

/*
 * All that a process was started with: who it is, its groups included, and what it was told first. A task for which
 * any of that is different (after a reload, say) is another's.
 */
static void
identify(const struct pool_task *task, struct buf *out)
{
	const struct target *t = &task->target;
	const struct msg_mailbox_setup *s = &task->setup;

	buf_init(out, IDENTITY_MAX);
	buf_printf(out, "%d %u:%u", (int)t->kind, (unsigned)t->uid, (unsigned)t->gid);
	for (size_t i = 0; i < t->group_count; i++)
		buf_printf(out, ",%u", (unsigned)t->groups[i]);
	if (t->kind == MAILBOX_HELPER) {
		buf_printf(out, " %s %u %.*s", t->path, task->slow_max, SPAN_ARG(task->lane));
		return;
	}
	buf_printf(out, " %.*s %u %lld %lld %lld %u%u %.*s %s", SPAN_ARG(s->locks), s->lock_attempts,
	    (long long)s->lock_delay_us, (long long)s->lock_stale_us, (long long)s->size_limit,
	    (unsigned)s->strict_owner, (unsigned)s->shared_file, SPAN_ARG(s->host), t->path);
}

static struct pool_process *
process_find(struct pool *p, const struct pool_task *task)
{
	struct pool_process *x;
	struct buf identity;

	identify(task, &identity);
	TAILQ_FOREACH (x, &p->processes, link) {
		if (!x->retired && span_is(buf_span(&identity), x->identity))
			break;
	}
	buf_free(&identity);
	return x;
}

static struct pool_process *
process_start(struct pool *p, const struct pool_task *task, struct error *err)
{
	const struct target *t = &task->target;
	struct ipc_callbacks callbacks = {.down = process_down};
	struct pool_process *x;
	struct buf identity;
	int fd = -1;
	pid_t pid = spawn_as_user(p->exe_fd, p->privileged, t, &fd, err);

	if (pid < 0)
		return NULL;
	io_set_nonblocking(fd);
	x = mem_alloc(sizeof(*x));
	x->pool = p;
	x->pid = pid;
	x->kind = t->kind;
	x->bounded = task->slow_max > 0;
	identify(task, &identity);
	x->identity = mem_strdup(buf_text(&identity));
	buf_free(&identity);
	TAILQ_INIT(&x->under_way);
	event_assign(&x->idle_timer, p->base, -1, 0, on_idle, x);
	TAILQ_INSERT_TAIL(&p->processes, x, link);
	p->classes[class_of(x->kind)].count++;
	callbacks.context = x;
	x->channel = ipc_channel_new(p->base, fd, ROLE_LOCAL, 0, ROLE_LOCAL, 0, &callbacks);
	if (t->kind != MAILBOX_HELPER)
		ipc_send(x->channel, IPC_MAILBOX_SETUP, 0, &task->setup);
	return x;
}

static bool
rests_for(const struct pool_process *x, int seconds)
{
	return x->count > 0 && clock_mono_us() - x->moved_us > seconds * US_PER_SECOND;
}

static bool
is_stuck(const struct pool_process *x)
{
	return rests_for(x, STUCK_S);
}

static bool
has_room(const struct pool *p, enum pool_class class)
{
	const struct pool_process *x;
	size_t stuck = 0, most = p->classes[class].max;

	TAILQ_FOREACH (x, &p->processes, link)
		stuck += class_of(x->kind) == class && is_stuck(x);
	return p->classes[class].count - stuck < most && p->classes[class].count < most * PROCESSES_TIMES;
}

/* Ends a process that has nothing to do. Returns false if all are busy. */
static bool
make_room(struct pool *p, enum pool_class class)
{
	struct pool_process *x;

	if (has_room(p, class))
		return true;
	TAILQ_FOREACH (x, &p->processes, link) {
		if (x->count == 0 && x->channel && class_of(x->kind) == class) {
			process_let_go(x);
			return has_room(p, class);
		}
	}
	return false;
}

/* ---- tasks ---- */

static void
begin(struct pool_process *x, struct pool_task *task)
{
	event_del(&x->idle_timer);
	if (x->count == 0)
		x->moved_us = clock_mono_us();
	task->process = x;
	TAILQ_INSERT_TAIL(&x->under_way, task, link);
	x->count++;
	task->kind->begin(task, x->channel);
}

static size_t
slow_commands(const struct pool *p)
{
	const struct pool_process *x;
	size_t count = 0;

	TAILQ_FOREACH (x, &p->processes, link)
		if (x->kind == MAILBOX_HELPER && x->bounded && rests_for(x, COMMANDS_SLOW_S))
			count += x->count;
	return count;
}

/* The task would take a place that others need: why, or NULL. x: its process, NULL if it has none yet. */
static const char *
reason_against(const struct pool *p, const struct pool_process *x, const struct pool_task *task)
{
	bool command = task->target.kind == MAILBOX_HELPER;

	if (task->slow_max == 0)
		return NULL;
	if (x && is_stuck(x) && x->count >= task->slow_max)
		return command ? "earlier commands for that address take their time"
			       : "earlier deliveries to that mailbox take their time";
	if (command && (!x || rests_for(x, COMMANDS_SLOW_S)) && slow_commands(p) >= COMMANDS_SLOW_MAX)
		return "too many commands take their time";
	return NULL;
}

/* Begins what waits, in order, as far as there are processes. */
static void
go_on(struct pool *p, enum pool_class class)
{
	static const struct timeval look_again = {1, 0};
	struct pool_task *task;
	struct error err;

	while ((task = TAILQ_FIRST(&p->classes[class].waiting)) != NULL) {
		struct pool_process *x = process_find(p, task);
		const char *against = reason_against(p, x, task);

		if (!against && !x && !make_room(p, class)) {
			event_add(&p->go_on, &look_again); /* one may be stuck then */
			return;
		}
		TAILQ_REMOVE(&p->classes[class].waiting, task, link);
		if (!against && !x)
			x = process_start(p, task, &err);
		if (against)
			task->kind->lost(task, against);
		else if (x)
			begin(x, task);
		else
			task->kind->lost(task, err.text);
	}
}

static void
on_go_on(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	for (int class = 0; class < POOL_CLASSES; class ++)
		go_on(arg, (enum pool_class) class);
}

void
pool_add(struct pool *p, const struct conf_values *v, struct pool_task *task)
{
	task->pool = p;
	task->process = NULL;
	p->classes[POOL_MAILBOXES].max = (size_t)v->mailbox_delivery_workers;
	p->classes[POOL_HELPERS].max = (size_t)v->mailbox_delivery_workers * HELPERS_PER_WORKER;
	TAILQ_INSERT_TAIL(&p->classes[class_of(task->target.kind)].waiting, task, link);
	event_active(&p->go_on, EV_TIMEOUT, 0);
}

uint32_t
pool_task_ask(
    struct pool_task *task, enum ipc_type type, const void *message, ipc_answer *on_answer, void *context)
{
	return ipc_ask(task->process->channel, type, message, task->answer_ms, on_answer, context);
}

struct ipc_channel *
pool_task_channel(const struct pool_task *task)
{
	return task->process ? task->process->channel : NULL;
}

void
pool_task_end(struct pool_task *task)
{
	struct pool_process *x = task->process;
	struct timeval keep = {KEEP_SECONDS, 0};

	if (!x)
		return;
	if (x->retired)
		keep.tv_sec = 0;
	task->process = NULL;
	x->moved_us = clock_mono_us();
	TAILQ_REMOVE(&x->under_way, task, link);
	if (--x->count > 0 || !x->channel)
		return;
	event_add(&x->idle_timer, &keep);
	if (!TAILQ_EMPTY(&x->pool->classes[class_of(x->kind)].waiting))
		event_active(&x->pool->go_on, EV_TIMEOUT, 0);
}

void
pool_task_failed(struct pool_task *task)
{
	struct pool_process *x = task->process;

	/* Told before process_down(): if the process is not gone, it took too long. */
	if (x && x->channel && x->pid > 0)
		kill(x->pid, SIGKILL);
	pool_task_end(task);
}

void
pool_task_again(struct pool_task *task)
{
	struct pool *p = task->pool;

	if (task->process)
		task->process->retired = true;
	pool_task_end(task);
	TAILQ_INSERT_TAIL(&p->classes[class_of(task->target.kind)].waiting, task, link);
	event_active(&p->go_on, EV_TIMEOUT, 0);
}

/* ---- life ---- */

struct pool *
pool_new(struct event_base *base, bool privileged, struct error *err)
{
	struct pool *p = mem_alloc(sizeof(*p));

	p->base = base;
	p->privileged = privileged;
	TAILQ_INIT(&p->processes);
	for (int class = 0; class < POOL_CLASSES; class ++)
		TAILQ_INIT(&p->classes[class].waiting);
	p->exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (p->exe_fd < 0) {
		error_errno(err, "open /proc/self/exe");
		free(p);
		return NULL;
	}
	event_assign(&p->go_on, base, -1, 0, on_go_on, p);
	p->sigchld = evsignal_new(base, SIGCHLD, on_child, p);
	event_add(p->sigchld, NULL);
	return p;
}

struct event_base *
pool_base(const struct pool *p)
{
	return p->base;
}
