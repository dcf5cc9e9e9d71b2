/*
 * writers: a letter on its way to the process that writes its mailbox, or gives it to a command.
 */
#ifndef POSTERN_LOCAL_WRITERS_H
#define POSTERN_LOCAL_WRITERS_H

#include "delivery/local/letter.h"
#include "delivery/local/pool.h"

/* A command that gets the letter. Each string of argv and environment ends in NUL. */
struct command {
	bool shell; /* argv is one line, run as local(8) says */
	struct span shell_path; /* local_command_shell; "" none */
	struct span argv, environment;
	struct span directory; /* "": / */
	struct span service; /* of pipe; "": local delivery */
	struct span lane; /* of local delivery: the name of the user or alias that it is for */
	int64_t time_limit_us;
	unsigned at_once; /* so many of this service or lane may run */
};

/* status: "2.0.0"; text: bounded, from a process that is not trusted. */
typedef void writers_done(void *context, enum outcome_class class, struct span status, struct span text);

struct writers_request {
	const struct target *target; /* copied */
	const struct letter *letter; /* lives until done */
	const struct command *command; /* NULL: into the mailbox; lives until done */
	const char *locks; /* mailbox_delivery_lock or its like */
	int64_t size_limit;
	bool strict_owner;
	bool shared_file; /* no mailbox but a file that others may own, and commands may not be overwritten */
};

/* done is never called before this returns. */
void writers_deliver(struct pool *pool, const struct conf_values *v, const struct writers_request *request,
    writers_done *done, void *context);

#endif
