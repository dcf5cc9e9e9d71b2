#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "services/master/broker.h"
#include "services/master/master.h"

enum {
	UNANSWERED_PINGS = 6, /* of one each 5 s: then the process is wedged */
	GOOD_LIFE_SECONDS = 5, /* a death after that is no sign of a crash loop */
	LONG_LIFE_SECONDS = 60, /* nor does what was before count any more */
	LONGEST_WAIT_SECONDS = 60,
	WORKERS_MOST = 64, /* of a role, with those that leave: what queue can tell apart */
	LEAVING_GRACE_MS = 20000 /* where there is no place for a successor */
};

static void
set_progress(struct child *c, struct span text)
{
	span_copy(text, c->progress, sizeof(c->progress));
}

/* ---- what children say ---- */

static int
handle_ready(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct child *c = context;
	struct master *m = c->master;

	(void)channel;
	(void)frame;
	(void)err;
	if (c->state == CHILD_STARTING)
		c->state = CHILD_READY;
	set_progress(c, SPAN_LIT(""));
	if (c->obituary[0] != '\0')
		log_warning(NULL, "%s", c->obituary);
	c->obituary[0] = '\0';
	/* Begun anew, or for the first time, with the new configuration: now it has it. */
	c->renewed = false;
	if (c->awaited != 0) {
		c->awaited = 0;
		reload_check(m);
	}
	if (m->phase != MASTER_STARTING)
		return 0;
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i]->state != CHILD_READY)
			return 0;
	}
	master_notify(m, NULL);
	return 0;
}

static int
handle_failed(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct child *c = context;
	char text[1100];

	(void)channel;
	(void)err;
	span_copy(frame->failed.text, text, sizeof(text));
	if (c->master->phase == MASTER_STARTING)
		master_notify(c->master, text);
	else
		log_error(NULL, "%s cannot start: %s", role_name(c->role), text);
	return 0;
}

static int
handle_peer_lost(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct child *c = context;

	(void)channel;
	if (frame->peer_lost.role >= ROLE_COUNT)
		return error_set(err, "a connection with nobody is lost");
	connect_again(c->master, c, (enum role)frame->peer_lost.role, frame->peer_lost.index);
	return 0;
}

static int
handle_socket_wanted(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_socket_wanted *m = &frame->socket_wanted;
	struct child *c = context;
	struct msg_socket_given given = {.number = m->number};
	struct error why = {0};

	if (c->role != ROLE_DELIVERY && c->role != ROLE_SMTPD)
		return error_set(err, "a socket is wanted by a process that needs none");
	given.fd = broker_connect(c->master->conf, c->role, m->path, &why);
	given.text = span_of(why.text);
	ipc_send(channel, IPC_SOCKET_GIVEN, 0, &given);
	io_close(&given.fd);
	return 0;
}

static int
handle_pong(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct child *c = context;

	(void)channel;
	(void)err;
	c->unanswered = 0;
	if (c->state == CHILD_STARTING)
		set_progress(c, frame->pong.state);
	/* One that is being started has what it was sent in force when it is ready. */
	if (c->awaited != 0 && frame->pong.number >= c->awaited && c->state != CHILD_STARTING) {
		c->awaited = 0;
		reload_check(c->master);
	}
	return 0;
}

static int
handle_notice(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct child *c = context;

	(void)channel;
	(void)err;
	span_copy(frame->notice.text, c->notice, sizeof(c->notice));
	c->refuses = frame->notice.refuses != 0;
	return 0;
}

static void finish(struct child *c);

static bool
is_used(const struct master *m, enum role role, uint32_t index)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i]->role == role && m->children[i]->index == index)
			return true;
	return false;
}

static void begin(struct child *c);

/* What a reload awaits of it is awaited of its successor. */
static int
handle_leaving(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_stop stop = {.grace_ms = LEAVING_GRACE_MS};
	struct child *c = context, *next;
	struct master *m = c->master;
	uint32_t index = 0;

	(void)frame;
	(void)err;
	if (c->leaving || c->state != CHILD_READY || m->phase != MASTER_RUNNING)
		return 0;
	while (index < WORKERS_MOST && is_used(m, c->role, index))
		index++;
	if (index == WORKERS_MOST || m->child_count == MOST_CHILDREN) {
		ipc_send(channel, IPC_STOP, 0, &stop);
		return 0;
	}
	c->leaving = true;
	child_new(m, c->role, index);
	next = m->children[m->child_count - 1];
	next->awaited = c->awaited;
	c->awaited = 0;
	begin(next);
	return 0;
}

