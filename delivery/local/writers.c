#include "delivery/local/writers.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "delivery/local/spawn.h"
#include "delivery/local/writer.h"

enum { KEEP_SECONDS = 5, CHUNK = 61440, SPARE_ANSWER_MS = 60000 };

/* A letter on its way into a mailbox. */
struct delivery {
	TAILQ_ENTRY(delivery) link; /* in waiting, or in the writer's list */
	struct writer_process *process;
	struct target target;
	const struct letter *letter;
	writers_done *done;
	void *context;
	/* What the writer is told of the configuration, as it was then. */
	struct msg_mailbox_setup setup;
	char *host, *locks;
};

TAILQ_HEAD(delivery_list, delivery);

struct writer_process {
	TAILQ_ENTRY(writer_process) link;
	struct writers *writers;
	struct ipc_channel *channel;
	pid_t pid;
	uid_t uid;
	struct event idle_timer;
	struct delivery_list under_way;
	size_t count; /* of them */
	unsigned answer_ms; /* how long an answer may take */
	char path[4096];
};

TAILQ_HEAD(process_list, writer_process);

struct writers {
	struct event_base *base;
	bool privileged;
	int exe_fd;
	struct event *sigchld;
	struct process_list processes;
	size_t count;
	size_t max;
	struct delivery_list waiting;
	struct event go_on;
};

static void go_on(struct writers *w);

static void
delivery_end(struct delivery *d, enum outcome_class class, const char *status, struct span text)
{
	struct writer_process *p = d->process;

	if (p) {
		TAILQ_REMOVE(&p->under_way, d, link);
		p->count--;
	}
	d->done(d->context, class, span_of(status), text);
	free(d->host);
	free(d->locks);
	free(d);
}

/* ---- processes ---- */

/* Closing its connection ends it once it has written what it has. */
static void
process_let_go(struct writer_process *p)
{
	ipc_channel_close(&p->channel);
}

static void
process_down(struct ipc_channel *channel, void *context)
{
	struct writer_process *p = context;
	struct writers *w = p->writers;
	struct delivery *d;

	(void)channel;
	p->channel = NULL;
	event_del(&p->idle_timer);
	TAILQ_REMOVE(&w->processes, p, link);
	w->count--;
	/* Those whose conversation never began; the others were told by their own callbacks. */
	while ((d = TAILQ_FIRST(&p->under_way)) != NULL)
		delivery_end(d, OUTCOME_DEFERRED, "4.3.0", SPAN_LIT("the mailbox's writer ended"));
	free(p);
	event_active(&w->go_on, EV_TIMEOUT, 0);
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
	struct writers *w = arg;
	struct writer_process *p;
	int status;
	pid_t pid;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		TAILQ_FOREACH (p, &w->processes, link) {
			if (p->pid == pid)
				p->pid = 0; /* the number may be another's from now on */
		}
		if (WIFSIGNALED(status))
			log_warning(NULL, "mailbox writer %d died of signal %d", (int)pid, WTERMSIG(status));
		else if (WEXITSTATUS(status) != 0)
			log_warning(
			    NULL, "mailbox writer %d ended with status %d", (int)pid, WEXITSTATUS(status));
	}
}

static struct writer_process *
process_find(struct writers *w, const struct target *t)
{
	struct writer_process *p;

	TAILQ_FOREACH (p, &w->processes, link) {
		if (p->uid == t->uid && strcmp(p->path, t->path) == 0)
			return p;
	}
	return NULL;
}

static struct writer_process *
process_start(struct writers *w, const struct delivery *d, struct error *err)
{
	struct writer_process *p;
	struct ipc_callbacks callbacks = {.down = process_down};
	int fd = -1;
	pid_t pid = spawn_writer(w->exe_fd, w->privileged, &d->target, &fd, err);

	if (pid < 0)
		return NULL;
	io_set_nonblocking(fd);
	p = mem_alloc(sizeof(*p));
	p->writers = w;
	p->pid = pid;
	p->uid = d->target.uid;
	snprintf(p->path, sizeof(p->path), "%s", d->target.path);
	TAILQ_INIT(&p->under_way);
	event_assign(&p->idle_timer, w->base, -1, 0, on_idle, p);
	TAILQ_INSERT_TAIL(&w->processes, p, link);
	w->count++;
	/* Locks may take all their attempts for each letter before the last. */
	p->answer_ms =
	    SPARE_ANSWER_MS + (unsigned)(d->setup.lock_attempts * d->setup.lock_delay_us / US_PER_MS) * 4;
	callbacks.context = p;
	p->channel = ipc_channel_new(w->base, fd, ROLE_LOCAL, 0, ROLE_LOCAL, 0, &callbacks);
	ipc_send(p->channel, IPC_MAILBOX_SETUP, 0, &d->setup);
	return p;
}

/* ---- letters ---- */

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct delivery *d = context;
	struct writer_process *p = d->process;
	const struct msg_mailbox_done *m;
	char status[16];

	if (!frame) {
		/* Told before process_down(): if the process is not gone, it took too long. */
		if (p->channel && p->pid > 0)
			kill(p->pid, SIGKILL);
		delivery_end(d, OUTCOME_DEFERRED, "4.3.0", SPAN_LIT("the mailbox's writer did not answer"));
		return 0;
	}
	m = &frame->mailbox_done;
	if (frame->type != IPC_MAILBOX_DONE || !span_copy(m->status, status, sizeof(status)) ||
	    (m->class != OUTCOME_DELIVERED && m->class != OUTCOME_DEFERRED && m->class != OUTCOME_BOUNCED)) {
		delivery_end(
		    d, OUTCOME_DEFERRED, "4.3.0", SPAN_LIT("the mailbox's writer answered nonsense"));
		return error_set(err, "an answer that makes no sense");
	}
	delivery_end(d, (enum outcome_class)m->class, status, m->text);
	if (p->count == 0) {
		struct timeval keep = {KEEP_SECONDS, 0};

		event_add(&p->idle_timer, &keep);
		if (!TAILQ_EMPTY(&p->writers->waiting))
			event_active(&p->writers->go_on, EV_TIMEOUT, 0);
	}
	return 0;
}

