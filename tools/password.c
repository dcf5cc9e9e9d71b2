/*
 * postern password: makes what a table stores of a password. The password comes from standard input alone: command lines
 * are seen by everybody.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "common/password/password.h"
#include "tools/tool.h"

enum { FORM_MAX = 4096 };

static struct termios terminal;
static volatile sig_atomic_t hidden;

/* A terminal that shows nothing any more is a nuisance: also when this is interrupted. */
static void
show_again(void)
{
	if (hidden)
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal);
	hidden = 0;
}

static void
on_signal(int number)
{
	show_again();
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static int
hide(const struct tool *tool)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct termios quiet;

	if (tcgetattr(STDIN_FILENO, &terminal) < 0)
		return tool_fail(tool, EX_IOERR, "the terminal: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		(void)signal(ends[i], on_signal);
	quiet = terminal;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ECHONL;
	hidden = 1;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) < 0)
		return tool_fail(tool, EX_IOERR, "the terminal: %s", strerror(errno));
	return 0;
}

/* One line without its end; read octet by octet, so that no library keeps a copy. *len counts what was there. */
static int
read_line(const struct tool *tool, char line[PASSWORD_MAX + 1], size_t *len)
{
	ssize_t got;
	char c;

	*len = 0;
	while ((got = read(STDIN_FILENO, &c, 1)) != 0 && c != '\n') {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return tool_fail(tool, EX_IOERR, "standard input: %s", strerror(errno));
		if (*len == PASSWORD_MAX)
			return tool_fail(tool, EX_DATAERR, "a password has at most %d octets", PASSWORD_MAX);
		line[(*len)++] = c;
		c = '\0';
	}
	if (got == 0 && *len == 0)
		return tool_fail(tool, EX_NOINPUT, "there is no password on standard input");
	if (*len > 0 && line[*len - 1] == '\r')
		--*len;
	return 0;
}

static int
ask(const struct tool *tool, const char *prompt, char line[PASSWORD_MAX + 1], size_t *len)
{
	(void)fputs(prompt, stderr);
	return read_line(tool, line, len);
}

static int
ask_twice(const struct tool *tool, char line[PASSWORD_MAX + 1], size_t *len)
{
	char again[PASSWORD_MAX + 1];
	size_t again_len = 0;
	int status = hide(tool);

	if (status == 0)
		status = ask(tool, "Password: ", line, len);
	if (status == 0)
		status = ask(tool, "The same again: ", again, &again_len);
	if (status == 0 && !span_equal(span_make(line, *len), span_make(again, again_len)))
		status = tool_fail(tool, EX_DATAERR, "the two differ");
	explicit_bzero(again, sizeof(again));
	show_again();
	return status;
}

static int
list_schemes(void)
{
	const char *name;

	for (size_t i = 0; (name = password_scheme_name(i)) != NULL; i++)
		(void)puts(name);
	return 0;
}

static int
print_form(const struct tool *tool, const char *scheme, struct span password)
{
	struct error err = {0};
	struct buf form;
	int status = 0;

	buf_init(&form, FORM_MAX);
	if (password_make(scheme, password, &form, &err) < 0)
		status = tool_fail(tool, EX_DATAERR, "%s", err.text);
	else
		(void)puts(buf_text(&form));
	buf_free(&form);
	return status;
}

int
command_password(int argc, char **argv, struct tool *tool)
{
	char line[PASSWORD_MAX + 1];
	const char *scheme = NULL;
	size_t len = 0;
	int c, status;

	optind = 1;
	while ((c = getopt(argc, argv, "ls:")) != -1) {
		if (c == 'l')
			return list_schemes();
		if (c != 's')
			return tool_usage(tool, "password");
		scheme = optarg;
	}
	if (optind < argc)
		return tool_fail(tool, EX_USAGE, "the password is read from standard input");
	if (scheme && !password_scheme_known(scheme))
		return tool_fail(
		    tool, EX_USAGE, "there is no scheme %s; postern password -l lists them", scheme);
	status = isatty(STDIN_FILENO) ? ask_twice(tool, line, &len) : read_line(tool, line, &len);
	if (status == 0)
		status = print_form(tool, scheme, span_make(line, len));
	explicit_bzero(line, sizeof(line));
	return status;
}
