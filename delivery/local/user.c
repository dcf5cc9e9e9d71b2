/*
 * A user's mail: .forward, then what local(8) calls deliver_mailbox: another transport, a command, the mailbox; for a
 * name that is no user's the fallbacks.
 */
#include <stddef.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/transports.h"
#include "common/mail/address.h"
#include "common/mail/queue_id.h"
#include "delivery/local/local.h"

enum { ASK_TIMEOUT_MS = 60000, PATHS_MAX = 20000 };

static void
deliver(struct job_recipient *r)
{
	struct local *l = job_local(r->job);
	const struct conf_values *v = job_values(r->job);
	struct writers_request request = {
	    .target = r->user,
	    .letter = &r->letter,
	    .locks = v->mailbox_delivery_lock,
	    .size_limit = v->mailbox_size_limit,
	    .strict_owner = v->strict_mailbox_ownership,
	};
	char reason[200] = "";

	if (target_mailbox(&l->finder, v, r->user, reason) != TARGET_FOUND) {
		job_finishf(r, OUTCOME_DEFERRED, "4.2.0", "%s", reason);
		return;
	}
	recipient_fill_letter(r, "file");
	recipient_does(r, "writing to the mailbox");
	writers_deliver(l->pool, v, &request, job_finish_as_told, r);
}

/* Without an entry in passwd (started by an ordinary user), local_recipient_maps says who is there. */
static int
on_validated(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct job_recipient *r = context;

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT)
		return 0;
	if (!frame || frame->resolve_done.status == LOOKUP_TEMPORARY)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "recipient lookup error");
	else if (frame->resolve_done.status == LOOKUP_NOT_FOUND)
		recipient_unknown(r);
	else
		deliver(r);
	return 0;
}

static void
validate(struct job_recipient *r)
{
	struct msg_resolve_ask message = {
	    .address = r->recipient, .sender = job_sender(r->job), .flags = RESOLVE_VALIDATE};
	struct ipc_channel *lookup = server_peer(job_local(r->job)->server, ROLE_LOOKUP, 0);

	if (job_values(r->job)->local_recipient_maps[0] == '\0' || span_is(r->name, "postmaster"))
		deliver(r);
	else if (ipc_ask(lookup, IPC_RESOLVE_ASK, &message, ASK_TIMEOUT_MS, on_validated, r) == 0)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "the lookup service is not there");
}

/* ---- the ways, in their order ---- */

static void
take_transport(struct job_recipient *r, struct span value)
{
	ptrdiff_t colon = span_find(value, ':');
	struct span name = span_sub(value, 0, colon < 0 ? value.len : (size_t)colon);
	struct span nexthop = colon < 0 ? span_make("", 0) : span_from(value, (size_t)colon + 1);

	if (name.len == 0 || name.len > 64 || nexthop.len > 500 || span_is(name, "local"))
		job_finishf(r, OUTCOME_DEFERRED, "4.3.5",
		    "mail system configuration error: transport \"%.*s\"",
		    (int)(value.len < 100 ? value.len : 100), value.ptr);
	else
		job_pass(r, name, nexthop);
}

static void
take_command(struct job_recipient *r, struct span value)
{
	deed_run(r, arena_copy_span(job_arena(r->job), value), r->user);
}

/* An address in place of the unknown one. */
static int
on_relayed(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct job_recipient *r = context;
	char id[QUEUE_ID_SIZE];

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT) {
		struct expand_address a = {
		    .recipient = frame->resolve_rcpt.recipient,
		    .sender = job_sender(r->job),
		    .transport = frame->resolve_rcpt.transport,
		    .nexthop = frame->resolve_rcpt.nexthop,
		    .generation = job_local(r->job)->generation,
		    .passed_on = !span_is(frame->resolve_rcpt.transport, "local"),
		};

		if (job_add_address(r, &a))
			r->step = 0; /* there is one */
		return 0;
	}
	if (!frame || frame->resolve_done.status == LOOKUP_TEMPORARY)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "recipient lookup error");
	else if (r->step == 0)
		job_finishf(r, OUTCOME_EXPANDED, "2.0.0",
		    "forwarded as %s: unknown user: \"%.*s\": passed on as luser_relay says",
		    queue_id_format(job_id(r->job), id), SPAN_ARG(r->name));
	else
		recipient_unknown(r);
	return 0;
}

static void
take_luser_relay(struct job_recipient *r, struct span value)
{
	struct msg_resolve_ask ask = {
	    .sender = job_sender(r->job), .flags = RESOLVE_EXPAND | RESOLVE_LOCAL_STAYS};
	struct ipc_channel *lookup = server_peer(job_local(r->job)->server, ROLE_LOOKUP, 0);
	struct buf address;

	buf_init(&address, ADDRESS_MAX);
	recipient_macro(r, value, NULL, &address);
	ask.address = buf_span(&address);
	if (address.full || address.len == 0 || ask.address.ptr[0] == '|' || ask.address.ptr[0] == '/')
		job_finishf(r, OUTCOME_DEFERRED, "4.3.5", "mail system configuration error: luser_relay");
	else if (ipc_ask(lookup, IPC_RESOLVE_ASK, &ask, ASK_TIMEOUT_MS, on_relayed, r) == 0)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "the lookup service is not there");
	buf_free(&address);
}

