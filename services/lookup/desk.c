#include "services/lookup/desk.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/map/keys.h"

enum {
	REWRITE_ANSWER_MAX = 51000,
	ADDRESS_MAX = 1000,
	TRANSPORT_MAX = 64,
	NEXTHOP_MAX = 500,
	REASON_MAX = 500
};

struct desk {
	struct desk_sink sink;
	struct map_set *maps;
	struct route_engine *engine;
	struct map_found found;
	uint64_t question; /* how many were asked */
	bool would_block; /* a table was met that is not asked here */
	bool told; /* a table in trouble has been told of */
};

static void
on_state(const char *table, const char *trouble, void *context)
{
	struct desk *d = context;

	d->told = d->told || trouble != NULL;
	d->sink.state(table, trouble, d->sink.context);
}

static void
on_complaint(const char *file, unsigned line, const char *text, void *context)
{
	struct desk *d = context;
	d->sink.complain(file, line, text, d->sink.context);
}

struct desk *
desk_new(const struct conf *conf, const struct route_interfaces *interfaces, const struct desk_sink *sink,
    bool waits)
{
	struct desk *d = mem_alloc(sizeof(*d));
	const struct map_options options = {.complain = on_complaint,
	    .context = d,
	    .state = on_state,
	    .would_block = waits ? NULL : &d->would_block,
	    .question = &d->question};

	d->sink = *sink;
	d->maps = map_set_new(&options);
	d->engine = route_new(conf, d->maps, interfaces);
	map_found_init(&d->found);
	return d;
}

void
desk_free(struct desk **d)
{
	if (*d == NULL)
		return;
	route_free(&(*d)->engine);
	map_set_free(&(*d)->maps);
	map_found_free(&(*d)->found);
	free(*d);
	*d = NULL;
}

bool
desk_look(struct desk *d)
{
	return map_set_changed(d->maps);
}

static void
send_trouble(struct desk *d, const char *what, struct span text)
{
	if (!d->told)
		d->sink.trouble(d->sink.context, what, text);
}

static void
send_troubles(struct desk *d, const struct route_answer *answer)
{
	if (answer->status == LOOKUP_TEMPORARY)
		send_trouble(d, "address lookup problem", answer->trouble);
	else if (answer->warning.len > 0)
		send_trouble(d, "address rewriting", answer->warning);
}

static void
send_answer(struct desk *d, enum ipc_type type, const void *message)
{
	d->sink.send(d->sink.context, type, message);
}

static enum desk_result
answer_map(struct desk *d, enum role asker, const struct msg_map_ask *ask, struct error *err)
{
	if (ask->form > LOOKUP_STATUS)
		return (enum desk_result)error_set(err, "unknown form of lookup: %u", ask->form);
	enum lookup_form form = (enum lookup_form)ask->form;
	struct maplist *tables = map_set_list(d->maps, ask->tables, NULL);
	if (ask->refused != 0)
		maplist_refused(tables, ask->refused);
	enum lookup_status status =
	    map_find(tables, form, ask->key, route_keys(d->engine, form), &d->found, NULL);
	if (d->would_block)
		return DESK_MUST_WAIT;
	if (status == LOOKUP_FOUND && asker == ROLE_LOCAL && form != LOOKUP_STATUS && d->found.substituted) {
		error_set(&d->found.err,
		    "%s, line %u: what a pattern matched ($1) may not be put into a table of the delivery "
		    "agent",
		    d->found.table, d->found.line);
		status = LOOKUP_TEMPORARY;
	}
	struct msg_map_answer answer = {.status = (uint8_t)status, .owner = d->found.owner};
	if (status == LOOKUP_FOUND) {
		answer.value = buf_span(&d->found.value);
		answer.found_key = buf_span(&d->found.key);
	} else if (status == LOOKUP_TEMPORARY) {
		answer.reason = span_sub(span_of(d->found.err.text), 0, REASON_MAX);
		send_trouble(d, "table lookup problem", answer.reason);
	}
	send_answer(d, IPC_MAP_ANSWER, &answer);
	return DESK_ANSWERED;
}

/* Texts over the bound of messages.def cannot be sent: such an answer is temporary. */
static bool
recipient_fits(const struct route_recipient *r)
{
	return r->address.len <= ADDRESS_MAX && r->transport.len <= TRANSPORT_MAX &&
	       r->nexthop.len <= NEXTHOP_MAX;
}

