/*
 * lookup: tables, recipient validation, rewriting, virtual aliases, routes, passwords in tables.
 *
 * Runs as   postern-lookup, in / (Landlock: read only), no network unless a configured table asks a server; NSS may
 *           ask its daemons over UNIX sockets. With a table of kind oauth2 it replaces files in queue_directory/tokens.
 * Talks to  smtpd, queue, delivery, local, pickup (answers to MAP_ASK, RESOLVE_ASK, REWRITE_ASK, PERMIT_ASK, CHECK_ASK,
 *           PASSWORD_ASK, SCRAM_ASK, TOKEN_ASK; LOOKUP_CHANGED).
 * Reads     table files, passwd; addresses and names that strangers chose, as keys.
 * If taken  an attacker can misroute mail, accept or refuse recipients, and read what its user may read: of
 *           passwords what the tables have, and those that are tried from then on.
 *
 * Questions are answered at the loop's desk (desk.h), which asks local files; where a table may have to wait (databases,
 * servers), a thread of workers.h answers the whole question. The sandbox is as wide as the configured tables need:
 * without one that asks a server there is no network. A reload that needs more, also a library that was not loaded before
 * the sandbox closed, ends the process, and master starts it with the new configuration.
 */
#include <event2/event.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/conf/back_end.h"
#include "common/map/mentions.h"
#include "common/map/settings.h"
#include "common/server/sandbox.h"
#include "common/server/server.h"
#include "services/lookup/checks.h"
#include "services/lookup/desk.h"
#include "services/lookup/guard.h"
#include "services/lookup/passwords.h"
#include "services/lookup/table_watch.h"
#include "services/lookup/workers.h"

enum { CREDIT = 2000, MAX_FILES = 4096, PEERS_MAX = 256, SAID_MAX = 10000, UNSEEN_CHANGES_SECONDS = 60 };

struct lookup {
	struct server *server;
	struct route_interfaces *interfaces;
	struct desk *desk;
	struct workers *workers;
	struct event *tick;
	struct table_watch *watch;
	struct checks *checks; /* once one was asked for */
	struct passwords *passwords; /* NULL: no listener wants them */
	bool has_secret;
	uint8_t secret[PASSWORDS_SECRET_OCTETS];
	unsigned table_needs; /* what the sandbox was made for */
	/* Of tables and configuration. Microseconds of the clock, so that it also rises over a restart. */
	uint64_t generation;
	int64_t troubled_us; /* when trouble was last logged */
	struct table *troubled; /* names of tables that are in trouble */
	struct table *said; /* complaints, each told once until a reload */
	uint64_t answered; /* by workers, when the generation last rose for that */
	int64_t unseen_us;
	/* The question that the desk is at. */
	struct ipc_channel *asker;
	uint32_t call;
};

