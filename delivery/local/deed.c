/*
 * Gives a letter to a command of local delivery: mailbox_command, or |command of an alias or .forward.
 */
#include "delivery/local/surroundings.h"

enum { AT_ONCE = 2 /* local_destination_concurrency_limit of Postfix */ };

/* command_execution_directory for this recipient. False with an outcome. */
static bool
find_directory(struct job_recipient *r)
{
	const struct conf_values *v = job_values(r->job);
	struct buf path;
	bool good;

	buf_init(&path, TARGET_PATH_MAX);
	good = recipient_macro(
	    r, span_of(v->command_execution_directory), v->execution_directory_expansion_filter, &path);
	r->command.directory = arena_copy_span(job_arena(r->job), buf_span(&path));
	buf_free(&path);
	if (!good)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.5",
		    "mail system configuration error: command_execution_directory has no value here");
	return good;
}

void
deed_run(struct job_recipient *r, struct span line, const struct target *rights)
{
	struct local *l = job_local(r->job);
	const struct conf_values *v = job_values(r->job);
	struct arena *a = job_arena(r->job);
	struct writers_request request = {.letter = &r->letter, .command = &r->command};
	struct target helper;
	char reason[200] = "";
	struct buf environment;

	if (rights->kind == MAILBOX_HELPER)
		helper = *rights;
	else if (target_helper(&l->finder, v, rights, &helper, reason) != TARGET_FOUND) {
		job_finishf(r, OUTCOME_DEFERRED, "4.3.5", "%s", reason);
		return;
	}
	recipient_fill_letter(r, "command");
	r->letter.flags |= LETTER_FROM_LINE; /* the rest as it came: the command may check signatures */
	if (!find_directory(r))
		return;
	buf_init(&environment, SURROUNDINGS_MAX);
	surroundings_of_recipient(r, &helper, &environment);
	r->command.shell = true;
	r->command.shell_path = span_of(v->local_command_shell);
	/* With the NUL that ends it. */
	r->command.argv = span_of(arena_printf(a, "%.*s", SPAN_ARG(line)));
	r->command.argv.len++;
	r->command.environment = arena_copy_span(a, buf_span(&environment));
	r->command.time_limit_us = v->command_time_limit;
	r->command.at_once = AT_ONCE;
	r->command.lane = r->name;
	buf_free(&environment);
	request.target = &helper;
	recipient_does(r, "running a command");
	writers_deliver(l->pool, v, &request, job_finish_as_told, r);
}
