/*
 * postern: the administrator's command.
 *
 * Runs as   whoever calls it; most commands need root or the owner of the instance.
 * Talks to  master and queue, over their control sockets below queue_directory.
 * Reads     postern.conf, tables, and the answers of those two.
 * If taken  it is the caller's own process: nothing more than the caller could do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "tools/tool.h"

struct command {
	const char *name;
	tool_command *function;
	const char *usage;
	const char *help;
};

#define COMMAND(name, function, usage, help) {name, function, usage, help},
static const struct command commands[] = {
#include "tools/commands.def"
};
#undef COMMAND

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

/* Names of Postfix's programs that stand for one of the commands, with the same arguments. */
static const struct {
	const char *program, *command;
} aliases[] = {{"postconf", "config"}, {"postmap", "map"}, {"postalias", "alias"}};

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

int
tool_usage(const struct tool *tool, const char *name)
{
	const struct command *c = find_command(name);

	fprintf(stderr, "usage: %s %s\n", tool->program, c ? c->usage : name);
	return EX_USAGE;
}

static void
print_help(FILE *to)
{
	fprintf(to, "usage: postern [-c CONFDIR] COMMAND ...\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(to, "  %s\n      %s\n", commands[i].usage, commands[i].help);
	fprintf(
	    to, "\nCONFDIR is " POSTERN_SYSCONFDIR "/postern, or what MAIL_CONFIG says. See postern(8).\n");
}

static int
run_command(const struct command *c, int argc, char **argv, struct tool *tool)
{
	int status = c->function(argc, argv, tool);

	if (tool->conf)
		conf_unref(&tool->conf);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (status == 0)
			status = tool_fail(tool, EX_IOERR, "standard output cannot be written");
	}
	return status;
}

/* An absolute path, for whoever is given it may stand elsewhere. */
static const char *
absolute_path(const char *path)
{
	char *here, *joined;

	if (path[0] == '/')
		return path;
	here = getcwd(NULL, 0);
	if (!here || asprintf(&joined, "%s/%s", here, path) < 0)
		return path;
	free(here);
	return joined;
}

int
main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *called = argc == 0 ? "postern" : slash ? slash + 1 : argv[0];
	const char *from_environment = getenv("MAIL_CONFIG");
	struct tool tool = {.program = called};
	const struct command *c = NULL;
	int option;

	log_set_program(called);
	tool.confdir =
	    from_environment && *from_environment ? from_environment : POSTERN_SYSCONFDIR "/postern";
	while ((option = getopt(argc, argv, "+c:")) != -1) {
		if (option != 'c') {
			print_help(stderr);
			return EX_USAGE;
		}
		tool.confdir = optarg;
	}
	tool.confdir = absolute_path(tool.confdir);
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (strcmp(called, aliases[i].program) == 0 && (c = find_command(aliases[i].command)) != NULL)
			return run_command(c, argc - optind + 1, argv + optind - 1, &tool);
	}
	if (optind >= argc) {
		print_help(stderr);
		return EX_USAGE;
	}
	if (strcmp(argv[optind], "help") == 0 || strcmp(argv[optind], "--help") == 0) {
		print_help(stdout);
		return 0;
	}
	c = find_command(argv[optind]);
	if (!c)
		return tool_fail(&tool, EX_USAGE, "there is no command %s; see postern help", argv[optind]);
	argc -= optind;
	argv += optind;
	optind = 1;
	return run_command(c, argc, argv, &tool);
}
