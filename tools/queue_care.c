/*
 * queue_care: what keeps a spool in order. The reading is done by a program of its own (queue/care), which gives up
 * root before it reads an octet.
 */
#include "tools/queue_care.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "tools/queue_alone.h"
#include "tools/queue_ask.h"
#include "tools/running.h"

/* Starts this program again with "queue list --all --json", without what is in the drop directory: its output can be read from the descriptor. */
static int
start_listing(const struct tool *tool, pid_t *pid)
{
	int ends[2];

	if (pipe(ends) < 0)
		return -1;
	*pid = fork();
	if (*pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execl("/proc/self/exe", "postern", "-c", tool->confdir, "queue", "list", "--all", "--json",
		    (char *)NULL);
		_exit(EX_OSERR);
	}
	close(ends[1]);
	if (*pid < 0) {
		close(ends[0]);
		return -1;
	}
	return ends[0];
}

int
queue_care_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EX_OSERR;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

pid_t
queue_care_start(struct tool *tool, const char *verb, const char *directory, const char *argument, int input,
    const int output[2])
{
	const char *libexec = getenv("POSTERN_LIBEXEC");
	char program[PATH_MAX], *path = mem_strdup(tool_path(tool, directory));
	pid_t pid;

	snprintf(program, sizeof(program), "%s/care",
	    libexec && geteuid() != 0 ? libexec : tool->conf->values->daemon_directory);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (input >= 0)
			dup2(input, STDIN_FILENO);
		if (output) {
			dup2(output[1], STDOUT_FILENO);
			close(output[0]);
			close(output[1]);
			if (queue_become_owner(tool) < 0)
				_exit(EX_OSERR);
		}
		execl(program, "care", verb, path, argument, (char *)NULL);
		fprintf(stderr, "postern: %s: %s\n", program, strerror(errno));
		_exit(EX_OSFILE);
	}
	free(path);
	return pid;
}

/* Of the spool. input: its standard input, or -1. */
static int
run_care(struct tool *tool, const char *verb, const char *argument, int input)
{
	pid_t pid = queue_care_start(tool, verb, "spool", argument, input, NULL);

	return pid < 0 ? tool_fail(tool, EX_OSERR, "fork: %s", strerror(errno)) : queue_care_wait(pid);
}

int
queue_care_usage(const struct tool *tool, const char *verb)
{
	static const char *const arguments[][2] = {
	    {"backup", " DIRECTORY"}, {"import", " DIRECTORY"}, {"export", " [ID...|FILTER...] DIRECTORY"}};
	const char *wanted = "";

	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
		if (strcmp(arguments[i][0], verb) == 0)
			wanted = arguments[i][1];
	return tool_fail(tool, EX_USAGE, "usage: postern queue %s%s", verb, wanted);
}

int
queue_verify(int argc, char **argv, struct tool *tool)
{
	pid_t listing;
	int input, status;

	(void)argv;
	if (argc != 1)
		return queue_care_usage(tool, "verify");
	if (!tool_conf(tool))
		return EX_CONFIG;
	if (running_master(tool) == 0) {
		status = running_keep_out(tool);
		return status ? status : run_care(tool, "verify", "stopped", -1);
	}
	input = start_listing(tool, &listing);
	if (input < 0)
		return tool_fail(tool, EX_OSERR, "listing the queue: %s", strerror(errno));
	status = run_care(tool, "verify", "running", input);
	close(input);
	return queue_care_wait(listing) == 0 ? status
					     : tool_fail(tool, EX_TEMPFAIL, "the queue could not be listed");
}

int
queue_backup(int argc, char **argv, struct tool *tool)
{
	char cwd[PATH_MAX], path[2 * PATH_MAX];

	if (argc != 2)
		return queue_care_usage(tool, "backup");
	if (argv[1][0] == '\0') /* of an unset variable; it would be where we are */
		return tool_fail(tool, EX_USAGE, "backup wants a directory");
	if (!tool_conf(tool))
		return EX_CONFIG;
	if (argv[1][0] == '/')
		snprintf(path, sizeof(path), "%s", argv[1]);
	else if (getcwd(cwd, sizeof(cwd)))
		snprintf(path, sizeof(path), "%s/%s", cwd, argv[1]);
	else
		return tool_fail(tool, EX_OSERR, "%s", strerror(errno));
	return run_care(tool, "backup", path, -1);
}

/* A stopped instance has its index made anew at the next start: all that is needed is that it has none. */
static int
remove_index(struct tool *tool)
{
	int status = running_keep_out(tool);

	return status ? status : run_care(tool, "forget", "index", -1);
}

int
queue_rebuild(int argc, char **argv, struct tool *tool)
{
	struct buf rows;
	int status;

	(void)argv;
	if (argc != 1)
		return queue_care_usage(tool, "rebuild");
	if (!tool_conf(tool))
		return EX_CONFIG;
	if (running_master(tool) == 0)
		return remove_index(tool);
	buf_init(&rows, 65536);
	status = queue_ask(tool, "rebuild", SPAN_LIT(""), &rows);
	buf_free(&rows);
	return status;
}
