#include "delivery/local/command_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/io.h"
#include "common/conf/transports.h"

enum { ARGUMENTS_MAX = 4000, STRINGS_ARENA = 1 << 20, TROUBLE_FD = 3, FREE_FD = 64 };

/* What Postfix's exec_command() finds harmless: no shell is needed for a command made of these. */
static const char plain[] = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t";

static _Noreturn void
give_up(const char *what, const char *about)
{
	dprintf(TROUBLE_FD, "%s %.150s: %s", what, about, strerror(errno));
	_exit(127);
}

/* Strings that end in NUL each, as a list that ends in NULL. */
static char **
list_of_strings(struct arena *a, struct span strings)
{
	char **list = arena_alloc(a, (ARGUMENTS_MAX + 1) * sizeof(*list));
	size_t n = 0;

	for (size_t at = 0; list && at < strings.len && n < ARGUMENTS_MAX;) {
		struct span one = span_sub(strings, at, strnlen(strings.ptr + at, strings.len - at));

		list[n++] = arena_copy(a, one);
		at += one.len + 1;
	}
	return list;
}

static char **
list_of_words(struct arena *a, struct span line, const char *last)
{
	char **list = arena_alloc(a, (ARGUMENTS_MAX + 2) * sizeof(*list));
	struct span word;
	size_t n = 0;

	while (list && n < ARGUMENTS_MAX && span_next_word(&line, " \t", &word))
		list[n++] = arena_copy(a, word);
	if (list && last)
		list[n] = arena_strdup(a, last);
	return list;
}

/* A line of shell grammar: without a shell where none is needed (local(8)). */
static _Noreturn void
exec_line(struct arena *a, const struct command *c, const char *line, char **environment)
{
	char sh[] = "sh", option[] = "-c", *shell[] = {sh, option, arena_strdup(a, line), NULL};
	char **words;

	if (c->shell_path.len > 0) {
		words = list_of_words(a, c->shell_path, line);
		execve(words[0], words, environment);
		give_up("cannot run the shell", words[0]);
	}
	if (line[strspn(line, plain)] == '\0') {
		words = list_of_words(a, span_of(line), NULL);
		execvpe(words[0], words, environment);
		if (errno != ENOENT || strchr(words[0], '/'))
			give_up("cannot run the command", words[0]);
	}
	/* Something that only the shell knows, perhaps. */
	execve(_PATH_BSHELL, shell, environment);
	give_up("cannot run the shell", _PATH_BSHELL);
}

_Noreturn void
command_exec(const struct command *command, int input_fd, int output_fd, int trouble_fd)
{
	struct arena *a = arena_new(STRINGS_ARENA);
	char **argv = list_of_strings(a, command->argv);
	char **environment = list_of_strings(a, command->environment);
	char directory[4096];
	int in = fcntl(input_fd, F_DUPFD, FREE_FD), out = fcntl(output_fd, F_DUPFD, FREE_FD);
	int trouble = fcntl(trouble_fd, F_DUPFD, FREE_FD);

	setpgid(0, 0);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	if (in < 0 || out < 0 || trouble < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
	    dup3(trouble, TROUBLE_FD, O_CLOEXEC) < 0 || close_range(TROUBLE_FD + 1, ~0U, 0) < 0)
		_exit(127);
	if (!argv || !argv[0] || argv[0][0] == '\0' || !environment ||
	    !span_copy(command->directory, directory, sizeof(directory))) {
		errno = EINVAL;
		give_up("cannot run", "the command");
	}
	if (directory[0] != '\0' && chdir(directory) < 0)
		give_up("cannot change to directory", directory);
	umask(077);
	for (char **e = environment; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			setenv("PATH", *e + 5, 1);
	if (command->shell)
		exec_line(a, command, argv[0], environment);
	execvpe(argv[0], argv, environment);
	give_up("cannot run", argv[0]);
}
