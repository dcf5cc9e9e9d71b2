/*
 * What postern(8) asks master, over queue_directory/private/master (mode 0600: only root, or whoever started it).
 */
#include <errno.h>
#include <event2/event.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "services/master/master.h"

enum { MOST_TOOLS = 64 };

static int listen_fd = -1;
static struct event *connecting;
static unsigned tool_count;

static void
done(struct ipc_channel *channel, uint32_t call, int status, const char *text)
{
	struct msg_master_done m = {.status = (uint8_t)status, .text = span_of(text)};

	ipc_send(channel, IPC_MASTER_DONE, call, &m);
}

static const char *
state_text(const struct child *c)
{
	static const char *const names[] = {
	    [CHILD_WAITING] = "waits to be started",
	    [CHILD_STARTING] = "starting",
	    [CHILD_READY] = "running",
	    [CHILD_STOPPING] = "stopping",
	    [CHILD_GONE] = "gone",
	};

	if (c->state == CHILD_STARTING && c->progress[0] != '\0')
		return c->progress;
	return names[c->state];
}

/* Who the process is now, by /proc: not who it was meant to be. */
static const char *
user_of(pid_t pid, char *text, size_t size)
{
	struct passwd *pw;
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	if (pid == 0 || stat(path, &st) < 0)
		return "-";
	pw = getpwuid(st.st_uid);
	if (pw)
		snprintf(text, size, "%s", pw->pw_name);
	else
		snprintf(text, size, "%u", (unsigned)st.st_uid);
	return text;
}

static void
send_row(struct ipc_channel *channel, uint32_t call, enum role role, pid_t pid, const char *state,
    const char *notice, int64_t since_us)
{
	struct msg_master_row m = {.role = span_of(role_name(role)),
	    .pid = (uint32_t)pid,
	    .state = span_of(state),
	    .notice = span_of(notice)};
	char user[64];

	m.user = span_of(user_of(pid, user, sizeof(user)));
	if (pid != 0)
		m.uptime_seconds = (uint64_t)((clock_mono_us() - since_us) / US_PER_SECOND);
	ipc_send(channel, IPC_MASTER_ROW, call, &m);
}

static void
answer_status(struct master *m, struct ipc_channel *channel, uint32_t call)
{
	static const char *const phases[] = {"starting", "running", "stopping"};

	send_row(channel, call, ROLE_MASTER, getpid(), phases[m->phase], "", m->started_us);
	for (size_t i = 0; i < m->child_count; i++) {
		const struct child *c = m->children[i];

		send_row(channel, call, c->role, c->pid, state_text(c), c->notice, c->started_us);
	}
	done(channel, call, 0, "");
}

static void
answer_reload(struct master *m, struct ipc_channel *channel, uint32_t call)
{
	struct error err;

	if (m->phase != MASTER_RUNNING)
		done(channel, call, 1, "it is starting or stopping");
	else if (master_reload(m, &err) < 0)
		done(channel, call, 1, err.text);
	else if (reload_when_done(channel, call) < 0)
		done(channel, call, 0, "");
}

static int
handle_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct span verb = frame->master_ask.verb;
	struct master *m = context;

	(void)err;
	if (span_is(verb, "status")) {
		answer_status(m, channel, frame->call);
	} else if (span_is(verb, "reload")) {
		answer_reload(m, channel, frame->call);
	} else if (span_is(verb, "stop") || span_is(verb, "abort")) {
		/* The answer is the word; the end of the connection is the deed. */
		done(channel, frame->call, 0, "");
		/* As "postfix stop" has it logged: log watchers know this line. */
		log_info(NULL, span_is(verb, "stop") ? "terminating on signal 15" : "aborting");
		stop_begin(m);
		if (span_is(verb, "abort"))
			children_kill(m);
	} else {
		done(channel, frame->call, 1, "unknown request");
	}
	return 0;
}

static void
on_tool_down(struct ipc_channel *channel, void *context)
{
	(void)context;
	reload_tool_gone(channel);
	tool_count--;
}

static void
on_connect(evutil_socket_t fd, short what, void *context)
{
	static const struct ipc_permit permits[] = {
	    {IPC_MASTER_ASK, ROLE_BIT(ROLE_TOOL), handle_ask},
	};
	struct master *m = context;
	const struct ipc_callbacks callbacks = {
	    .permits = permits,
	    .permit_count = 1,
	    .down = on_tool_down,
	    .context = m,
	};
	int tool = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (tool < 0)
		return;
	if (tool_count >= MOST_TOOLS) {
		close(tool);
		return;
	}
	tool_count++;
	ipc_channel_new(m->base, tool, ROLE_MASTER, 0, ROLE_TOOL, 4, &callbacks);
}

int
control_listen(struct master *m, struct error *err)
{
	listen_fd = control_socket_open(m->conf, err);
	if (listen_fd < 0)
		return -1;
	connecting = event_new(m->base, listen_fd, EV_READ | EV_PERSIST, on_connect, m);
	event_add(connecting, NULL);
	return 0;
}

void
control_unlink(const struct master *m)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/private/master", m->conf->values->queue_directory);
	unlink(path);
}
