/*
 * The command or file for which a name like "\list|0123456789abcdef" stands: the list is read again, and what it says
 * now is done, with the rights that it has now (expand.h).
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/mail/address.h"
#include "delivery/local/local.h"

static void
write_file(struct job_recipient *r, const struct expand_member *member)
{
	struct local *l = job_local(r->job);
	const struct conf_values *v = job_values(r->job);
	struct target target = *member->rights;
	struct writers_request request = {
	    .target = &target,
	    .letter = &r->letter,
	    .locks = v->mailbox_delivery_lock,
	    .size_limit = v->mailbox_size_limit,
	    .shared_file = true,
	};
	size_t len = member->text.len;

	if (span_is(member->text, "/dev/null")) {
		job_finishf(r, OUTCOME_DELIVERED, "2.0.0", "delivered to file: /dev/null");
		return;
	}
	if (!span_copy(member->text, target.path, sizeof(target.path))) {
		job_finishf(r, OUTCOME_DEFERRED, "4.3.5", "the file's path is too long");
		return;
	}
	target.kind = target.path[len - 1] == '/' ? MAILBOX_MAILDIR : MAILBOX_MBOX;
	recipient_fill_letter(r, "file");
	recipient_does(r, "writing to a file");
	writers_deliver(l->pool, v, &request, job_finish_as_told, r);
}

static void
deliver(struct job_recipient *r, const struct expand_member *member)
{
	static const char *const places[] = {
	    [EXPAND_IN_ALIAS] = "alias", [EXPAND_IN_FORWARD] = "forward", [EXPAND_IN_INCLUDE] = "include"};
	const struct conf_values *v = job_values(r->job);
	bool command = member->kind == ALIAS_COMMAND;

	if (!conf_list_has(
		command ? v->allow_mail_to_commands : v->allow_mail_to_files, places[member->place]))
		job_finishf(
		    r, OUTCOME_BOUNCED, "5.7.1", "mail to %s is restricted", command ? "command" : "file");
	else if (command)
		deed_run(r, arena_copy_span(job_arena(r->job), member->text), member->rights);
	else
		write_file(r, member);
}

static void
on_done(void *context, const struct expand_result *result)
{
	struct job_recipient *r = context;

	switch (result->status) {
	case EXPAND_MEMBER:
		deliver(r, &result->member);
		break;
	case EXPAND_FAILED:
		job_finish(r, result->class, span_of(result->code), result->text, 0);
		break;
	default:
		job_finishf(r, OUTCOME_BOUNCED, "5.1.1", "the list \"%.*s\" is not there any more",
		    SPAN_ARG(r->full_name));
		break;
	}
}

static const struct expand_listener listener = {.done = on_done};

void
member_start(struct job_recipient *r, struct span digest, bool forward)
{
	struct local *l = job_local(r->job);
	const struct conf_values *v = job_values(r->job);
	struct expand_request request;
	enum target_status status;
	struct target *user;
	char reason[200] = "";

	recipient_split(r);
	recipient_fill_request(r, &request);
	request.digest = digest;
	if (forward) {
		user = mem_alloc(sizeof(*user));
		status = target_user(&l->finder, v, r->name, user, reason);
		if (status != TARGET_FOUND) {
			free(user);
			if (status == TARGET_UNKNOWN)
				recipient_unknown(r);
			else
				job_finishf(r, OUTCOME_DEFERRED, "4.2.0", "%s", reason);
			return;
		}
		r->user = user;
		request.user = user;
		recipient_fill_forward(r, &request);
	}
	expand_start(&request, &listener, r);
}
