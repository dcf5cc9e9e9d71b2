#include "tools/queue_alone.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "tools/running.h"

enum { END_MS = 30000, BACKLOG = 64, BETWEEN_MS = 5000, BETWEEN_LOOK_MS = 20 };

struct queue_alone {
	int life; /* to its master, which ends when this is closed */
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
};

/* ---- its start ---- */

/* A socket without a file: nothing is left behind, and it works where nothing can be written. */
static int
listen_somewhere(char *name, size_t size, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
	    listen(fd, BACKLOG) < 0 || getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
		error_errno(err, "a socket for the queue");
		io_close(&fd);
		return -1;
	}
	snprintf(name, size, "@%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
	    address.sun_path + 1);
	return fd;
}

int
queue_become_owner(const struct tool *tool)
{
	const struct passwd *pw;
	struct stat top;

	if (geteuid() != 0)
		return 0;
	if (stat(tool->conf->values->queue_directory, &top) < 0)
		return -1;
	if (top.st_uid == 0)
		return 0;
	pw = getpwuid(top.st_uid);
	if (pw ? initgroups(pw->pw_name, top.st_gid) < 0 : setgroups(0, NULL) < 0)
		return -1;
	if (setresgid(top.st_gid, top.st_gid, top.st_gid) < 0)
		return -1;
	return setresuid(top.st_uid, top.st_uid, top.st_uid);
}

static _Noreturn void
become_master(const struct tool *tool, int life, int listener)
{
	char program[4096], confdir[4096], life_number[16], listener_number[16];
	char name[] = "master", option_c[] = "-c", option_n[] = "-n", option_q[] = "-q", option_l[] = "-l";
	char *argv[] = {name, option_c, confdir, option_n, life_number, option_q, listener_number,
	    tool->brings_mail ? option_l : NULL, NULL};
	int null = open("/dev/null", O_RDWR);

	setsid();
	snprintf(program, sizeof(program), "%s/master", tool->conf->values->daemon_directory);
	snprintf(confdir, sizeof(confdir), "%s", tool->confdir);
	snprintf(life_number, sizeof(life_number), "%d", life);
	snprintf(listener_number, sizeof(listener_number), "%d", listener);
	if (null < 0 || chdir("/") < 0 || queue_become_owner(tool) < 0 || io_set_cloexec(life, 0) < 0 ||
	    io_set_cloexec(listener, 0) < 0) {
		dprintf(life, "error: %s\n", strerror(errno));
		_exit(1);
	}
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	execv(program, argv);
	dprintf(life, "error: %s: %s\n", program, strerror(errno));
	_exit(1);
}

