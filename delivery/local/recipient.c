#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "delivery/local/local.h"

enum { ASK_TIMEOUT_MS = 60000 };

static const struct conf_values *
values_of(const struct job_recipient *r)
{
	return server_conf(job_local(r->job)->server)->values;
}

static void
unknown_user(struct job_recipient *r)
{
	job_finishf(r, OUTCOME_BOUNCED, "5.1.1", "unknown user: \"%.*s\"", SPAN_ARG(r->name));
}

static void
on_written(void *context, enum outcome_class class, struct span status, struct span text)
{
	job_finish(context, class, status, text, 0);
}

static void
deliver(struct job_recipient *r, const struct target *target)
{
	const struct conf_values *v = values_of(r);

	r->letter.recipient = r->recipient;
	r->letter.orig_to = r->orig_to;
	if (v->local_header_envelope_to)
		r->letter.header_name = SPAN_LIT("Envelope-To");
	else
		r->letter.header_name =
		    v->enable_original_recipient ? SPAN_LIT("X-Original-To") : SPAN_LIT("");
	job_fill_letter(r->job, &r->letter);
	writers_deliver(job_local(r->job)->writers, v, target, &r->letter, on_written, r);
}

/* Without an entry in passwd (started by an ordinary user), local_recipient_maps says who is there. */
static int
on_validated(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct job_recipient *r = context;
	struct local *l = job_local(r->job);
	char reason[200] = "";
	struct target target;

	(void)err;
	if (frame && frame->type != IPC_RESOLVE_DONE)
		return 0;
	if (!frame || frame->resolve_done.status == LOOKUP_TEMPORARY)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "recipient lookup error");
	else if (frame->resolve_done.status == LOOKUP_NOT_FOUND)
		unknown_user(r);
	else if (target_find(&l->finder, values_of(r), r->name, &target, reason) == TARGET_FOUND)
		deliver(r, &target);
	else
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "%s", reason);
	return 0;
}

static void
validate(struct job_recipient *r)
{
	struct msg_resolve_ask message = {
	    .address = r->recipient, .sender = job_sender(r->job), .flags = RESOLVE_VALIDATE};
	struct ipc_channel *lookup = server_peer(job_local(r->job)->server, ROLE_LOOKUP, 0);

	if (values_of(r)->local_recipient_maps[0] == '\0' || span_is(r->name, "postmaster")) {
		struct msg_resolve_done done = {.status = LOOKUP_FOUND};
		struct ipc_frame frame = {.type = IPC_RESOLVE_DONE, .resolve_done = done};

		on_validated(r, &frame, NULL);
	} else if (ipc_ask(lookup, IPC_RESOLVE_ASK, &message, ASK_TIMEOUT_MS, on_validated, r) == 0) {
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "the lookup service is not there");
	}
}

static void start_name(struct job_recipient *r);

/* RFC 5321, 4.5.1: there is always a postmaster. Without an alias it is root. */
static bool
goes_to_root(const struct job_recipient *r)
{
	return span_is(r->name, "postmaster") || span_is(r->name, "mailer-daemon");
}

static void
deliver_to_user(struct job_recipient *r)
{
	struct local *l = job_local(r->job);
	const struct conf_values *v = values_of(r);
	struct span user, extension;
	struct target target;
	char reason[200] = "";

	address_split_extension(
	    r->name, v->recipient_delimiter, !v->owner_request_special, &user, &extension);
	r->name = user;
	switch (target_find(&l->finder, v, user, &target, reason)) {
	case TARGET_FOUND:
		if (target.unlisted)
			validate(r);
		else
			deliver(r, &target);
		break;
	case TARGET_UNKNOWN:
		if (goes_to_root(r)) {
			r->name = SPAN_LIT("root");
			start_name(r);
		} else {
			unknown_user(r);
		}
		break;
	case TARGET_TEMPORARY:
		job_finishf(r, OUTCOME_DEFERRED, "4.2.0", "%s", reason);
		break;
	}
}

static void
on_expanded(void *context, const struct expand_result *result)
{
	struct job_recipient *r = context;
	char text[100];

	if (job_is_orphan(r->job)) {
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "the queue is not there");
		return;
	}
	switch (result->status) {
	case EXPAND_NO_ALIAS:
		deliver_to_user(r);
		break;
	case EXPAND_FAILED:
		job_finish(r, result->class, span_of(result->code), result->text, 0);
		break;
	case EXPAND_DONE:
		for (size_t i = 0; i < result->count; i++)
			job_add_address(r, &result->addresses[i]);
		snprintf(text, sizeof(text), "expanded to %zu address%s", result->count,
		    result->count == 1 ? "" : "es");
		job_finish(r, OUTCOME_EXPANDED, SPAN_LIT("2.0.0"), span_of(text),
		    result->has_owner ? OUTCOME_EXPANDED_LIST : 0);
		break;
	}
}

/* aliases(5) first, then the user. */
static void
start_name(struct job_recipient *r)
{
	struct server *s = job_local(r->job)->server;
	struct expand_request request = {
	    .lookup = server_peer(s, ROLE_LOOKUP, 0),
	    .alias_maps = values_of(r)->alias_maps,
	    .name = r->name,
	    .domain = r->domain,
	    .sender = job_sender(r->job),
	};

	if (span_trim(span_of(request.alias_maps)).len == 0)
		deliver_to_user(r);
	else
		expand_start(&request, on_expanded, r);
}

void
recipient_start(struct job_recipient *r)
{
	const struct conf_values *v = values_of(r);
	struct arena *a = job_arena(r->job);
	struct span local;
	char *name;

	address_split(r->recipient, &local, &r->domain);
	local = address_unquote_local(a, local);
	name = arena_copy(a, local);
	text_lower(name, local.len);
	r->name = span_make(name, local.len);
	if (span_is_nocase(r->name, v->double_bounce_sender)) {
		job_finishf(r, OUTCOME_DELIVERED, "2.0.0", "undeliverable postmaster notification discarded");
	} else if (r->name.len > 1 && r->name.ptr[0] == '\\') {
		/* How an alias that contains itself means the user; nobody else needs to see that. */
		r->name = span_from(r->name, 1);
		r->recipient = address_join(a, r->name, r->domain);
		deliver_to_user(r);
	} else {
		start_name(r);
	}
}