/* Each is a table that is asked for the user, or a value for all. */
static const struct way {
	size_t offset; /* in struct conf_values */
	bool table;
	bool for_known, for_unknown;
	void (*take)(struct job_recipient *r, struct span value);
} ways[] = {
    {offsetof(struct conf_values, mailbox_transport_maps), true, true, true, take_transport},
    {offsetof(struct conf_values, mailbox_transport), false, true, true, take_transport},
    {offsetof(struct conf_values, mailbox_command_maps), true, true, false, take_command},
    {offsetof(struct conf_values, mailbox_command), false, true, false, take_command},
    {offsetof(struct conf_values, fallback_transport_maps), true, false, true, take_transport},
    {offsetof(struct conf_values, fallback_transport), false, false, true, take_transport},
    {offsetof(struct conf_values, luser_relay), false, false, true, take_luser_relay},
};

static void next_way(struct job_recipient *r);

static int
on_way(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct job_recipient *r = context;
	const struct msg_map_answer *m = frame ? &frame->map_answer : NULL;

	(void)err;
	if (!m || m->status >= LOOKUP_TEMPORARY)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "mailbox table lookup error");
	else if (m->status == LOOKUP_FOUND)
		ways[r->step - 1].take(r, span_trim(m->value));
	else
		next_way(r);
	return 0;
}

static void
ask_way(struct job_recipient *r, const char *tables)
{
	struct msg_map_ask ask = {.tables = span_of(tables), .form = LOOKUP_EXACT, .key = r->name};
	struct ipc_channel *lookup = server_peer(job_local(r->job)->server, ROLE_LOOKUP, 0);

	if (ipc_ask(lookup, IPC_MAP_ASK, &ask, ASK_TIMEOUT_MS, on_way, r) == 0)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "the lookup service is not there");
}

/* What is left when no way was taken. */
static void
last_way(struct job_recipient *r)
{
	if (!r->user)
		recipient_unknown(r);
	else if (r->user->unlisted)
		validate(r);
	else
		deliver(r);
}

static void
next_way(struct job_recipient *r)
{
	const struct conf_values *v = job_values(r->job);

	for (; r->step < sizeof(ways) / sizeof(ways[0]); r->step++) {
		const struct way *way = &ways[r->step];
		const char *text = *(const char *const *)(const void *)((const char *)v + way->offset);

		if (span_trim(span_of(text)).len == 0 || !(r->user ? way->for_known : way->for_unknown))
			continue;
		/* A command would run as another user than the one whose mail it is. */
		if (way->take == take_command && (r->user->system || r->user->foreign))
			continue;
		r->step++;
		if (way->table)
			ask_way(r, text);
		else
			way->take(r, span_trim(span_of(text)));
		return;
	}
	last_way(r);
}

void
user_mailbox(struct job_recipient *r)
{
	r->step = 0;
	next_way(r);
}

/* ---- .forward ---- */

/* Whether the extension stands in the path: with another one it would be another path. */
static bool
names_extension(const struct job_recipient *r, struct span word, struct span path)
{
	const char *allowed = job_values(r->job)->forward_expansion_filter;
	struct job_recipient other = *r;
	struct buf out;
	bool same;

	if (r->extension.len == 0)
		return false;
	other.extension = r->extension.ptr[0] == 'a' ? SPAN_LIT("b") : SPAN_LIT("a");
	buf_init(&out, TARGET_PATH_MAX);
	same = recipient_macro(&other, word, allowed, &out) && span_equal(buf_span(&out), path);
	buf_free(&out);
	return !same;
}

void
recipient_fill_forward(const struct job_recipient *r, struct expand_request *request)
{
	const struct conf_values *v = job_values(r->job);
	struct span rest = span_of(v->forward_path), word;
	struct buf all, one;
	unsigned count = 0;

	buf_init(&all, PATHS_MAX);
	buf_init(&one, TARGET_PATH_MAX);
	while (count < EXPAND_FORWARDS_MAX && conf_list_next(&rest, &word)) {
		buf_clear(&one);
		if (!recipient_macro(r, word, v->forward_expansion_filter, &one) || one.len == 0 ||
		    buf_ptr(&one)[0] != '/')
			continue;
		buf_append_span(&all, buf_span(&one));
		buf_append_text(&all, "\n");
		request->forward_extended |= (uint64_t)names_extension(r, word, buf_span(&one)) << count++;
	}
	request->forward_paths = arena_copy_span(job_arena(r->job), buf_span(&all));
	if (r->extension.len > 0 && r->full_name.len > r->name.len)
		request->extension = span_from(r->full_name, r->name.len);
	buf_free(&all);
	buf_free(&one);
}

void
user_start(struct job_recipient *r, bool past_forward)
{
	struct local *l = job_local(r->job);
	const struct conf_values *v = job_values(r->job);
	struct target *user = mem_alloc(sizeof(*user));
	struct expand_request request;
	char reason[200] = "";

	recipient_split(r);
	switch (target_user(&l->finder, v, r->name, user, reason)) {
	case TARGET_FOUND:
		r->user = user;
		break;
	case TARGET_UNKNOWN:
		free(user);
		user_mailbox(r);
		return;
	case TARGET_TEMPORARY:
		free(user);
		job_finishf(r, OUTCOME_DEFERRED, "4.2.0", "%s", reason);
		return;
	}
	recipient_fill_request(r, &request);
	request.user = user;
	recipient_fill_forward(r, &request);
	if (past_forward || user->foreign || request.forward_paths.len == 0)
		user_mailbox(r);
	else
		expand_start(&request, &recipient_listener, r);
}
