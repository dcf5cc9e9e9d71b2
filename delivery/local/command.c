#include "delivery/local/command.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "delivery/local/command_exec.h"
#include "delivery/local/writer.h"

enum { OUTPUT_KEPT = 4096, HEADER_MAX = 8192, GRACE_MS = 1000 };

struct running {
	const struct command *command;
	struct event *readable, *deadline;
	int output_fd, trouble_fd;
	pid_t pid, feeder; /* 0: ended */
	int status, feeder_status;
	bool timed_out;
	struct buf output;
	command_done *done;
	void *context;
};

/* ---- the two children ---- */

/* Writes the letter to the command and ends. A command that does not want all of it is no fault (EPIPE). */
static _Noreturn void
feed(const struct letter *l, int fd)
{
	struct span newline = l->flags & LETTER_CRLF ? SPAN_LIT("\r\n") : SPAN_LIT("\n");
	struct buf head;
	uint64_t written = 0;
	struct error err = {0};
	int rc;

	buf_init(&head, HEADER_MAX);
	if (l->flags & LETTER_FROM_LINE)
		letter_separator(l, clock_wall_us(), &head);
	letter_header(l, &head);
	if (l->flags & LETTER_CRLF)
		letter_lines_crlf(&head);
	rc = io_write_all(fd, buf_ptr(&head), head.len);
	if (rc < 0)
		err.number = errno;
	if (rc == 0)
		rc = letter_write(l, fd, l->flags, &written, &err);
	if (rc == 0 && (l->flags & LETTER_BLANK)) {
		rc = io_write_all(fd, newline.ptr, newline.len);
		err.number = errno;
	}
	_exit(rc < 0 && err.number != EPIPE ? 1 : 0);
}

static pid_t
fork_feeder(const struct letter *letter, int input[2], int output_fd, int trouble_fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		io_close(&input[0]);
		io_close(&output_fd);
		io_close(&trouble_fd);
		close(WRITER_FD); /* else the root part would not see that the helper is gone */
		feed(letter, input[1]);
	}
	return pid;
}

/* ---- the end ---- */

static void
running_free(struct running *r)
{
	if (r->readable)
		event_free(r->readable);
	if (r->deadline)
		event_free(r->deadline);
	io_close(&r->output_fd);
	io_close(&r->trouble_fd);
	buf_free(&r->output);
	free(r);
}

static void
finish(struct running *r)
{
	struct mailbox_result result;
	char trouble[300];
	ssize_t n = read(r->trouble_fd, trouble, sizeof(trouble) - 1);

	/* It may have ended first and be heard of last: a letter that broke off is not delivered. */
	if (r->feeder > 0 && waitpid(r->feeder, &r->feeder_status, WNOHANG) == r->feeder)
		r->feeder = 0;
	if (n > 0) {
		trouble[n] = '\0';
		mailbox_result_set(&result, OUTCOME_DEFERRED, "4.3.5", "%s", trouble);
	} else if (!r->timed_out && r->feeder_status != 0) {
		mailbox_result_set(&result, OUTCOME_DEFERRED, "4.3.0", "the message could not be read");
	} else {
		command_judge(r->command, r->status, r->timed_out, buf_span(&r->output), &result);
	}
	if (r->feeder > 0)
		kill(r->feeder, SIGKILL);
	r->done(r->context, &result);
	running_free(r);
}

/* Over when the command has ended and nobody writes any more; what it left behind gets a moment. */
static void
look(struct running *r)
{
	const struct timeval grace = {.tv_sec = GRACE_MS / 1000};

	if (r->pid != 0)
		return;
	if (r->output_fd < 0)
		finish(r);
	else
		event_add(r->deadline, &grace);
}

/* With its group; it may have left that for another. */
static void
kill_command(const struct running *r)
{
	kill(-r->pid, SIGKILL);
	kill(r->pid, SIGKILL);
}

static void
on_deadline(int fd, short what, void *context)
{
	struct running *r = context;

	(void)fd;
	(void)what;
	if (r->pid == 0) {
		finish(r);
		return;
	}
	r->timed_out = true;
	kill_command(r);
}

static void
on_output(int fd, short what, void *context)
{
	static char bytes[65536];
	struct running *r = context;
	ssize_t n = read(fd, bytes, sizeof(bytes));
	size_t room = OUTPUT_KEPT - r->output.len;

	(void)what;
	if (n > 0) {
		buf_append(&r->output, bytes, (size_t)n < room ? (size_t)n : room);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	event_del(r->readable);
	io_close(&r->output_fd);
	look(r);
}

bool
command_child_ended(struct running *r, pid_t pid, int status)
{
	if (pid == r->feeder) {
		r->feeder = 0;
		r->feeder_status = status;
		return true;
	}
	if (pid != r->pid)
		return false;
	r->pid = 0;
	r->status = status;
	look(r);
	return true;
}

void
command_abort(struct running *r)
{
	if (r->pid > 0)
		kill_command(r);
	if (r->feeder > 0)
		kill(r->feeder, SIGKILL);
	running_free(r);
}

/* ---- the beginning ---- */

static int
make_pipes(int input[2], int output[2], int trouble[2])
{
	input[0] = input[1] = output[0] = output[1] = trouble[0] = trouble[1] = -1;
	if (pipe2(input, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0 && pipe2(trouble, O_CLOEXEC) == 0)
		return 0;
	for (int i = 0; i < 2; i++) {
		io_close(&input[i]);
		io_close(&output[i]);
		io_close(&trouble[i]);
	}
	return -1;
}

struct running *
command_start(struct event_base *base, const struct command *command, const struct letter *letter,
    struct mailbox_result *result, command_done *done, void *context)
{
	const struct timeval limit = {.tv_sec = command->time_limit_us / US_PER_SECOND,
	    .tv_usec = command->time_limit_us % US_PER_SECOND};
	int input[2], output[2], trouble[2];
	struct running *r;

	if (make_pipes(input, output, trouble) < 0) {
		mailbox_result_of_error(errno, "cannot run the command", result);
		return NULL;
	}
	r = mem_alloc(sizeof(*r));
	r->command = command;
	r->done = done;
	r->context = context;
	buf_init(&r->output, OUTPUT_KEPT);
	r->output_fd = output[0];
	r->trouble_fd = trouble[0];
	r->pid = fork();
	if (r->pid == 0)
		command_exec(command, input[0], output[1], trouble[1]);
	io_close(&output[1]);
	io_close(&trouble[1]);
	if (r->pid > 0) {
		setpgid(r->pid, r->pid); /* both sides: whoever comes first */
		r->feeder = fork_feeder(letter, input, output[0], trouble[0]);
	}
	io_close(&input[0]);
	io_close(&input[1]);
	if (r->pid < 0 || r->feeder < 0) {
		mailbox_result_of_error(errno, "cannot run the command", result);
		command_abort(r);
		return NULL;
	}
	io_set_nonblocking(r->output_fd);
	io_set_nonblocking(r->trouble_fd);
	r->readable = event_new(base, r->output_fd, EV_READ | EV_PERSIST, on_output, r);
	r->deadline = event_new(base, -1, 0, on_deadline, r);
	event_add(r->readable, NULL);
	event_add(r->deadline, &limit);
	return r;
}
