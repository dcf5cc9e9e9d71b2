#include "services/auth/checks.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "services/auth/check.h"

enum {
	CHILDREN_MAX = 8,
	CHILDREN_OF_ADDRESS_MAX = CHILDREN_MAX - 2,
	CHECKS_MAX = 500,
	CHECKS_OF_ADDRESS_MAX = 50,
	WAIT_SECONDS_MAX = 30, /* for a child, and then for its end */
	REASON_MAX = 200
};

struct check {
	TAILQ_ENTRY(check) link;
	struct checks *checks;
	struct ipc_channel *channel; /* NULL: nobody waits for it */
	uint32_t call;
	char *user, *address;
	struct buf question; /* wiped as soon as it was written */
	struct event *deadline;
	/* With a child. */
	pid_t pid;
	int fd;
	struct event *readable;
	struct buf answer;
};

TAILQ_HEAD(check_list, check);

struct checks {
	struct event_base *base;
	int program;
	struct check_list waiting, running;
	size_t waiting_count, running_count;
};

static void
question_wipe(struct check *k)
{
	if (k->question.mem)
		explicit_bzero(k->question.mem, k->question.cap);
	buf_free(&k->question);
}

static void
check_free(struct check *k)
{
	question_wipe(k);
	buf_free(&k->answer);
	if (k->deadline)
		event_free(k->deadline);
	if (k->readable)
		event_free(k->readable);
	(void)io_close(&k->fd);
	free(k->user);
	free(k->address);
	free(k);
}

static void
send_answer(
    struct ipc_channel *channel, uint32_t call, enum auth_status status, struct span user, struct span reason)
{
	struct msg_password_answer message = {.status = (uint8_t)status,
	    .user = span_sub(user, 0, CHECK_USER_MAX),
	    .reason = span_sub(reason, 0, REASON_MAX)};

	if (status == AUTH_TEMPORARY && channel)
		log_warning(NULL, "PAM: %.*s", SPAN_ARG(message.reason));
	if (channel)
		(void)ipc_send(channel, IPC_PASSWORD_ANSWER, call, &message);
}

/* ---- a child's end ---- */

/* "Yname\n", "Nreason\n" or "?reason\n"; anything else, and nothing, is trouble. */
static void
tell(struct check *k, const char *trouble)
{
	struct span text = buf_span(&k->answer);
	bool whole = text.len >= 2 && text.ptr[text.len - 1] == '\n' && memchr(text.ptr, 0, text.len) == NULL;
	struct span rest = whole ? span_sub(text, 1, text.len - 2) : SPAN_LIT("");

	if (whole && text.ptr[0] == 'Y')
		send_answer(k->channel, k->call, AUTH_ACCEPTED, span_is(rest, k->user) ? SPAN_LIT("") : rest,
		    SPAN_LIT(""));
	else if (whole && text.ptr[0] == 'N')
		send_answer(k->channel, k->call, AUTH_REFUSED, SPAN_LIT(""), rest);
	else
		send_answer(
		    k->channel, k->call, AUTH_TEMPORARY, SPAN_LIT(""), whole ? rest : span_of(trouble));
}

static void start_next(struct checks *c);

/* It has said what it had to say, or its time is over; what it still does is not waited for. */
static void
finish(struct check *k, const char *trouble)
{
	struct checks *c = k->checks;

	(void)kill(k->pid, SIGKILL);
	while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
		;
	TAILQ_REMOVE(&c->running, k, link);
	c->running_count--;
	tell(k, trouble);
	check_free(k);
	start_next(c);
}

static void
on_readable(evutil_socket_t fd, short what, void *context)
{
	struct check *k = context;
	char *room = buf_reserve(&k->answer, 1);
	ssize_t got;

	(void)what;
	if (room == NULL) {
		buf_clear(&k->answer);
		finish(k, "a module of PAM says too much");
		return;
	}
	got = read((int)fd, room, 1);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0)
		buf_added(&k->answer, 1);
	if (got <= 0 || *room == '\n')
		finish(k, "its process has ended without an answer");
}

static void
on_late(evutil_socket_t fd, short what, void *context)
{
	struct check *k = context;

	(void)fd;
	(void)what;
	if (k->pid > 0) {
		finish(k, "no answer in time");
		return;
	}
	TAILQ_REMOVE(&k->checks->waiting, k, link);
	k->checks->waiting_count--;
	send_answer(k->channel, k->call, AUTH_TEMPORARY, SPAN_LIT(""), SPAN_LIT("too many checks wait"));
	check_free(k);
}

/* ---- a child's beginning ---- */

/* Only what is safe between fork() and exec. All other descriptors close by themselves. */
static _Noreturn void
become_child(int program, int fd)
{
	static char name[] = "auth", option[] = "--check";
	char *const argv[] = {name, option, NULL};
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *const environment[] = {path, NULL};
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
		(void)fexecve(program, argv, environment);
	_exit(127);
}