static void
on_control_down(struct ipc_channel *channel, void *context)
{
	struct child *c = context;

	if (c->control != channel)
		return;
	c->control = NULL;
	/* A process that broke the rules is ended; one that has ended is in the kernel's hands already. */
	if (c->reaped)
		finish(c);
	else if (c->pid > 0 && c->state != CHILD_STOPPING)
		kill(c->pid, SIGKILL);
}

static void
open_control(struct child *c, int fd)
{
	static const struct ipc_permit permits[] = {
	    {IPC_READY, ~0U, handle_ready},
	    {IPC_FAILED, ~0U, handle_failed},
	    {IPC_NOTICE, ~0U, handle_notice},
	    {IPC_PONG, ~0U, handle_pong},
	    {IPC_LEAVING, ROLE_BIT(ROLE_DELIVERY), handle_leaving},
	    {IPC_PEER_LOST, ~0U, handle_peer_lost},
	    {IPC_SOCKET_WANTED, ROLE_BIT(ROLE_DELIVERY) | ROLE_BIT(ROLE_SMTPD), handle_socket_wanted},
	};
	const struct ipc_callbacks callbacks = {
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(*permits),
	    .down = on_control_down,
	    .context = c,
	};

	c->control = ipc_channel_new(c->master->base, fd, ROLE_MASTER, 0, c->role, 0, &callbacks);
}

/* ---- life and death ---- */

static int
start(struct child *c, struct error *err)
{
	int fd = spawn(c->master, c, err);

	if (fd < 0)
		return -1;
	c->state = CHILD_STARTING;
	c->unanswered = 0;
	set_progress(c, SPAN_LIT("starting"));
	c->notice[0] = '\0';
	c->refuses = false;
	open_control(c, fd);
	connect_child(c->master, c);
	c->incarnation++;
	return 0;
}

static void
wait_and_start(struct child *c)
{
	int64_t lived_us = clock_mono_us() - c->started_us;
	struct timeval wait = {.tv_usec = 20000};

	if (c->renewed)
		lived_us = LONG_LIFE_SECONDS * US_PER_SECOND;
	if (lived_us >= LONG_LIFE_SECONDS * US_PER_SECOND)
		c->failures = 0;
	if (c->failures > 0) {
		wait.tv_sec = c->failures <= 6 ? 1L << (c->failures - 1) : LONGEST_WAIT_SECONDS;
		wait.tv_usec = 0;
	}
	if (lived_us < GOOD_LIFE_SECONDS * US_PER_SECOND)
		c->failures++;
	c->state = CHILD_WAITING;
	event_add(c->timer, &wait);
}

/* And stays so: a reload since then may want it after all. */
static bool
is_dismissed(struct child *c)
{
	c->dismissed = c->dismissed && !plan_wants(c->master, c->role);
	return c->dismissed;
}

/* It is dead and has no connection. */
static void
child_free(struct child *c)
{
	struct master *m = c->master;
	size_t i = 0;

	while (m->children[i] != c)
		i++;
	memmove(&m->children[i], &m->children[i + 1], (--m->child_count - i) * sizeof(struct child *));
	event_free(c->timer);
	free(c);
}

static void
begin(struct child *c)
{
	struct error err;

	if (start(c, &err) == 0)
		return;
	log_error(NULL, "starting %s: %s", role_name(c->role), err.text);
	c->started_us = clock_mono_us();
	wait_and_start(c);
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	struct child *c = context;

	(void)fd;
	(void)what;
	if (c->reaped) {
		finish(c);
		return;
	}
	if (c->master->phase == MASTER_STOPPING || c->state != CHILD_WAITING)
		return;
	if (is_dismissed(c)) {
		child_free(c);
		return;
	}
	begin(c);
}

