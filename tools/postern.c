/*
 * postern: the administrator's command.
 *
 * Runs as   whoever calls it; most commands need root or the owner of the instance.
 * Talks to  master and queue, over their control sockets below queue_directory.
 * Reads     postern.conf, tables, and the answers of those two.
 * If taken  it is the caller's own process: nothing more than the caller could do.
 */
#include "config.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/inherited.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "tools/postlog.h"
#include "tools/queue_alone.h"
#include "tools/queue_names.h"
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

/* And of those that have a way of their own to say what they want. */
static const struct command other_names[] = {
    {"postqueue", command_postqueue, "[-c CONFDIR] -p | -j | -f | -i ID | -s SITE", ""},
    {"postsuper", command_postsuper, "[-c CONFDIR] [-d|-e|-f|-h|-H|-r ID|ALL|-]... [QUEUE...]", ""},
    {"postcat", command_postcat, "[-c CONFDIR] [-beh] -q ID...", ""},
    {"qshape", command_qshape, "[-c CONFDIR] [-s] [QUEUE...]", ""},
    {"postlog", command_postlog, "[-iv] [-c CONFDIR] [-p PRIORITY] [-t TAG] [TEXT...]", ""},
};

/* Words of postfix(1). */
static const struct {
	const char *word, *command;
} other_words[] = {{"drain", "stop"}, {"quick-stop", "stop"}, {"set-permissions", "setup"},
    {"upgrade-configuration", "setup"}};

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(other_words) / sizeof(other_words[0]); i++)
		if (strcmp(name, other_words[i].word) == 0)
			name = other_words[i].command;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static const struct command *
find_other_name(const char *called)
{
	for (size_t i = 0; i < sizeof(other_names) / sizeof(other_names[0]); i++) {
		if (strcmp(other_names[i].name, called) == 0)
			return &other_names[i];
	}
	return NULL;
}

/* Called as postconf and the like: the same arguments, "-c CONFDIR" first among them. */
static const struct command *
command_of_alias(const char *called)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (strcmp(called, aliases[i].program) == 0)
			return find_command(aliases[i].command);
	}
	return find_other_name(called);
}

int
tool_usage(const struct tool *tool, const char *name)
{
	const struct command *other = find_other_name(name), *c = other ? other : find_command(name);
	const char *usage = c ? c->usage : name;

	/* As postconf it is not called "postconf config". */
	if (c && !other && command_of_alias(tool->program) == c)
		usage += strlen(name) + 1;
	/* One line: --help shows the others. */
	fprintf(stderr, "usage: %s %.*s", tool->program, (int)strcspn(usage, "\n"), usage);
	if (optopt > 0 && optopt != '?') /* glibc: 0 where all was well */
		fprintf(stderr, "; -%c: not an option, or one that wants an argument", optopt);
	fputc('\n', stderr);
	return EX_USAGE;
}

static void
print_help(void)
{
	printf("usage: postern [-c CONFDIR] COMMAND ...\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		printf("  %s\n      %s\n", commands[i].usage, commands[i].help);
	printf("\nCONFDIR is " POSTERN_SYSCONFDIR "/postern, or what MAIL_CONFIG says. See postern(8).\n");
}

/* "postern --version" and "--help", "postern COMMAND ... --help": answered without a configuration. */
static bool
answer_about_itself(const struct tool *tool, const struct command *c, int argc, char **argv)
{
	static const char *const help[] = {"help", "--help", "-h"};
	static const char *const version[] = {"version", "--version", "-V"};

	for (size_t i = 0; i < 3; i++) {
		if (strcmp(argv[0], help[i]) == 0) {
			print_help();
			return true;
		}
		if (strcmp(argv[0], version[i]) == 0) {
			printf("Postern " PACKAGE_VERSION "\n");
			return true;
		}
	}
	for (int i = 1; c && i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			printf("usage: %s %s\n  %s\n", tool->program, c->usage, c->help);
			return true;
		}
	}
	return false;
}

/* Whoever read the output has what he wanted: "postern queue list | head". */
static bool
reader_left(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

/* The status that counts when all was said. */
static int
finish_output(const struct tool *tool, int status)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if ((status == 0 || status == EX_IOERR) && !reader_left())
			status = tool_fail(tool, EX_IOERR, "standard output cannot be written");
	}
	return status;
}

static int
run_command(const struct command *c, int argc, char **argv, struct tool *tool)
{
	int status = finish_output(tool, c->function(argc, argv, tool));

	queue_alone_end(tool);
	if (tool->conf)
		conf_unref(&tool->conf);
	return status;
}

const char *
tool_absolute_path(const char *path)
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

/*
 * "-c CONFDIR" at the front, and postfix(1)'s -v and -D, which nothing here wants. Returns how many arguments that took,
 * -1 if one is missing. Programs with a name of their own have other words there.
 */
static int
take_confdir(int argc, char **argv, bool own_name, struct tool *tool)
{
	const char *from_environment = getenv("MAIL_CONFIG");
	int next = 1;

	tool->confdir =
	    from_environment && *from_environment ? from_environment : POSTERN_SYSCONFDIR "/postern";
	for (; next < argc; next++) {
		const char *word = argv[next];

		if (!own_name && (strcmp(word, "-v") == 0 || strcmp(word, "-D") == 0))
			continue;
		if (strncmp(word, "-c", 2) != 0)
			break;
		if (word[2] == '\0' && ++next == argc)
			return -1;
		tool->confdir = word[2] ? word + 2 : argv[next];
	}
	tool->confdir = tool_absolute_path(tool->confdir);
	return next - 1;
}

int
main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *called = argc == 0 ? "postern" : slash ? slash + 1 : argv[0];
	const struct command *c = command_of_alias(called);
	struct tool tool = {.program = called};
	int taken;

	inherited_reset();
	log_set_program(called);
	opterr = 0; /* tool_usage() says it, in one line */
	taken = take_confdir(argc, argv, c != NULL, &tool);
	if (taken >= 0 && c) {
		argv[taken] = argv[0];
		return run_command(c, argc - taken, argv + taken, &tool);
	}
	argc -= taken + 1;
	argv += taken + 1;
	c = taken >= 0 && argc > 0 ? find_command(argv[0]) : NULL;
	if (taken >= 0 && argc > 0 && answer_about_itself(&tool, c, argc, argv))
		return finish_output(&tool, 0);
	if (taken < 0 || argc <= 0 || argv[0][0] == '-')
		return tool_fail(
		    &tool, EX_USAGE, "usage: postern [-c CONFDIR] COMMAND ...; see postern help");
	if (!c)
		return tool_fail(&tool, EX_USAGE, "there is no command %s; see postern help", argv[0]);
	return run_command(c, argc, argv, &tool);
}