static bool
begin(struct check *k)
{
	struct checks *c = k->checks;
	const struct timeval limit = {.tv_sec = WAIT_SECONDS_MAX};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	/* A few kilobytes: they go into the socket at once. */
	bool written =
	    io_write_all(pair[0], k->question.mem ? buf_ptr(&k->question) : "", k->question.len) == 0;
	question_wipe(k);
	(void)shutdown(pair[0], SHUT_WR);
	k->pid = written ? fork() : -1;
	if (k->pid == 0)
		become_child(c->program, pair[1]);
	(void)io_close(&pair[1]);
	k->fd = pair[0];
	(void)io_set_nonblocking(k->fd);
	k->readable = event_new(c->base, k->fd, EV_READ | EV_PERSIST, on_readable, k);
	if (k->pid > 0 && k->readable && event_add(k->readable, NULL) == 0 &&
	    event_add(k->deadline, &limit) == 0)
		return true;
	if (k->pid > 0) {
		(void)kill(k->pid, SIGKILL);
		(void)waitpid(k->pid, NULL, 0);
	}
	return false;
}

static bool
may_run(const struct checks *c, const struct check *k)
{
	const struct check *other;
	unsigned of_address = 0;

	TAILQ_FOREACH (other, &c->running, link) {
		if (strcasecmp(other->user, k->user) == 0)
			return false;
		of_address += strcmp(other->address, k->address) == 0;
	}
	return of_address < CHILDREN_OF_ADDRESS_MAX;
}

static void
start_next(struct checks *c)
{
	struct check *k = TAILQ_FIRST(&c->waiting), *next;

	for (; k != NULL && c->running_count < CHILDREN_MAX; k = next) {
		next = TAILQ_NEXT(k, link);
		if (!may_run(c, k))
			continue;
		TAILQ_REMOVE(&c->waiting, k, link);
		c->waiting_count--;
		if (begin(k)) {
			TAILQ_INSERT_TAIL(&c->running, k, link);
			c->running_count++;
			continue;
		}
		send_answer(
		    k->channel, k->call, AUTH_TEMPORARY, SPAN_LIT(""), SPAN_LIT("no process for a check"));
		check_free(k);
	}
}

/* ---- from outside ---- */

struct checks *
checks_new(struct event_base *base, int program)
{
	struct checks *c = mem_alloc(sizeof(*c));

	c->base = base;
	c->program = program;
	TAILQ_INIT(&c->waiting);
	TAILQ_INIT(&c->running);
	return c;
}

static const char *
objection(const struct checks *c, const char *service, struct span address)
{
	const struct check *k;
	size_t same = 0;

	/* It becomes the name of a file. */
	if (service[0] == '\0' || service[0] == '.' || strchr(service, '/'))
		return "the name of the PAM service is none";
	if (c->waiting_count >= CHECKS_MAX)
		return "too many checks wait";
	TAILQ_FOREACH (k, &c->waiting, link)
		same += span_is(address, k->address);
	return same >= CHECKS_OF_ADDRESS_MAX ? "too many checks of this client wait" : NULL;
}

static void
add_part(struct buf *b, struct span part)
{
	(void)buf_append_span(b, part);
	(void)buf_append(b, "", 1);
}

void
checks_ask(struct checks *c, const char *service, struct ipc_channel *channel, const struct ipc_frame *frame)
{
	const struct msg_password_ask *m = &frame->password_ask;
	const struct timeval limit = {.tv_sec = WAIT_SECONDS_MAX};
	const char *why = objection(c, service, m->client_address);

	if (why) {
		send_answer(channel, frame->call, AUTH_TEMPORARY, SPAN_LIT(""), span_of(why));
		return;
	}
	/* pam_unix and others may let an empty password pass. */
	if (m->user.len == 0 || m->password.len == 0) {
		send_answer(channel, frame->call, AUTH_REFUSED, SPAN_LIT(""), SPAN_LIT("empty"));
		return;
	}
	struct check *k = mem_alloc(sizeof(*k));
	k->checks = c;
	k->channel = channel;
	k->call = frame->call;
	k->fd = -1;
	k->user = mem_strndup(m->user.ptr, m->user.len);
	k->address = mem_strndup(m->client_address.len ? m->client_address.ptr : "", m->client_address.len);
	buf_init(&k->question, CHECK_QUESTION_MAX);
	buf_init(&k->answer, CHECK_ANSWER_MAX);
	/* At once, so that no copy of the password is left where it grew. */
	(void)buf_reserve(&k->question, CHECK_QUESTION_MAX);
	add_part(&k->question, span_of(service));
	add_part(&k->question, m->user);
	add_part(&k->question, m->password);
	add_part(&k->question, m->client_address);
	k->deadline = event_new(c->base, -1, 0, on_late, k);
	if (k->deadline == NULL || event_add(k->deadline, &limit) < 0)
		panic("no timer for a check");
	TAILQ_INSERT_TAIL(&c->waiting, k, link);
	c->waiting_count++;
	start_next(c);
}

void
checks_peer_gone(struct checks *c, const struct ipc_channel *peer)
{
	struct check *k, *next;

	for (k = TAILQ_FIRST(&c->waiting); k != NULL; k = next) {
		next = TAILQ_NEXT(k, link);
		if (k->channel != peer)
			continue;
		TAILQ_REMOVE(&c->waiting, k, link);
		c->waiting_count--;
		check_free(k);
	}
	/* Their ends are heard of as of others. */
	TAILQ_FOREACH (k, &c->running, link) {
		if (k->channel != peer)
			continue;
		k->channel = NULL;
		(void)kill(k->pid, SIGKILL);
	}
}

bool
checks_idle(const struct checks *c)
{
	return c->waiting_count == 0 && c->running_count == 0;
}