/* One line: "ok", "running, but ..." or "error: ...". */
static int
wait_until_ready(int life, struct error *err)
{
	char said[1400];
	size_t len = 0;
	struct span text;

	while (len + 1 < sizeof(said) && (len == 0 || said[len - 1] != '\n')) {
		ssize_t n = read(life, said + len, sizeof(said) - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text = span_trim(span_make(said, len));
	if (span_is(text, "ok") || span_starts(text, "running"))
		return 0;
	if (span_starts(text, "error: "))
		text = span_from(text, strlen("error: "));
	if (text.len == 0)
		return error_set(err, "the queue cannot be looked at: see the log");
	return error_set(err, "%.*s", SPAN_ARG(text));
}

static int
start(struct tool *tool, struct error *err)
{
	struct queue_alone *a = mem_alloc(sizeof(*a));
	int ends[2] = {-1, -1}, listener = listen_somewhere(a->socket, sizeof(a->socket), err);
	pid_t pid = -1;

	if (listener < 0)
		goto failed;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		error_errno(err, "socketpair");
		goto failed;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		become_master(tool, ends[1], listener);
	}
	io_close(&ends[1]);
	io_close(&listener);
	if (pid < 0) {
		error_errno(err, "fork");
		goto failed;
	}
	if (wait_until_ready(ends[0], err) < 0)
		goto failed;
	a->life = ends[0];
	tool->alone = a;
	return 0;
failed:
	io_close(&ends[0]);
	io_close(&listener);
	free(a);
	return -1;
}

/* A start is over in a moment, and mostly a stop. True while it runs; queue may answer by then. */
static bool
still_runs(const struct tool *tool)
{
	int64_t end_us = clock_mono_us() + BETWEEN_MS * US_PER_MS;
	struct error ignored;
	bool runs;

	while ((runs = running_master(tool) != 0) && clock_mono_us() < end_us) {
		int fd = ipc_connect(tool_path(tool, "public/queue"), &ignored);

		if (fd >= 0) {
			io_close(&fd);
			break;
		}
		poll(NULL, 0, BETWEEN_LOOK_MS);
	}
	return runs;
}

/* Why nobody answers, and what can be done about that. */
static int
begin(struct tool *tool, bool running_only, struct error *err)
{
	const char *top = tool->conf->values->queue_directory;
	struct stat st;

	if (still_runs(tool))
		return error_set(err, "the queue does not answer: this instance is being started or stopped");
	if (running_only)
		return error_set(err, "mail system is down");
	if (stat(top, &st) < 0)
		return error_errno(err, "queue_directory %s", top);
	if (geteuid() != 0 && geteuid() != st.st_uid)
		return error_set(err, "mail system is down: its queue is for root to look at meanwhile");
	fprintf(stderr, "%s: warning: mail system is down -- accessing queue directly\n", tool->program);
	return start(tool, err);
}

void
queue_alone_end(struct tool *tool)
{
	struct queue_alone *a = tool->alone;
	struct pollfd p;

	tool->alone = NULL;
	if (!a)
		return;
	shutdown(a->life, SHUT_WR);
	p = (struct pollfd){.fd = a->life, .events = POLLIN};
	while (poll(&p, 1, END_MS) < 0 && errno == EINTR)
		;
	io_close(&a->life);
	free(a);
}

/* ---- talking to it ---- */

static bool
nobody_listens(const struct error *err)
{
	return err->number == ENOENT || err->number == ECONNREFUSED;
}

/* context: of that which is tried. */
typedef int attempt(const struct tool *tool, void *context, struct error *err);

/* Where nobody listens queue is made to, and it is tried once more. */
static int
reach(struct tool *tool, attempt *try, void *context, bool running_only, struct error *err)
{
	struct error why;
	bool begun;

	if (try(tool, context, err) == 0)
		return 0;
	if (!nobody_listens(err))
		return -1;
	/* Where it cannot, somebody may have started it meanwhile. */
	begun = begin(tool, running_only, &why) == 0;
	if (try(tool, context, err) == 0)
		return 0;
	if (!begun && nobody_listens(err))
		*err = why;
	return -1;
}

static int
try_talk(const struct tool *tool, void *context, struct error *err)
{
	struct tool_talk *talk = context;

	talk->peer = ROLE_QUEUE;
	talk->socket = tool->alone ? tool->alone->socket : "public/queue";
	return tool_talk(tool, talk, err);
}

int
queue_talk(struct tool *tool, struct tool_talk *talk, bool running_only, struct error *err)
{
	return reach(tool, try_talk, talk, running_only, err);
}

struct connecting {
	struct frame_client *client;
	unsigned timeout_ms;
};

static int
try_connect(const struct tool *tool, void *context, struct error *err)
{
	const struct connecting *c = context;

	err->number = 0;
	return frame_client_open(c->client,
	    tool->alone ? tool->alone->socket : tool_path(tool, "public/queue"), c->timeout_ms, err);
}

int
queue_connect(struct tool *tool, struct frame_client *c, unsigned timeout_ms, struct error *err)
{
	struct connecting connecting = {c, timeout_ms};

	return reach(tool, try_connect, &connecting, false, err);
}
