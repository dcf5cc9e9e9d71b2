/*
 * start, start-fg: master takes over.
 *
 * In the background master gets a pipe ("-n FD") on which it writes "ok" once every listener answers and a commit to
 * the spool has succeeded, or one line that says why not.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/span.h"
#include "services/master/claim.h"
#include "tools/check.h"
#include "tools/foreign.h"
#include "tools/running.h"
#include "tools/tool.h"

/* Complaints that do not stop the start are said, and logged again by master. */
static void
print_complaints(const struct tool *tool, const struct conf_report *report)
{
	const struct conf_complaint *c;

	for (size_t i = 0; (c = conf_report_at(report, i)) != NULL; i++) {
		if (c->severity == 'f')
			continue;
		if (c->line > 0)
			fprintf(stderr, "%s: warning: %s:%u: %s\n", tool->program, c->file, c->line, c->text);
		else
			fprintf(stderr, "%s: warning: %s: %s\n", tool->program, c->file, c->text);
	}
}

/* notify: where "ok" or the reason is to be said; -1 in the foreground. Returns only if it could not be started. */
static void
exec_master(const struct tool *tool, int notify)
{
	char program[4096], confdir[4096], number[16], name[] = "master";
	char option_c[] = "-c", option_n[] = "-n", option_f[] = "-f";
	char *argv[] = {
	    name, option_c, confdir, notify >= 0 ? option_n : option_f, notify >= 0 ? number : NULL, NULL};

	snprintf(program, sizeof(program), "%s/master", tool->conf->values->daemon_directory);
	snprintf(confdir, sizeof(confdir), "%s", tool->confdir);
	snprintf(number, sizeof(number), "%d", notify);
	execv(program, argv);
	dprintf(notify >= 0 ? notify : STDERR_FILENO, "%s%s: %s\n", notify >= 0 ? "" : "postern: ", program,
	    strerror(errno));
}

/* The child that becomes master: a session of its own, standard descriptors nowhere, the pipe kept open. */
static _Noreturn void
become_master(const struct tool *tool, int notify)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (null < 0)
		dprintf(notify, "/dev/null: %s\n", strerror(errno));
	if (chdir("/") < 0 || null < 0)
		_exit(EX_OSERR);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	exec_master(tool, notify);
	_exit(EX_UNAVAILABLE);
}

/* What master says. Returns 0 if that is "ok", EX_TEMPFAIL if the instance runs all the same. */
static int
wait_until_ready(const struct tool *tool, int fd)
{
	char said[2000] = "";
	ssize_t got = io_read_all(fd, said, sizeof(said) - 1);
	struct span text = span_trim(span_make(said, got < 0 ? 0 : (size_t)got));

	if (span_is(text, "ok"))
		return 0;
	if (span_starts(text, "running"))
		return tool_fail(tool, EX_TEMPFAIL, "%.*s", SPAN_ARG(text));
	if (text.len == 0)
		return tool_fail(tool, EX_UNAVAILABLE, "master ended before it was ready; see the log");
	return tool_fail(tool, EX_UNAVAILABLE, "%.*s", SPAN_ARG(text));
}

static int
start_in_background(struct tool *tool)
{
	int ends[2], status;
	pid_t pid;

	if (pipe(ends) < 0)
		return tool_fail(tool, EX_OSERR, "pipe: %s", strerror(errno));
	io_set_cloexec(ends[0], 1);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return tool_fail(tool, EX_OSERR, "fork: %s", strerror(errno));
	if (pid == 0) {
		close(ends[0]);
		become_master(tool, ends[1]);
	}
	io_close(&ends[1]);
	status = wait_until_ready(tool, ends[0]);
	io_close(&ends[0]);
	if (status != 0 && status != EX_TEMPFAIL)
		waitpid(pid, NULL, 0);
	return status;
}

int
command_start(int argc, char **argv, struct tool *tool)
{
	struct conf_report *report = conf_report_new();
	char other[PATH_MAX];
	struct error err;
	pid_t master;

	if (argc != 1) {
		conf_report_free(&report);
		return tool_usage(tool, argv[0]);
	}
	tool->conf = conf_load(tool->confdir, report, &err);
	print_complaints(tool, report);
	conf_report_free(&report);
	if (!tool->conf)
		return tool_fail(tool, EX_CONFIG, "%s", err.text);
	if (foreign_any(tool->conf->values, &err))
		return tool_fail(tool, EX_CONFIG, "%s", err.text);
	(void)check_table_kinds(tool->conf, tool->confdir, stderr, "postern: warning: ");
	master = running_master(tool);
	if (master != 0)
		return tool_fail(tool, 1, "%s is running already: process %d", tool->confdir, (int)master);
	if (claim_find_other(tool->conf->values->queue_directory, tool->confdir, other, sizeof(other)))
		fprintf(stderr, "%s: warning: queue_directory %s is that of the instance %s, too\n",
		    tool->program, tool->conf->values->queue_directory, other);
	if (!tool->conf->values->queue_sync)
		fprintf(
		    stderr, "%s: warning: queue_sync = no: mail may be lost when power is\n", tool->program);
	if (strcmp(argv[0], "start-fg") == 0) {
		exec_master(tool, -1);
		return EX_UNAVAILABLE;
	}
	return start_in_background(tool);
}