void
child_new(struct master *m, enum role role, uint32_t index)
{
	struct child *c = mem_alloc(sizeof(*c));

	c->master = m;
	c->role = role;
	c->index = index;
	c->timer = event_new(m->base, -1, 0, on_timer, c);
	m->children[m->child_count++] = c;
}

void
child_dismiss(struct child *c)
{
	struct msg_stop stop = {.grace_ms = (uint32_t)(c->master->conf->values->shutdown_grace / US_PER_MS)};

	c->dismissed = true;
	if (c->control) {
		c->state = CHILD_STOPPING;
		ipc_send(c->control, IPC_STOP, 0, &stop);
	}
}

int
children_start(struct master *m, struct error *err)
{
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i]->pid == 0 && m->children[i]->incarnation == 0 &&
		    start(m->children[i], err) < 0)
			return error_while(err, "starting %s", role_name(m->children[i]->role));
	}
	return 0;
}

static void
tell_death(struct child *c)
{
	int status = c->status;
	const char *name = role_name(c->role);
	char text[300];

	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "process %.150s/%s pid %d killed by signal %d",
		    c->master->libexec, name, (int)c->dead_pid, WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "process %.150s/%s pid %d exit status %d", c->master->libexec,
		    name, (int)c->dead_pid, WEXITSTATUS(status));
	log_warning(NULL, "%s", text);
	/* Of log's own death there is nobody to tell before it lives again. */
	if (c->role == ROLE_LOG)
		snprintf(c->obituary, sizeof(c->obituary), "%s", text);
	if (c->master->phase == MASTER_STARTING)
		master_notify(c->master, text);
}

/* Dead, and all that it said was read. */
static void
finish(struct child *c)
{
	struct ipc_channel *control = c->control;
	struct master *m = c->master;

	c->reaped = false;
	c->control = NULL;
	ipc_channel_close(&control);
	/* server_renew(): of its own will, during a reload. */
	c->renewed = c->state == CHILD_READY && c->status == 0 && c->awaited != 0 && !c->renewed;
	if (!c->renewed && ((c->state != CHILD_STOPPING && !c->leaving) || c->status != 0))
		tell_death(c);
	/* A new process gets the new configuration at its start. */
	if (!c->renewed)
		c->awaited = 0;
	reload_check(m);
	if (m->phase == MASTER_STOPPING) {
		c->state = CHILD_GONE;
		stop_check(m);
	} else if (c->leaving || is_dismissed(c)) {
		child_free(c);
	} else {
		wait_and_start(c);
	}
}

static void
ended(struct child *c, int status)
{
	const struct timeval moment = {.tv_usec = 50000};

	c->status = status;
	c->dead_pid = c->pid;
	c->pid = 0;
	c->reaped = true;
	/* The end of its connection usually finishes it; a process that it forked may keep that open. */
	if (c->control)
		event_add(c->timer, &moment);
	else
		finish(c);
}

void
children_reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < m->child_count; i++) {
			if (m->children[i]->pid == pid) {
				ended(m->children[i], status);
				break;
			}
		}
	}
}

static uint64_t ping_number;

void
children_ping(struct master *m)
{
	struct msg_ping ping = {.number = ++ping_number};

	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = m->children[i];

		if (c->pid == 0)
			continue;
		if (c->unanswered++ >= UNANSWERED_PINGS) {
			log_warning(
			    NULL, "%s[%d] does not answer: it is killed", role_name(c->role), (int)c->pid);
			c->unanswered = 0;
			kill(c->pid, SIGKILL);
			continue;
		}
		ipc_send(c->control, IPC_PING, 0, &ping);
	}
}

void
children_ask(struct master *m)
{
	struct msg_ping ping = {.number = ++ping_number};

	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = m->children[i];

		if (c->control && ipc_send(c->control, IPC_PING, 0, &ping) == 0)
			c->awaited = ping.number;
	}
}

void
children_configure(struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = m->children[i];

		if (c->control == NULL || c->state == CHILD_STOPPING || c->leaving)
			continue;
		ship_configuration(m, c);
		watch_ship(m, c);
	}
}

void
children_kill(struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i]->pid > 0)
			kill(m->children[i]->pid, SIGKILL);
	}
}

bool
children_any_left(const struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i]->pid > 0 || m->children[i]->reaped)
			return true;
	}
	return false;
}
