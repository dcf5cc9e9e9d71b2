/*
 * lookup: tables, recipient validation, rewriting, virtual aliases, routes.
 *
 * Runs as   postern-lookup, in / (Landlock: read only), no network; NSS may ask its daemons over UNIX sockets.
 * Talks to  smtpd, queue, delivery, local, pickup (answers to MAP_ASK, RESOLVE_ASK, REWRITE_ASK; LOOKUP_CHANGED).
 * Reads     table files, passwd; addresses and names that strangers chose, as keys.
 * If taken  an attacker can misroute mail, accept or refuse recipients, and read what its user may read.
 *
 * Every kind of table that there is today asks local files only, and is asked in the loop. A kind that waits for a
 * server (map_kind.blocks) belongs in a worker: on_map_ask() and on_resolve_ask() are the only two places that would
 * hand a question over and send its answer later; the engine itself has no state between questions.
 */
#include <event2/event.h>
#include <pwd.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/map/keys.h"
#include "common/server/server.h"
#include "services/lookup/engine/route.h"

enum { REWRITE_ANSWER_MAX = 51000, REWRITE_ADDRESS_MAX = 1000 };

enum { CREDIT = 2000, MAX_FILES = 4096, PEERS_MAX = 256 };

struct lookup {
	struct server *server;
	struct map_set *maps;
	struct route_interfaces *interfaces;
	struct route_engine *engine;
	struct map_found found;
	struct event *tick;
	/* Of tables and configuration. Microseconds of the clock, so that it also rises over a restart. */
	uint64_t generation;
	int64_t troubled_us; /* when trouble was last logged */
};

static void
generation_raise(struct lookup *l)
{
	uint64_t now = (uint64_t)clock_wall_us();
	l->generation = now > l->generation ? now : l->generation + 1;
}

static void
tell_peer(struct lookup *l, struct ipc_channel *peer)
{
	struct msg_lookup_changed changed = {.generation = l->generation};
	(void)ipc_send(peer, IPC_LOOKUP_CHANGED, 0, &changed);
}

/* Those who keep answers of ours. */
static const enum role told[] = {ROLE_SMTPD, ROLE_QUEUE, ROLE_LOCAL, ROLE_PICKUP};
enum { TOLD_COUNT = sizeof(told) / sizeof(told[0]) };

static void
tell_all(struct lookup *l)
{
	struct ipc_channel *peers[PEERS_MAX];

	for (size_t i = 0; i < TOLD_COUNT; i++) {
		size_t count = server_peers(l->server, told[i], peers, PEERS_MAX);
		for (size_t j = 0; j < count; j++)
			tell_peer(l, peers[j]);
	}
}

/* The trouble itself is in the answer to smtpd; the log needs it once, not for each of a flood of recipients. */
static void
log_trouble(struct lookup *l, const char *what, struct span trouble)
{
	int64_t now = clock_mono_us();

	if (l->troubled_us != 0 && now - l->troubled_us < US_PER_SECOND)
		return;
	l->troubled_us = now;
	log_warning(NULL, "%s: %.*s", what, SPAN_ARG(trouble));
}

static int
on_map_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct lookup *l = server_data(context);
	const struct msg_map_ask *ask = &frame->map_ask;

	if (ask->form > LOOKUP_TRANSPORT)
		return error_set(err, "unknown form of lookup: %u", ask->form);
	enum lookup_form form = (enum lookup_form)ask->form;
	struct maplist *tables = map_set_list(l->maps, ask->tables, NULL);
	enum lookup_status status =
	    map_find(tables, form, ask->key, route_keys(l->engine, form), &l->found, NULL);
	struct msg_map_answer answer = {.status = (uint8_t)status};
	if (status == LOOKUP_FOUND) {
		answer.value = buf_span(&l->found.value);
		answer.found_key = buf_span(&l->found.key);
	} else if (status == LOOKUP_TEMPORARY) {
		answer.reason = span_sub(span_of(l->found.err.text), 0, 500);
		log_trouble(l, "table lookup problem", answer.reason);
	}
	(void)ipc_send(channel, IPC_MAP_ANSWER, frame->call, &answer);
	return 0;
}

/* Texts over the bound of messages.def cannot be sent: such an answer is temporary. */
static bool
recipient_fits(const struct route_recipient *r)
{
	return r->address.len <= 1000 && r->transport.len <= 64 && r->nexthop.len <= 500;
}

static void
send_answer(struct lookup *l, struct ipc_channel *channel, uint32_t call, struct route_answer *answer)
{
	bool fits = answer->address.len <= 1000;

	for (size_t i = 0; i < answer->count; i++)
		if (!recipient_fits(&answer->list[i]))
			fits = false;
	if (!fits) {
		*answer = (struct route_answer){.status = LOOKUP_TEMPORARY,
		    .reason = SPAN_LIT("4.3.0 Temporary lookup failure"),
		    .trouble = SPAN_LIT("an address, transport or next hop is too long")};
	}
	if (answer->status == LOOKUP_TEMPORARY)
		log_trouble(l, "address lookup problem", answer->trouble);
	for (size_t i = 0; answer->status != LOOKUP_TEMPORARY && i < answer->count; i++) {
		const struct route_recipient *r = &answer->list[i];
		struct msg_resolve_rcpt part = {r->address, r->transport, r->nexthop, (uint8_t)r->flags};
		(void)ipc_send(channel, IPC_RESOLVE_RCPT, call, &part);
	}
	struct msg_resolve_done done = {.status = (uint8_t)answer->status,
	    .class = (uint8_t)answer->class,
	    .address = answer->address,
	    .reason = answer->reason,
	    .generation = l->generation};
	(void)ipc_send(channel, IPC_RESOLVE_DONE, call, &done);
}

