/*
 * stop, abort, reload, status: what master is asked for, and what is done when it does not answer.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "tools/running.h"
#include "tools/tool.h"

/* Beyond shutdown_grace: for processes to end once they were told to. */
enum { STOP_SLACK_MS = 15000, KILL_WAIT_MS = 5000, ANSWER_MS = 30000, HELLO_SECONDS = 5 };

struct asking {
	bool json;
	int status;
	char text[1001];
};

static void
print_row(const struct msg_master_row *row, bool json)
{
	struct buf out;

	if (!json) {
		printf("%-10.*s %7u %-18.*s %-24.*s %llu s\n", SPAN_ARG(row->role), row->pid,
		    SPAN_ARG(row->user), SPAN_ARG(row->state), (unsigned long long)row->uptime_seconds);
		if (row->notice.len > 0)
			printf("  %.*s: %.*s\n", SPAN_ARG(row->role), SPAN_ARG(row->notice));
		return;
	}
	buf_init(&out, 4096);
	buf_append_text(&out, "{\"role\":\"");
	text_append_json(&out, row->role);
	buf_printf(&out, "\",\"pid\":%u,\"user\":\"", row->pid);
	text_append_json(&out, row->user);
	buf_append_text(&out, "\",\"state\":\"");
	text_append_json(&out, row->state);
	buf_printf(&out, "\",\"uptime\":%llu", (unsigned long long)row->uptime_seconds);
	if (row->notice.len > 0) {
		buf_append_text(&out, ",\"notice\":\"");
		text_append_json(&out, row->notice);
		buf_append_text(&out, "\"");
	}
	buf_append_text(&out, "}\n");
	fwrite(buf_ptr(&out), 1, out.len, stdout);
	buf_free(&out);
}

static int
on_frame(struct ipc_channel *channel, uint32_t call, const struct ipc_frame *frame, void *context,
    struct error *err)
{
	struct asking *a = context;

	(void)channel;
	(void)call;
	if (frame->type == IPC_MASTER_ROW) {
		print_row(&frame->master_row, a->json);
		return 0;
	}
	if (frame->type != IPC_MASTER_DONE)
		return error_set(err, "master answered with %s", ipc_type_name(frame->type));
	a->status = frame->master_done.status;
	span_copy(frame->master_done.text, a->text, sizeof(a->text));
	return 0;
}

/* Returns -1 with err if there was no answer. */
static int
ask_master(const struct tool *tool, const char *verb, struct asking *a, struct error *err)
{
	const struct msg_master_ask question = {.verb = span_of(verb)};
	const struct tool_talk talk = {.socket = "private/master",
	    .peer = ROLE_MASTER,
	    .type = IPC_MASTER_ASK,
	    .message = &question,
	    .timeout_ms = ANSWER_MS,
	    .hello_seconds = HELLO_SECONDS,
	    .on_frame = on_frame,
	    .context = a};

	return tool_talk(tool, &talk, err);
}

static int
not_running(const struct tool *tool)
{
	return tool_fail(tool, 1, "%s is not running", tool->confdir);
}

/* Asks master to end, in whichever way, and waits until every process of the instance has. */
static int
end_instance(struct tool *tool, const char *verb, int number, int wait_ms)
{
	struct asking a = {.status = 0};
	struct running running;
	struct error err;
	pid_t master = running_master(tool);
	int status = 0;

	if (master == 0)
		return not_running(tool);
	running_open(&running, master);
	if (ask_master(tool, verb, &a, &err) < 0) {
		if (err.number == EACCES) {
			running_close(&running);
			return tool_fail(tool, EX_NOPERM, "%s", err.text);
		}
		a.status = EX_UNAVAILABLE;
	}
	if (a.status != 0)
		running_signal(&running, number);
	if (!running_wait(&running, wait_ms)) {
		status = tool_fail(tool, 1, "process %d did not end in time: killed", (int)master);
		running_signal(&running, SIGKILL);
		running_wait(&running, KILL_WAIT_MS);
	}
	running_close(&running);
	return status;
}

int
command_stop(int argc, char **argv, struct tool *tool)
{
	const struct conf *c;

	if (argc != 1)
		return tool_usage(tool, argv[0]);
	c = tool_conf(tool);
	if (!c)
		return EX_CONFIG;
	return end_instance(tool, "stop", SIGTERM, (int)(c->values->shutdown_grace / 1000) + STOP_SLACK_MS);
}

int
command_abort(int argc, char **argv, struct tool *tool)
{
	if (argc != 1)
		return tool_usage(tool, argv[0]);
	if (!tool_conf(tool))
		return EX_CONFIG;
	return end_instance(tool, "abort", SIGKILL, KILL_WAIT_MS);
}

/* Where nobody listens, the pid file tells whether anyone should. */
static int
no_answer(const struct tool *tool, const struct error *err)
{
	if ((err->number == ENOENT || err->number == ECONNREFUSED) && running_master(tool) == 0)
		return not_running(tool);
	return tool_fail(tool, err->number == EACCES ? EX_NOPERM : EX_UNAVAILABLE, "%s", err->text);
}

int
command_reload(int argc, char **argv, struct tool *tool)
{
	struct asking a = {.status = 0};
	struct error err;

	if (argc != 1)
		return tool_usage(tool, argv[0]);
	if (!tool_conf(tool))
		return EX_CONFIG;
	if (ask_master(tool, "reload", &a, &err) < 0)
		return no_answer(tool, &err);
	if (a.status != 0)
		return tool_fail(tool, a.status, "%s", a.text);
	if (a.text[0] != '\0')
		fprintf(stderr, "%s: %s\n", tool->program, a.text);
	return 0;
}

int
command_status(int argc, char **argv, struct tool *tool)
{
	struct asking a = {.json = argc == 2 && strcmp(argv[1], "--json") == 0};
	struct error err;

	if (argc > 2 || (argc == 2 && !a.json))
		return tool_usage(tool, argv[0]);
	if (!tool_conf(tool))
		return EX_CONFIG;
	if (ask_master(tool, "status", &a, &err) < 0)
		return no_answer(tool, &err);
	if (a.status != 0)
		return tool_fail(tool, a.status, "%s", a.text);
	/* postfix(1)'s words, for scripts that look for them. */
	if (strcmp(tool->program, "postfix") == 0)
		(void)tool_fail(tool, 0, "the mail system is running: PID: %d", (int)running_master(tool));
	return 0;
}
