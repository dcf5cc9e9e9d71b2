/*
 * One conversation with a process of this instance, on an event loop that lives as long as it does.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>

#include "tools/tool.h"

/* A process that is well answers a connection in its next turn; one that starts may take its time. */
enum { HELLO_SECONDS = 60 };

struct talking {
	const struct tool_talk *talk;
	struct event_base *base;
	struct ipc_channel *channel;
	struct event *late; /* nothing was said yet */
	uint32_t call;
	bool up, done, failed;
	struct error *err;
};

static void
end(struct talking *t, bool failed)
{
	t->failed = failed;
	t->done = true;
	event_base_loopbreak(t->base);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct talking *t = context;

	(void)err;
	if (!frame) {
		if (!t->done)
			error_set(t->err, "%s: the connection ended without an answer", t->talk->socket);
		end(t, true);
		return 0;
	}
	if (t->talk->on_frame(t->channel, t->call, frame, t->talk->context, t->err) < 0)
		end(t, true);
	else if (frame->type == IPC_MASTER_DONE || frame->type == IPC_CONTROL_DONE ||
		 frame->type == IPC_DROP_ANSWER || frame->type == IPC_MAP_ANSWER ||
		 frame->type == IPC_RESOLVE_DONE || frame->type == IPC_FLUSH_ANSWER)
		end(t, false);
	return 0;
}

static void
on_up(struct ipc_channel *channel, void *context)
{
	struct talking *t = context;

	t->up = true;
	event_del(t->late);
	t->call = ipc_ask(channel, t->talk->type, t->talk->message, t->talk->timeout_ms, on_answer, t);
	if (t->call == 0) {
		error_set(t->err, "%s: the question could not be sent", t->talk->socket);
		end(t, true);
	} else if (t->talk->before && t->talk->before(channel, t->call, t->talk->context, t->err) < 0) {
		end(t, true);
	}
}

static void
on_down(struct ipc_channel *channel, void *context)
{
	struct talking *t = context;

	(void)channel;
	t->channel = NULL;
	if (!t->done) {
		error_set(t->err, "%s: the connection ended%s", t->talk->socket,
		    t->up ? "" : ": what runs there is another version, or has just stopped");
		end(t, true);
	}
}

static void
on_late(evutil_socket_t fd, short what, void *context)
{
	struct talking *t = context;

	(void)fd;
	(void)what;
	error_set(t->err, "%s: there is no answer", t->talk->socket);
	end(t, true);
}

int
tool_talk(const struct tool *tool, const struct tool_talk *talk, struct error *err)
{
	const struct timeval patience = {.tv_sec = talk->hello_seconds ? talk->hello_seconds : HELLO_SECONDS};
	struct talking t = {.talk = talk, .err = err};
	const struct ipc_callbacks callbacks = {.up = on_up, .down = on_down, .context = &t};
	int fd;

	err->number = 0;
	fd = ipc_connect(talk->socket[0] == '@' ? talk->socket : tool_path(tool, talk->socket), err);
	if (fd < 0)
		return -1;
	signal(SIGPIPE, SIG_IGN);
	t.base = event_base_new();
	if (!t.base)
		return error_set(err, "no event loop");
	t.late = event_new(t.base, -1, 0, on_late, &t);
	event_add(t.late, &patience);
	t.channel = ipc_channel_new(t.base, fd, ROLE_TOOL, 0, talk->peer, 0, &callbacks);
	while (!t.done) {
		ipc_flush_all();
		if (event_base_loop(t.base, EVLOOP_ONCE) != 0 && !t.done) {
			error_set(err, "%s: the connection ended", talk->socket);
			t.failed = t.done = true;
		}
	}
	if (t.channel)
		ipc_channel_close(&t.channel);
	event_free(t.late);
	event_base_free(t.base);
	return t.failed ? -1 : 0;
}