static void
generation_raise(struct lookup *l)
{
	uint64_t now = (uint64_t)clock_wall_us();
	l->generation = now > l->generation ? now : l->generation + 1;
	workers_generation(l->workers, l->generation);
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
on_trouble(void *context, const char *what, struct span trouble)
{
	struct lookup *l = context;
	int64_t now = clock_mono_us();

	if (l->troubled_us != 0 && now - l->troubled_us < US_PER_SECOND)
		return;
	l->troubled_us = now;
	log_warning(NULL, "%s: %.*s", what, SPAN_ARG(trouble));
}

/* A table's trouble is logged when it begins and when it ends. By name, for threads have tables of their own. */
static void
on_state(const char *table, const char *trouble, void *context)
{
	static char present;
	struct lookup *l = context;
	struct span name = span_of(table);

	if (trouble == NULL && table_count(l->troubled) == 0)
		return;
	bool known = table_get(l->troubled, name) != NULL;
	if (trouble != NULL && !known) {
		log_warning(NULL, "table %s is in trouble, mail that needs it waits: %s", table, trouble);
		(void)table_put(l->troubled, name, &present);
	} else if (trouble == NULL && known) {
		log_info(NULL, "table %s is in order again", table);
		(void)table_take(l->troubled, name);
	}
	workers_troubled(l->workers, table_count(l->troubled) > 0);
}

static void
on_complaint(const char *file, unsigned line, const char *text, void *context)
{
	static char present;
	struct lookup *l = context;
	struct buf key;

	buf_init(&key, 2000);
	(void)buf_printf(&key, "%s\n%u\n%.500s", file, line, text);
	bool known = table_get(l->said, buf_span(&key)) != NULL;
	if (!known)
		(void)table_put(l->said, buf_span(&key), &present);
	buf_free(&key);
	if (known)
		return;
	if (line > 0)
		log_warning(NULL, "%s, line %u: %s", file, line, text);
	else
		log_warning(NULL, "%s: %s", file, text);
}

static void
on_send(void *context, enum ipc_type type, const void *message)
{
	struct lookup *l = context;
	(void)ipc_send(l->asker, type, l->call, message);
}

static struct desk_sink
sink_of(struct lookup *l)
{
	return (struct desk_sink){on_send, on_trouble, on_complaint, on_state, l};
}

static const char guarded[] = "a table of passwords is asked for passwords alone";

static void
refuse_map(struct lookup *l, struct ipc_channel *channel, uint32_t call)
{
	struct msg_map_answer answer = {.status = LOOKUP_TEMPORARY, .reason = SPAN_LIT(guarded)};

	on_trouble(l, "table lookup problem", answer.reason);
	(void)ipc_send(channel, IPC_MAP_ANSWER, call, &answer);
}

static int
on_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct lookup *l = server_data(context);

	if (frame->type == IPC_MAP_ASK && guard_refuses(server_conf(context), frame->map_ask.tables)) {
		refuse_map(l, channel, frame->call);
		return 0;
	}
	l->asker = channel;
	l->call = frame->call;
	switch (desk_answer(l->desk, ipc_peer_role(channel), frame, l->generation, err)) {
	case DESK_MALFORMED:
		return -1;
	case DESK_MUST_WAIT:
		workers_ask(l->workers, channel, frame);
		break;
	default:
		break;
	}
	return 0;
}

static bool
checks_are_guarded(const struct conf *conf, const struct msg_check_ask *m)
{
	return guard_refuses(conf, m->header) || guard_refuses(conf, m->mime_header) ||
	       guard_refuses(conf, m->nested_header) || guard_refuses(conf, m->body);
}

/* Where there are no checks there are no threads. */
static int
on_check_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct lookup *l = server_data(context);
	struct error trouble = {0};

	if (checks_are_guarded(server_conf(context), &frame->check_ask))
		return error_set(err, "%s", guarded);
	if (l->checks == NULL)
		l->checks = checks_new(server_base(l->server), &trouble);
	if (l->checks != NULL)
		return checks_ask(l->checks, channel, frame, err);
	struct msg_check_done done = {.status = LOOKUP_TEMPORARY, .reason = span_of(trouble.text)};
	return frame->check_ask.more ? error_set(err, "%s", trouble.text)
				     : ipc_send(channel, IPC_CHECK_DONE, frame->call, &done);
}

static int
on_check_lines(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct lookup *l = server_data(context);

	if (l->checks == NULL)
		return error_set(err, "lines without a question");
	return checks_lines(l->checks, channel, frame, err);
}

static int
on_password_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct lookup *l = server_data(context);

	/* A reload brought the first such table: this process is about to end for it. */
	if (l->passwords == NULL) {
		passwords_refuse(channel, frame, "starting anew");
		return 0;
	}
	return passwords_ask(l->passwords, server_conf(context), channel, frame, err);
}

/* Nobody tells when the rows of a database change: what is kept of its answers is asked for again now and then. */
static bool
may_have_changed(struct lookup *l)
{
	int64_t now = clock_mono_us();

	if (workers_answered(l->workers) == l->answered ||
	    now - l->unseen_us < UNSEEN_CHANGES_SECONDS * US_PER_SECOND)
		return false;
	l->answered = workers_answered(l->workers);
	l->unseen_us = now;
	return true;
}

