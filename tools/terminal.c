#include "tools/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

/* xterm's and everybody's: the other screen, no cursor; and back. */
static const char screen_on[] = "\033[?1049h\033[?25l", screen_off[] = "\033[?25h\033[?1049l";

static struct {
	bool keys;
	volatile sig_atomic_t taken;
	struct termios before;
	int errors, errors_before; /* -1: standard error goes elsewhere anyway */
} terminal;

/* What handlers call is async-signal-safe, and waits for nobody: output may have been stopped (^S). */
static void
put(const char *text, size_t len)
{
	ssize_t n = write(STDOUT_FILENO, text, len);

	(void)n;
}

static void
set_raw(void)
{
	struct termios raw = terminal.before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	if (terminal.keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	put(screen_on, sizeof(screen_on) - 1);
}

/* In the background the terminal is the shell's, with the shell's settings. */
static bool
is_ours(void)
{
	return tcgetpgrp(STDOUT_FILENO) == getpgrp();
}

enum { STOPS_MAX = 100 }; /* without a shell nothing stops it */

static void
take(void)
{
	for (int i = 0; i < STOPS_MAX && !is_ours(); i++)
		raise(SIGTTOU);
	terminal.keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal.before) == 0;
	terminal.taken = 1;
	set_raw();
}

static void
give_back(void)
{
	if (!terminal.taken)
		return;
	terminal.taken = 0;
	if (!is_ours())
		return;
	tcflow(STDOUT_FILENO, TCOON);
	if (terminal.keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
	put(screen_off, sizeof(screen_off) - 1);
}

static void
handle(int number, void (*handler)(int number))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;

	sigfillset(&action.sa_mask);
	sigdelset(&action.sa_mask, SIGTTOU);
	/* What whoever started us has it ignore (nohup) stays so. */
	if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

static void
on_end(int number)
{
	give_back();
	if (number == SIGINT)
		_exit(0); /* that is how one leaves */
	signal(number, SIG_DFL);
	raise(number);
}

static void
on_stop(int number)
{
	int error = errno;
	sigset_t only;

	give_back();
	signal(number, SIG_DFL);
	sigemptyset(&only);
	sigaddset(&only, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &only, NULL); /* here it stops, and goes on */
	sigprocmask(SIG_BLOCK, &only, NULL);
	handle(number, on_stop);
	take();
	errno = error;
}

/* After a stop that nobody is told of (SIGSTOP) the shell has set the terminal. */
static void
on_continue(int number)
{
	int error = errno;

	(void)number;
	if (terminal.taken && is_ours())
		set_raw();
	errno = error;
}

/* That it came is enough: it is drawn again. */
static void
on_resize(int number)
{
	(void)number;
}

static void
keep_errors(void)
{
	terminal.errors = terminal.errors_before = -1;
	if (!isatty(STDERR_FILENO))
		return;
	terminal.errors = memfd_create("errors", MFD_CLOEXEC);
	terminal.errors_before = dup(STDERR_FILENO);
	if (terminal.errors >= 0 && terminal.errors_before >= 0)
		dup2(terminal.errors, STDERR_FILENO);
}

static void
show_errors(void)
{
	char piece[1024];
	ssize_t n;

	if (terminal.errors < 0 || terminal.errors_before < 0)
		return;
	dup2(terminal.errors_before, STDERR_FILENO);
	for (off_t at = 0; (n = pread(terminal.errors, piece, sizeof(piece), at)) > 0; at += n)
		if (write(STDERR_FILENO, piece, (size_t)n) < 0)
			break;
	close(terminal.errors);
	close(terminal.errors_before);
}

bool
terminal_begin(void)
{
	if (!isatty(STDOUT_FILENO))
		return false;
	keep_errors();
	handle(SIGINT, on_end);
	handle(SIGTERM, on_end);
	handle(SIGHUP, on_end);
	handle(SIGQUIT, on_end);
	handle(SIGTSTP, on_stop);
	handle(SIGCONT, on_continue);
	handle(SIGWINCH, on_resize);
	take();
	return true;
}

bool
terminal_has_keys(void)
{
	return terminal.keys;
}

void
terminal_end(void)
{
	give_back();
	show_errors();
}
