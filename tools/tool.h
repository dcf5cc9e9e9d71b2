/*
 * tool: what the commands of postern(8) share.
 *
 * Each command is a function in a file of its own (or a group of files) and a row in commands.def. It gets its
 * arguments with the command's name as argv[0] and returns an exit status: 0, or a number of sysexits(3) after one
 * clear line on standard error.
 */
#ifndef POSTERN_TOOLS_TOOL_H
#define POSTERN_TOOLS_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"

struct tool {
	const char *program; /* "postern", or the name that it was called by (postmap, ...) */
	const char *confdir; /* absolute: -c, MAIL_CONFIG or the default */
	struct conf *conf; /* NULL until tool_conf() */
	bool brings_mail; /* into the queue: one that is begun for it has room for what is long */
	struct queue_alone *alone; /* queue_alone.h; NULL: no queue was begun */
};

typedef int tool_command(int argc, char **argv, struct tool *tool);

#define COMMAND(name, function, usage, help) tool_command function;
#include "tools/commands.def"
#undef COMMAND

/*
 * Reads the configuration once. NULL if there is none to work with: then the reason was printed, and the command
 * returns EX_CONFIG. Warnings about the file are left to start and check.
 */
const struct conf *tool_conf(struct tool *tool);

/* "$queue_directory/rest", in a static buffer that the next call overwrites. Needs tool_conf(). */
const char *tool_path(const struct tool *tool, const char *rest);

/* path itself, or behind the working directory: whoever is given it may stand elsewhere. */
const char *tool_absolute_path(const char *path);

/* Prints "postern: text" on standard error and returns status. */
int tool_fail(const struct tool *tool, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Prints "usage: postern NAME ..." of that row of commands.def, then what getopt(3) did not like if there was
 * something, and returns EX_USAGE.
 */
int tool_usage(const struct tool *tool, const char *name);

/*
 * One conversation with a process of this instance. socket: below queue_directory ("private/master"). on_frame gets
 * each PART and at last the ANSWER; it may ipc_send(channel, ..., call, ...) MORE messages; -1 with err ends it.
 * before, if not NULL, is called after the ASK was sent, for the MOREs that belong to it. timeout_ms counts from
 * one frame to the next; 0: none. hello_seconds is how long the connection itself may go unanswered; 0: a minute.
 * Returns 0 after the ANSWER; -1 with err, whose number is ENOENT or ECONNREFUSED when nobody listens there.
 */
struct tool_talk {
	const char *socket; /* or "@..." as ipc_connect() has it */
	enum role peer;
	enum ipc_type type;
	const void *message;
	unsigned timeout_ms, hello_seconds;
	int (*before)(struct ipc_channel *channel, uint32_t call, void *context, struct error *err);
	int (*on_frame)(struct ipc_channel *channel, uint32_t call, const struct ipc_frame *frame,
	    void *context, struct error *err);
	void *context;
};

int tool_talk(const struct tool *tool, const struct tool_talk *talk, struct error *err);

#endif