/* Did a table change? */
static void
look(void *context)
{
	struct lookup *l = context;

	bool changed = desk_look(l->desk);
	if (!may_have_changed(l) && !changed)
		return;
	generation_raise(l);
	tell_all(l);
}

/* Once a second: what no event tells. */
static void
on_tick(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	look(context);
}

static void
watch_table(struct span table, const char *parameter, void *context)
{
	struct table_watch *watch = context;
	char name[MAP_NAME_MAX];

	(void)parameter;
	if (!span_copy(table, name, sizeof(name)))
		return;
	struct map *map = map_open(name, NULL);
	if (map_path(map) != NULL)
		table_watch_add(watch, map_path(map));
	map_close(&map);
}

static void
add_needs(struct span table, const char *parameter, void *context)
{
	unsigned *needs = context;

	(void)parameter;
	*needs |= map_needs(table);
}

static void
preload(struct span table, const char *parameter, void *context)
{
	(void)parameter;
	(void)context;
	map_preload(table);
}

/* A kind that is not there: every question to such a table is temporary. */
static void
warn_of_kind(struct span table, const char *parameter, void *context)
{
	char name[MAP_NAME_MAX];
	struct error err;

	(void)context;
	if (map_type_known(table) || !span_copy(table, name, sizeof(name)))
		return;
	struct map *map = map_open(name, NULL);
	(void)map_check(map, &err);
	map_close(&map);
	log_warning(NULL, "%s: %s", parameter, err.text);
}

static unsigned
table_needs(const struct conf *conf)
{
	unsigned needs = 0;

	map_mentions(conf, add_needs, &needs);
	return needs;
}

static const struct sandbox_path paths[] = {{"/", "r"}, {NULL, NULL}};
static const struct sandbox_path paths_with_tokens[] = {
    {"/", "r"}, {"$queue_directory/tokens", "rwc"}, {NULL, NULL}};
static struct server_program program;

static bool
wants_passwords(const struct conf *conf)
{
	return conf_authenticates_by(conf, CONF_SMTPD_SASL_TYPE_TABLE);
}

static void
read_secret(struct lookup *l)
{
	char path[4096];
	struct error err;

	l->has_secret = wants_passwords(server_conf(l->server));
	if (!l->has_secret)
		return;
	/* The library's own files of configuration are not for us. */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	if (sandbox_expand(
		"$queue_directory/private/auth-secret", server_conf(l->server), path, sizeof(path), &err) < 0)
		panic("%s", err.text);
	passwords_secret(path, l->secret);
}

/* NSS and the clients' libraries load their modules here, while files may still be opened anywhere. */
static int
on_open(struct server *s, struct error *err)
{
	struct lookup *l = mem_alloc(sizeof(*l));
	struct addrinfo *ignored = NULL;

	(void)err;
	l->server = s;
	l->interfaces = route_interfaces_read();
	l->troubled = table_new(SAID_MAX, NULL);
	l->said = table_new(SAID_MAX, NULL);
	l->watch = table_watch_open();
	(void)getpwnam("postmaster");
	l->table_needs = table_needs(server_conf(s));
	map_mentions(server_conf(s), preload, NULL);
	read_secret(l);
	if (l->table_needs & MAP_NETWORK) {
		program.sandbox.needs |= SANDBOX_CONNECT | SANDBOX_UDP;
		if (getaddrinfo("localhost", "25", NULL, &ignored) == 0)
			freeaddrinfo(ignored);
	}
	if (l->table_needs & MAP_KEEPS_TOKENS) {
		program.sandbox.needs |= SANDBOX_FILES_WRITE;
		program.sandbox.paths = paths_with_tokens;
	}
	server_set_data(s, l);
	return 0;
}

