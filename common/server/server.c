#include "common/server/server.h"

#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/server/process.h"
#include "common/server/prove.h"
#include "common/server/sandbox.h"

/* Longer than nearly all that is under way takes, shorter than master waits for a sign of life. */
enum { PEERS_WAIT_SECONDS = 3, RENEW_GRACE_MS = 20000, HAND_OVER_GRACE_MS = 2 * 3600 * 1000 };

static void (*turn_hook)(void);

void
server_on_turn(void (*hook)(void))
{
	turn_hook = hook;
}

/* A handler that does nothing, unlike SIG_IGN, is not inherited by the commands that 'local' runs. */
static void
ignore_signal(int number)
{
	(void)number;
}

/* Signals go to master alone: a terminal or a service manager sends them to the whole group. */
static void
ignore_signals(void)
{
	static const int numbers[] = {SIGPIPE, SIGXFSZ, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2};
	struct sigaction action = {.sa_handler = ignore_signal, .sa_flags = SA_RESTART};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

/*
 * A message of 64 KB more or less at the end of the heap must not cost two system calls and as many page faults as it has
 * pages each time: two megabytes that are free stay with the process.
 */
static void
keep_memory(void)
{
	mallopt(M_TRIM_THRESHOLD, 2 << 20);
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

static void
turn(struct server *s, int flags)
{
	event_base_loop(s->base, flags);
	if (turn_hook)
		turn_hook();
	ipc_flush_all();
}

static void
on_wake(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
}

void
server_stop(struct server *s, uint32_t grace_ms)
{
	struct timeval wait = {.tv_sec = grace_ms / 1000, .tv_usec = (grace_ms % 1000) * 1000};
	int64_t deadline_us = clock_mono_us() + grace_ms * US_PER_MS;
	bool first = !s->stopping;

	if (!first && deadline_us >= s->stop_deadline_us)
		return;
	s->stopping = true;
	s->stop_deadline_us = deadline_us;
	event_base_once(s->base, -1, EV_TIMEOUT, on_wake, s, &wait);
	if (first && s->started && s->program->stopping)
		s->program->stopping(s);
}

static bool
may_end(struct server *s)
{
	if (s->failed || s->stop_now)
		return true;
	if (!s->stopping)
		return false;
	if (clock_mono_us() >= s->stop_deadline_us)
		return true;
	/* A peer that is busy has yet to hear what came of its mail: else that is sent a second time. */
	return (s->program->idle == NULL || s->program->idle(s)) && !ipc_has_unsent();
}

/* From START to READY: everything that needs rights happens before sandbox_close(). */
static int
begin(struct server *s, struct error *err)
{
	const struct server_program *program = s->program;
	struct sandbox sandbox;

	peers_connect(s, true);
	if (program->open && program->open(s, err) < 0)
		return -1;
	if (sandbox_prepare(&sandbox, &program->sandbox, s->conf, err) < 0 ||
	    sandbox_close(&sandbox, err) < 0)
		return error_while(err, "closing the sandbox");
	s->started = true;
	peers_connect(s, false);
	if (program->start && program->start(s, err) < 0)
		return -1;
	return 0;
}

/*
 * READY is said once all peers have answered too, so that the first message after a start finds everybody in place; a
 * peer that is not there in time is master's affair.
 */
static void
wait_for_peers(struct server *s)
{
	const struct timeval longest = {.tv_sec = PEERS_WAIT_SECONDS};
	int64_t until = clock_mono_us() + PEERS_WAIT_SECONDS * US_PER_SECOND;

	event_base_once(s->base, -1, EV_TIMEOUT, on_wake, s, &longest);
	while (!peers_all_up(s) && clock_mono_us() < until && !may_end(s))
		turn(s, EVLOOP_ONCE);
	ipc_send(s->control, IPC_READY, 0, &(struct msg_ready){0});
}

static int
serve(struct server *s)
{
	struct error err = {0};

	while (!s->have_start) {
		turn(s, EVLOOP_ONCE);
		if (s->stopping)
			return EX_OK;
	}
	if (begin(s, &err) < 0) {
		log_fatal(NULL, "%s", err.text);
		control_failed(s, err.text);
		return EX_CONFIG;
	}
	ipc_flush_all();
	wait_for_peers(s);
	ipc_flush_all();
	while (!may_end(s))
		turn(s, EVLOOP_ONCE);
	return s->failed ? EX_SOFTWARE : EX_OK;
}

static struct ipc_channel *
log_channel(void *context)
{
	return server_peer(context, ROLE_LOG, 0);
}

static struct server *
server_new(const struct server_program *program, uint32_t index)
{
	/* Static: what hangs on it at the end of the process is no leak. */
	static struct server *s;
	struct event_config *config = event_config_new();

	s = mem_alloc(sizeof(*s));
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	s->base = event_base_new_with_config(config);
	event_config_free(config);
	if (s->base == NULL)
		panic("no event loop");
	s->program = program;
	s->index = index;
	return s;
}

int
server_main(int argc, char **argv, const struct server_program *program)
{
	socklen_t len = sizeof(int);
	uint64_t index = 0;
	struct server *s;
	int type = 0, status;

	if (argc == 3 && strcmp(argv[1], "--prove-sandbox") == 0)
		return prove_sandbox(program, argv[2]);
	if (getsockopt(CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM ||
	    argc != 2 || number_parse(span_of(argv[1]), 0, 255, &index) < 0) {
		fprintf(
		    stderr, "%s is started by Postern's master; see postern(8)\n", role_name(program->role));
		return EX_USAGE;
	}
	ignore_signals();
	keep_memory();
	io_set_cloexec(CONTROL_FD, 1);
	io_set_cloexec(LOCK_FD, 1);
	s = server_new(program, (uint32_t)index);
	log_set_program(program->ident);
	s->sink = (struct logsink){.ident = program->ident, .channel = log_channel, .context = s};
	if (program->role != ROLE_LOG)
		logsink_open(&s->sink, s->base);
	control_open(s);
	status = serve(s);
	ipc_flush_all();
	logsink_close(&s->sink, s->base);
	/* Peers learn of the end by the closed connections; the memory goes with the process. */
	return status;
}

struct event_base *
server_base(struct server *s)
{
	return s->base;
}

const struct conf *
server_conf(struct server *s)
{
	return s->conf;
}

void
server_set_data(struct server *s, void *data)
{
	s->data = data;
}

void *
server_data(struct server *s)
{
	return s->data;
}

uint32_t
server_index(struct server *s)
{
	return s->index;
}

uint32_t
server_incarnation(struct server *s)
{
	return s->incarnation;
}

bool
server_is_stopping(struct server *s)
{
	return s->stopping;
}

int
server_file(struct server *s, const char *path)
{
	for (size_t i = 0; i < s->file_count; i++) {
		if (strcmp(s->files[i].path, path) == 0)
			return s->files[i].fd;
	}
	return -1;
}

int
server_file_error(struct server *s, const char *path)
{
	for (size_t i = 0; i < s->file_count; i++) {
		if (strcmp(s->files[i].path, path) == 0)
			return s->files[i].error;
	}
	return ENOENT;
}

void
server_forget_files(struct server *s)
{
	for (size_t i = 0; i < s->file_count; i++) {
		io_close(&s->files[i].fd);
		free(s->files[i].path);
	}
	s->file_count = 0;
}

void
server_progress(struct server *s, const char *state)
{
	struct msg_pong m = {.state = span_sub(span_of(state), 0, 200)};

	ipc_send(s->control, IPC_PONG, 0, &m);
	ipc_flush_all();
}

void
server_renew(struct server *s)
{
	s->renewing = true;
	server_stop(s, RENEW_GRACE_MS);
}

void
server_hand_over(struct server *s)
{
	ipc_send(s->control, IPC_LEAVING, 0, &(struct msg_leaving){0});
	server_stop(s, HAND_OVER_GRACE_MS);
}

void
server_notice(struct server *s, const char *text, bool refuses)
{
	struct msg_notice m = {.text = span_sub(span_of(text), 0, 600), .refuses = refuses};

	ipc_send(s->control, IPC_NOTICE, 0, &m);
}

void
server_fail(struct server *s, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_fatal(NULL, "%s", text);
	s->failed = true;
	event_base_loopbreak(s->base);
}