static int
on_resolve_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct lookup *l = server_data(context);
	const struct msg_resolve_ask *ask = &frame->resolve_ask;
	struct route_answer answer;

	(void)err;
	struct arena *arena = arena_new(ROUTE_ARENA_BYTES);
	route_resolve(l->engine, arena, ask->address, ask->sender, ask->flags, NULL, &answer);
	send_answer(l, channel, frame->call, &answer);
	arena_free(&arena);
	return 0;
}

static enum lookup_status
rewrite_one(
    struct lookup *l, enum rewrite_kind kind, struct span address, struct buf *out, struct span *reason)
{
	struct arena *arena = arena_new(ROUTE_ARENA_BYTES);
	struct route_answer answer;
	enum lookup_status status = route_rewrite(l->engine, arena, kind, address, NULL, &answer);

	if (status == LOOKUP_TEMPORARY) {
		log_trouble(l, "address lookup problem", answer.trouble);
		*reason = SPAN_LIT("4.3.0 Temporary lookup failure");
	}
	buf_append_span(out, answer.address.len <= REWRITE_ADDRESS_MAX ? answer.address : address);
	buf_append(out, "", 1);
	arena_free(&arena);
	return status;
}

static int
on_rewrite_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct lookup *l = server_data(context);
	struct span rest = frame->rewrite_ask.addresses;
	struct msg_rewrite_done done = {.status = LOOKUP_FOUND};
	struct buf out;
	ptrdiff_t end;

	if (frame->rewrite_ask.kind >= REWRITE_KIND_COUNT)
		return error_set(err, "unknown kind of rewriting: %u", frame->rewrite_ask.kind);
	buf_init(&out, REWRITE_ANSWER_MAX);
	while (done.status == LOOKUP_FOUND && (end = span_find(rest, '\0')) >= 0) {
		done.status = (uint8_t)rewrite_one(l, (enum rewrite_kind)frame->rewrite_ask.kind,
		    span_sub(rest, 0, (size_t)end), &out, &done.reason);
		rest = span_from(rest, (size_t)end + 1);
	}
	if (done.status == LOOKUP_FOUND && out.full) {
		done.status = LOOKUP_TEMPORARY;
		done.reason = SPAN_LIT("4.3.0 Too many addresses at once");
	}
	if (done.status == LOOKUP_FOUND)
		done.addresses = buf_span(&out);
	(void)ipc_send(channel, IPC_REWRITE_DONE, frame->call, &done);
	buf_free(&out);
	return 0;
}

/* Once a second: did a table change? */
static void
on_tick(evutil_socket_t fd, short what, void *context)
{
	struct lookup *l = context;

	(void)fd;
	(void)what;
	if (!map_set_changed(l->maps))
		return;
	generation_raise(l);
	tell_all(l);
}

/* NSS loads its modules here, while files may still be opened anywhere. */
static int
on_open(struct server *s, struct error *err)
{
	struct lookup *l = mem_alloc(sizeof(*l));

	(void)err;
	l->server = s;
	l->maps = map_set_new(NULL);
	l->interfaces = route_interfaces_read();
	(void)getpwnam("postmaster");
	map_found_init(&l->found);
	server_set_data(s, l);
	return 0;
}

static int
on_start(struct server *s, struct error *err)
{
	struct lookup *l = server_data(s);
	const struct timeval second = {.tv_sec = 1};

	l->engine = route_new(server_conf(s), l->maps, l->interfaces);
	generation_raise(l);
	l->tick = event_new(server_base(s), -1, EV_PERSIST, on_tick, l);
	if (l->tick == NULL || event_add(l->tick, &second) < 0)
		return error_set(err, "no timer");
	return 0;
}

/* Tables that no parameter names any more go with the old set. */
static void
on_configured(struct server *s)
{
	struct lookup *l = server_data(s);

	if (l->engine == NULL)
		return;
	route_free(&l->engine);
	map_set_free(&l->maps);
	l->maps = map_set_new(NULL);
	l->engine = route_new(server_conf(s), l->maps, l->interfaces);
	generation_raise(l);
	tell_all(l);
}

static void
on_peer_up(struct server *s, struct ipc_channel *peer)
{
	struct lookup *l = server_data(s);

	for (size_t i = 0; i < TOLD_COUNT && l->generation != 0; i++)
		if (ipc_peer_role(peer) == told[i])
			tell_peer(l, peer);
}

int
main(int argc, char **argv)
{
	const unsigned askers = ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_QUEUE) | ROLE_BIT(ROLE_DELIVERY) |
				ROLE_BIT(ROLE_LOCAL) | ROLE_BIT(ROLE_PICKUP);
	const struct ipc_permit permits[] = {
	    {IPC_MAP_ASK, askers, on_map_ask},
	    {IPC_RESOLVE_ASK, askers, on_resolve_ask},
	    {IPC_REWRITE_ASK, askers, on_rewrite_ask},
	};
	const struct sandbox_path paths[] = {{"/", "r"}, {NULL, NULL}};
	const struct server_program program = {
	    .role = ROLE_LOOKUP,
	    .ident = "trivial-rewrite",
	    .sandbox = {.user = "lookup",
		.root = SANDBOX_ROOT_NONE,
		.needs = SANDBOX_FILES | SANDBOX_UNIX_CONNECT,
		.paths = paths,
		.max_files = MAX_FILES},
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(permits[0]),
	    .credit = CREDIT,
	    .open = on_open,
	    .start = on_start,
	    .configured = on_configured,
	    .peer_up = on_peer_up,
	};
	return server_main(argc, argv, &program);
}