static void
configure(struct lookup *l)
{
	const struct desk_sink sink = sink_of(l);
	const struct conf *conf = server_conf(l->server);

	desk_free(&l->desk);
	map_settings_use(conf);
	l->desk = desk_new(conf, l->interfaces, &sink, false);
	workers_configure(l->workers, conf, (unsigned)conf->values->lookup_workers);
	map_mentions(conf, warn_of_kind, NULL);
	table_watch_clear(l->watch);
	map_mentions(conf, watch_table, l->watch);
	generation_raise(l);
}

static int
on_start(struct server *s, struct error *err)
{
	struct lookup *l = server_data(s);
	const struct desk_sink sink = sink_of(l);
	const struct timeval second = {.tv_sec = 1};

	l->workers = workers_new(server_base(s), l->interfaces, &sink, err);
	if (l->workers == NULL)
		return -1;
	if (l->has_secret && (l->passwords = passwords_new(server_base(s), l->secret, err)) == NULL)
		return -1;
	configure(l);
	table_watch_start(l->watch, server_base(s), look, l);
	l->tick = event_new(server_base(s), -1, EV_PERSIST, on_tick, l);
	if (l->tick == NULL || event_add(l->tick, &second) < 0)
		return error_set(err, "no timer");
	return 0;
}

/* Tables that no parameter names any more go with the old desk. */
static void
on_configured(struct server *s)
{
	struct lookup *l = server_data(s);

	if (l->workers == NULL)
		return;
	table_free(&l->said);
	l->said = table_new(SAID_MAX, NULL);
	configure(l);
	if (l->checks != NULL)
		checks_configured(l->checks);
	if (l->passwords != NULL)
		passwords_configured(l->passwords);
	tell_all(l);
	if ((table_needs(server_conf(s)) & ~l->table_needs) ||
	    (l->passwords == NULL && wants_passwords(server_conf(s)))) {
		log_info(NULL, "tables of the new configuration need more rights: starting anew");
		server_renew(s);
	}
}

static bool
is_idle(struct server *s)
{
	struct lookup *l = server_data(s);
	return workers_idle(l->workers) && (l->passwords == NULL || passwords_idle(l->passwords));
}

static void
on_peer_down(struct server *s, struct ipc_channel *peer)
{
	struct lookup *l = server_data(s);

	if (l->workers != NULL)
		workers_forget(l->workers, peer);
	if (l->checks != NULL)
		checks_peer_gone(l->checks, peer);
	if (l->passwords != NULL)
		passwords_peer_gone(l->passwords, peer);
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
	    {IPC_MAP_ASK, askers, on_ask},
	    {IPC_RESOLVE_ASK, askers, on_ask},
	    {IPC_REWRITE_ASK, askers, on_ask},
	    {IPC_PERMIT_ASK, ROLE_BIT(ROLE_PICKUP), on_ask},
	    {IPC_CHECK_ASK, askers, on_check_ask},
	    {IPC_CHECK_LINES, askers, on_check_lines},
	    {IPC_PASSWORD_ASK, ROLE_BIT(ROLE_SMTPD), on_password_ask},
	    {IPC_SCRAM_ASK, ROLE_BIT(ROLE_SMTPD), on_password_ask},
	    {IPC_TOKEN_ASK, ROLE_BIT(ROLE_SMTPD), on_password_ask},
	};
	program = (struct server_program){
	    .role = ROLE_LOOKUP,
	    .ident = "trivial-rewrite",
	    .sandbox = {.user = "lookup",
		.root = SANDBOX_ROOT_NONE,
		.needs = SANDBOX_FILES | SANDBOX_UNIX_CONNECT | SANDBOX_THREADS,
		.paths = paths,
		.max_files = MAX_FILES},
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(permits[0]),
	    .credit = CREDIT,
	    .open = on_open,
	    .start = on_start,
	    .configured = on_configured,
	    .peer_up = on_peer_up,
	    .peer_down = on_peer_down,
	    .idle = is_idle,
	};
	return server_main(argc, argv, &program);
}