static void
send_content(struct writer_process *p, uint32_t call, const struct letter *l)
{
	struct span rest = buf_span(&l->content);

	if (l->fd >= 0) {
		struct msg_mailbox_file file = {.offset = l->offset, .fd = l->fd};

		ipc_send(p->channel, IPC_MAILBOX_FILE, call, &file);
		return;
	}
	while (rest.len > 0) {
		struct msg_mailbox_data data = {.bytes = span_sub(rest, 0, CHUNK)};

		ipc_send(p->channel, IPC_MAILBOX_DATA, call, &data);
		rest = span_from(rest, data.bytes.len);
	}
}

static void
send_letter(struct writer_process *p, struct delivery *d)
{
	const struct letter *l = d->letter;
	struct msg_mailbox_open open = {
	    .sender = l->sender,
	    .recipient = l->recipient,
	    .orig_to = l->orig_to,
	    .header_name = l->header_name,
	    .content_len = l->content_len,
	    .header_len = l->header_len,
	};
	struct msg_mailbox_go go = {0};
	uint32_t call;

	event_del(&p->idle_timer);
	d->process = p;
	TAILQ_INSERT_TAIL(&p->under_way, d, link);
	p->count++;
	call = ipc_ask(p->channel, IPC_MAILBOX_OPEN, &open, p->answer_ms, on_answer, d);
	if (call == 0) {
		delivery_end(d, OUTCOME_DEFERRED, "4.3.0", SPAN_LIT("the mailbox's writer is not there"));
		return;
	}
	send_content(p, call, l);
	ipc_send(p->channel, IPC_MAILBOX_GO, call, &go);
}

/* Ends a writer that has nothing to do. Returns false if all are busy. */
static bool
make_room(struct writers *w)
{
	struct writer_process *p;

	if (w->count < w->max)
		return true;
	TAILQ_FOREACH (p, &w->processes, link) {
		if (p->count == 0 && p->channel) {
			process_let_go(p);
			return w->count < w->max;
		}
	}
	return false;
}

/* Begins what waits, in order, as far as there are writers. */
static void
go_on(struct writers *w)
{
	struct delivery *d;
	struct error err;

	while ((d = TAILQ_FIRST(&w->waiting)) != NULL) {
		struct writer_process *p = process_find(w, &d->target);

		if (!p && !make_room(w))
			return;
		TAILQ_REMOVE(&w->waiting, d, link);
		if (!p)
			p = process_start(w, d, &err);
		if (p)
			send_letter(p, d);
		else
			delivery_end(d, OUTCOME_DEFERRED, "4.3.0", span_of(err.text));
	}
}

static void
on_go_on(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	go_on(arg);
}

void
writers_deliver(struct writers *w, const struct conf_values *v, const struct target *target,
    const struct letter *letter, writers_done *done, void *context)
{
	struct delivery *d = mem_alloc(sizeof(*d));

	d->target = *target;
	d->letter = letter;
	d->done = done;
	d->context = context;
	d->host = mem_strdup(v->myhostname);
	d->locks = mem_strdup(v->mailbox_delivery_lock);
	d->setup = (struct msg_mailbox_setup){
	    .kind = (uint8_t)target->kind,
	    .path = span_of(d->target.path),
	    .host = span_of(d->host),
	    .locks = span_of(d->locks),
	    .lock_attempts = (uint32_t)v->deliver_lock_attempts,
	    .lock_delay_us = v->deliver_lock_delay,
	    .lock_stale_us = v->stale_lock_time,
	    .size_limit = v->mailbox_size_limit,
	    .strict_owner = v->strict_mailbox_ownership,
	};
	w->max = (size_t)v->mailbox_delivery_workers;
	TAILQ_INSERT_TAIL(&w->waiting, d, link);
	event_active(&w->go_on, EV_TIMEOUT, 0);
}

struct writers *
writers_new(struct event_base *base, bool privileged, struct error *err)
{
	struct writers *w = mem_alloc(sizeof(*w));

	w->base = base;
	w->privileged = privileged;
	TAILQ_INIT(&w->processes);
	TAILQ_INIT(&w->waiting);
	w->exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (w->exe_fd < 0) {
		error_errno(err, "open /proc/self/exe");
		free(w);
		return NULL;
	}
	event_assign(&w->go_on, base, -1, 0, on_go_on, w);
	w->sigchld = evsignal_new(base, SIGCHLD, on_child, w);
	event_add(w->sigchld, NULL);
	return w;
}

void
writers_free(struct writers **wp)
{
	struct writers *w = *wp;
	struct writer_process *p;
	struct delivery *d;

	if (!w)
		return;
	while ((d = TAILQ_FIRST(&w->waiting)) != NULL) {
		TAILQ_REMOVE(&w->waiting, d, link);
		delivery_end(d, OUTCOME_DEFERRED, "4.3.0", SPAN_LIT("stopping"));
	}
	while ((p = TAILQ_FIRST(&w->processes)) != NULL)
		process_let_go(p);
	event_del(&w->go_on);
	event_free(w->sigchld);
	io_close(&w->exe_fd);
	free(w);
	*wp = NULL;
}