static void
send_resolved(struct desk *d, struct route_answer *answer, uint64_t generation)
{
	bool fits = answer->address.len <= ADDRESS_MAX;

	for (size_t i = 0; i < answer->count; i++)
		if (!recipient_fits(&answer->list[i]))
			fits = false;
	if (!fits) {
		*answer = (struct route_answer){.status = LOOKUP_TEMPORARY,
		    .reason = SPAN_LIT("4.3.0 Temporary lookup failure"),
		    .trouble = SPAN_LIT("an address, transport or next hop is too long")};
	}
	send_troubles(d, answer);
	for (size_t i = 0; answer->status != LOOKUP_TEMPORARY && i < answer->count; i++) {
		const struct route_recipient *r = &answer->list[i];
		struct msg_resolve_rcpt part = {
		    r->address, r->transport, r->nexthop, (uint8_t)r->flags, r->copy};
		send_answer(d, IPC_RESOLVE_RCPT, &part);
	}
	struct msg_resolve_done done = {.status = (uint8_t)answer->status,
	    .class = (uint8_t)answer->class,
	    .routed = answer->routed,
	    .address = answer->address,
	    .reason = answer->reason,
	    .generation = generation};
	send_answer(d, IPC_RESOLVE_DONE, &done);
}

static enum desk_result
answer_resolve(struct desk *d, const struct msg_resolve_ask *ask, uint64_t generation)
{
	struct route_answer answer;

	struct arena *arena = arena_new(ROUTE_ARENA_BYTES);
	route_resolve(d->engine, arena, ask->address, ask->sender, ask->flags, NULL, &answer);
	if (!d->would_block)
		send_resolved(d, &answer, generation);
	arena_free(&arena);
	return d->would_block ? DESK_MUST_WAIT : DESK_ANSWERED;
}

static enum lookup_status
rewrite_one(struct desk *d, enum rewrite_kind kind, struct span address, struct buf *out, struct span *reason)
{
	struct arena *arena = arena_new(ROUTE_ARENA_BYTES);
	struct route_answer answer;
	enum lookup_status status = route_rewrite(d->engine, arena, kind, address, NULL, &answer);

	if (!d->would_block)
		send_troubles(d, &answer);
	if (status == LOOKUP_TEMPORARY)
		*reason = SPAN_LIT("4.3.0 Temporary lookup failure");
	(void)buf_append_span(out, answer.address.len <= ADDRESS_MAX ? answer.address : address);
	(void)buf_append(out, "", 1);
	arena_free(&arena);
	return status;
}

static enum desk_result
answer_rewrite(struct desk *d, const struct msg_rewrite_ask *ask, struct error *err)
{
	struct msg_rewrite_done done = {.status = LOOKUP_FOUND};
	struct span rest = ask->addresses;
	struct buf out;
	ptrdiff_t end;

	if (ask->kind >= REWRITE_KIND_COUNT)
		return (enum desk_result)error_set(err, "unknown kind of rewriting: %u", ask->kind);
	buf_init(&out, REWRITE_ANSWER_MAX);
	while (done.status == LOOKUP_FOUND && (end = span_find(rest, '\0')) >= 0) {
		done.status = (uint8_t)rewrite_one(
		    d, (enum rewrite_kind)ask->kind, span_sub(rest, 0, (size_t)end), &out, &done.reason);
		rest = span_from(rest, (size_t)end + 1);
	}
	if (done.status == LOOKUP_FOUND && out.full) {
		done.status = LOOKUP_TEMPORARY;
		done.reason = SPAN_LIT("4.3.0 Too many addresses at once");
	}
	if (done.status == LOOKUP_FOUND)
		done.addresses = buf_span(&out);
	if (!d->would_block)
		send_answer(d, IPC_REWRITE_DONE, &done);
	buf_free(&out);
	return d->would_block ? DESK_MUST_WAIT : DESK_ANSWERED;
}

static enum desk_result
answer_permit(struct desk *d, const struct msg_permit_ask *ask)
{
	struct arena *arena = arena_new(ROUTE_ARENA_BYTES);
	struct route_answer answer;

	route_permit(d->engine, arena, ask->uid, ask->sender, &answer);
	if (!d->would_block) {
		struct msg_permit_done done = {
		    .status = (uint8_t)answer.status, .reason = span_sub(answer.reason, 0, REASON_MAX)};

		send_troubles(d, &answer);
		send_answer(d, IPC_PERMIT_DONE, &done);
	}
	arena_free(&arena);
	return d->would_block ? DESK_MUST_WAIT : DESK_ANSWERED;
}

enum desk_result
desk_answer(
    struct desk *d, enum role asker, const struct ipc_frame *ask, uint64_t generation, struct error *err)
{
	d->would_block = d->told = false;
	d->question++;
	switch (ask->type) {
	case IPC_MAP_ASK:
		return answer_map(d, asker, &ask->map_ask, err);
	case IPC_RESOLVE_ASK:
		return answer_resolve(d, &ask->resolve_ask, generation);
	case IPC_REWRITE_ASK:
		return answer_rewrite(d, &ask->rewrite_ask, err);
	case IPC_PERMIT_ASK:
		return answer_permit(d, &ask->permit_ask);
	default:
		return (enum desk_result)error_set(err, "%s is no question", ipc_type_name(ask->type));
	}
}
