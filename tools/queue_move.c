#include "tools/queue_move.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/io.h"
#include "tools/queue_alone.h"

enum { TIMEOUT_MS = 300000, ARGS_MAX = 60000, DIR_MAX = 200, IDS_AT_ONCE = 1000 };

static int
open_dir(struct move *m, const char *dir, bool make)
{
	umask(077); /* modes are what is written here, whatever the caller's is */
	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return tool_fail(m->tool, EX_CANTCREAT, "%s: %s", dir, strerror(errno));
	if (!realpath(dir, m->path))
		return tool_fail(m->tool, EX_NOINPUT, "%s: %s", dir, strerror(errno));
	if (strlen(m->path) > DIR_MAX || strpbrk(m->path, "\n\r\t;"))
		return tool_fail(m->tool, EX_USAGE,
		    "%s: the directory's name is longer than %d octets, or has characters that it may not "
		    "have",
		    dir, DIR_MAX);
	m->dir = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->dir < 0)
		return tool_fail(m->tool, EX_NOINPUT, "%s: %s", dir, strerror(errno));
	if (flock(m->dir, LOCK_EX | LOCK_NB) < 0)
		return tool_fail(m->tool, EX_TEMPFAIL, "%s: another export or import works there", dir);
	return 0;
}

int
move_open(struct move *m, struct tool *tool, const char *dir, bool make)
{
	struct error err = {.number = 0};
	int status;

	m->tool = tool;
	m->dir = m->client.fd = -1;
	if (!tool_conf(tool))
		return EX_CONFIG;
	signal(SIGPIPE, SIG_IGN);
	status = open_dir(m, dir, make);
	if (status != 0)
		return status;
	if (queue_connect(tool, &m->client, TIMEOUT_MS, &err) == 0)
		return 0;
	m->client.fd = -1;
	return tool_fail(tool, EX_UNAVAILABLE, "%s", err.text);
}

void
move_close(struct move *m)
{
	if (m->client.fd >= 0)
		frame_client_close(&m->client);
	if (m->dir >= 0)
		io_close(&m->dir);
}

int
move_lost(struct move *m, const struct error *err)
{
	return tool_fail(m->tool, EX_TEMPFAIL,
	    "%s: %llu messages moved; what is under way is on hold: run the same again", err->text,
	    (unsigned long long)m->moved);
}

int
move_receive(struct move *m, struct ipc_frame *frame, struct error *err)
{
	do {
		if (frame_client_receive(&m->client, frame, TIMEOUT_MS, err) < 0)
			return -1;
	} while (frame->call != m->call ||
		 (frame->type != IPC_CONTROL_ROW && frame->type != IPC_CONTROL_DONE &&
		     frame->type != IPC_SUBMIT_CREDIT && frame->type != IPC_SUBMIT_ANSWER));
	return 0;
}

int
move_ask(struct move *m, const char *verb, struct span args, struct error *err)
{
	struct msg_control_ask ask = {.verb = span_of(verb)};
	struct buf all;
	int status;

	buf_init(&all, ARGS_MAX);
	buf_append_span(&all, args);
	buf_printf(&all, "hold-reason=%s\n", m->path);
	ask.args = buf_span(&all);
	m->call++;
	status = all.full ? error_set(err, "too many arguments")
			  : frame_client_send(&m->client, IPC_CONTROL_ASK, m->call, &ask, err);
	buf_free(&all);
	return status;
}

int
move_ask_all(struct move *m, const char *verb, struct span args, struct buf *rows, struct error *err)
{
	struct ipc_frame frame;
	struct msg_control_taken taken = {.rows = 1};

	if (move_ask(m, verb, args, err) < 0)
		return -1;
	for (;;) {
		if (move_receive(m, &frame, err) < 0)
			return -1;
		if (frame.type == IPC_CONTROL_DONE)
			break;
		if (frame.type != IPC_CONTROL_ROW)
			continue;
		if (rows && buf_append_span(rows, frame.control_row.bytes) < 0)
			return error_set(err, "too many messages");
		if (frame_client_send(&m->client, IPC_CONTROL_TAKEN, m->call, &taken, err) < 0)
			return -1;
	}
	span_copy(frame.control_done.text, m->text, sizeof(m->text));
	return frame.control_done.status;
}

int
move_each(struct move *m, const char *verb, const char *const *ids, size_t count, struct error *err)
{
	struct buf args;
	int status = 0;

	buf_init(&args, ARGS_MAX);
	for (size_t i = 0; i < count && status == 0; i++) {
		buf_printf(&args, "id=%s\n", ids[i]);
		if ((i + 1) % IDS_AT_ONCE == 0 || i + 1 == count) {
			status = move_ask_all(m, verb, buf_span(&args), NULL, err);
			buf_clear(&args);
		}
	}
	if (status > 0)
		error_set(err, "%s", m->text);
	buf_free(&args);
	return status == 0 ? 0 : -1;
}
