/*
 * smtpd: the SMTP server. Takes mail from strangers and hands it to queue as it comes.
 *
 * Runs as   postern-smtpd, empty chroot, no network but the connections that it accepts.
 * Talks to  SMTP clients; resolver (names, DNS), lookup (addresses, tables, passwords), auth (PAM), policy (counts),
 *           queue (messages), keys (certificates, signatures), Dovecot (a connection that master made).
 * Reads     commands, addresses and whole messages from anyone who can connect. No parser here keeps state outside
 *           its session.
 * If taken  an attacker sees and can change mail that arrives at this worker while he has it, and can submit mail. He
 *           cannot read a stored message, a table, a key or a file, nor connect anywhere.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/mail/date.h"
#include "common/server/server.h"
#include "common/tls/keys.h"
#include "common/tls/library.h"
#include "smtpd/auth_dovecot.h"
#include "smtpd/auth_scram.h"
#include "smtpd/auth_settings.h"
#include "smtpd/listener.h"
#include "smtpd/reply.h"
#include "smtpd/resolution.h"
#include "smtpd/session.h"
#include "smtpd/settings.h"
#include "smtpd/tls_authorities.h"
#include "smtpd/tls_level.h"
#include "smtpd/tls_listener.h"

enum {
	CREDIT = 64, /* nobody asks smtpd anything for now */
	FILES_WANTED = 16384,
	FILES_RESERVED = 64,
	LISTENERS_MAX = 256
};

struct program {
	struct smtpd smtpd;
	struct server *server;
	struct tls_authorities *authorities;
	struct listener *listeners[LISTENERS_MAX];
	size_t listener_count;
};

/* For the turn hook, which has no argument. */
static struct program *running;

/* ---- messages that nobody asked for ---- */

static int
on_id_floor(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err)
{
	struct program *p = server_data(context);

	return smtpd_on_id_floor(c, f, &p->smtpd, err);
}

static int
on_queue_full(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err)
{
	struct program *p = server_data(context);

	return smtpd_on_queue_full(c, f, &p->smtpd, err);
}

static int
on_lookup_changed(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err)
{
	struct program *p = server_data(context);

	return smtpd_on_lookup_changed(c, f, &p->smtpd, err);
}

static int
on_identity(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err)
{
	struct program *p = server_data(context);

	(void)c;
	return tls_keys_identity(p->smtpd.keys, &f->identity, err);
}

static int
on_identities_end(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err)
{
	struct program *p = server_data(context);

	(void)c;
	p->smtpd.identities = f->identities_end.generation;
	return tls_keys_identities_end(p->smtpd.keys, &f->identities_end, err);
}

static int
on_ticket_keys(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err)
{
	struct program *p = server_data(context);

	(void)c;
	return tls_keys_tickets(p->smtpd.keys, &f->ticket_keys, err);
}

static const struct ipc_permit permits[] = {
    {IPC_ID_FLOOR, ROLE_BIT(ROLE_QUEUE), on_id_floor},
    {IPC_QUEUE_FULL, ROLE_BIT(ROLE_QUEUE), on_queue_full},
    {IPC_LOOKUP_CHANGED, ROLE_BIT(ROLE_LOOKUP), on_lookup_changed},
    {IPC_IDENTITY, ROLE_BIT(ROLE_KEYS), on_identity},
    {IPC_IDENTITIES_END, ROLE_BIT(ROLE_KEYS), on_identities_end},
    {IPC_TICKET_KEYS, ROLE_BIT(ROLE_KEYS), on_ticket_keys},
};

static int
want_socket(
    struct smtpd *d, const char *path, void (*given)(void *context, int fd, const char *why), void *context)
{
	(void)d;
	return server_want_socket(running->server, path, given, context);
}

/* ---- listeners ---- */

static void
close_listeners(struct program *p)
{
	while (p->listener_count > 0)
		listener_free(&p->listeners[--p->listener_count]);
}

/* Without a context the listener has no TLS: where it is required nothing is served. */
static void
open_tls(struct program *p, struct settings *settings)
{
	const struct conf_section *section = settings->section;
	struct error err;

	if (tls_level_of(section->values) == TLS_LEVEL_NONE)
		return;
	settings->tls = tls_listener_context(section, p->smtpd.keys, p->authorities, &err);
	if (settings->tls == NULL)
		log_error(NULL, "[%s] has no TLS: %s", section->name, err.text);
}

/* A section whose settings cannot be read is not served: better no mail than too few restrictions. */
static void
open_listeners(struct server *server)
{
	struct program *p = server_data(server);
	const struct conf_section *section;
	struct settings *settings;
	struct error err;

	close_listeners(p);
	for (size_t i = 0; i < server_listener_count(server) && i < LISTENERS_MAX; i++) {
		const struct server_listener *l = server_listener_at(server, i);

		section = l->section;
		if (section == NULL)
			continue;
		settings = settings_new(server_conf(server), section, &err);
		if (settings == NULL) {
			log_error(NULL, "[%s] is not served: %s", section->name, err.text);
			continue;
		}
		/* The first client finds it connected, or knows what the table has. */
		if (settings->auth && settings->auth->type == CONF_SMTPD_SASL_TYPE_DOVECOT)
			(void)dovecot_of(&p->smtpd, settings->values->smtpd_sasl_path);
		else if (settings->auth && settings->auth->type == CONF_SMTPD_SASL_TYPE_TABLE)
			(void)auth_scram_has(&p->smtpd, settings, SCRAM_SHA_256);
		open_tls(p, settings);
		p->listeners[p->listener_count++] = listener_new(&p->smtpd, l->fd, settings);
		settings_unref(&settings);
	}
}

static void
on_turn(void)
{
	struct program *p = running;

	smtpd_reap(&p->smtpd);
	for (size_t i = 0; i < p->listener_count; i++)
		listener_adjust(p->listeners[i]);
	stream_flush_all();
}

/* ---- the skeleton's calls ---- */

static struct ipc_channel *
keys_channel(void *context)
{
	struct program *p = context;

	return p->smtpd.peers[ROLE_KEYS];
}

static int
open_program(struct server *server, struct error *err)
{
	struct program *p = mem_alloc(sizeof(*p));

	p->server = server;
	smtpd_init(&p->smtpd, server_base(server), (uint8_t)server_index(server));
	if (tls_library_open(err) < 0)
		return -1;
	p->smtpd.keys = tls_keys_new(keys_channel, p);
	p->authorities = tls_authorities_new();
	tls_authorities_read(p->authorities, server_conf(server));
	p->smtpd.want_socket = want_socket;
	server_set_data(server, p);
	mail_date_init();
	running = p;
	return 0;
}

static int
start(struct server *server, struct error *err)
{
	static const enum role asked[] = {ROLE_RESOLVER, ROLE_LOOKUP, ROLE_POLICY, ROLE_KEYS, ROLE_AUTH};
	struct program *p = server_data(server);
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return error_errno(err, "getrlimit");
	p->smtpd.session_max =
	    files.rlim_cur > 2 * FILES_RESERVED ? files.rlim_cur - FILES_RESERVED : FILES_RESERVED;
	/* Questions wait in the channel until the other side is there too. */
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		p->smtpd.peers[asked[i]] = server_peer(server, asked[i], 0);
	server_on_turn(on_turn);
	open_listeners(server);
	return 0;
}

/* What lookup answered before may not hold any more. */
static void
configured(struct server *server)
{
	struct program *p = server_data(server);

	resolution_forget_all(&p->smtpd);
	auth_scram_forget(&p->smtpd);
	open_listeners(server);
}

/* A CAfile that changed, or that a reload named. */
static void
file_changed(struct server *server, const char *path, int fd)
{
	struct program *p = server_data(server);

	if (tls_authorities_renew(p->authorities, server_conf(server), path, fd))
		open_listeners(server);
	(void)io_close(&fd);
}

static void
peer_up(struct server *server, struct ipc_channel *peer)
{
	struct program *p = server_data(server);

	p->smtpd.peers[ipc_peer_role(peer)] = peer;
	/* A new lookup counts its generations anew. */
	if (ipc_peer_role(peer) == ROLE_LOOKUP) {
		p->smtpd.generation = 0;
		resolution_forget_all(&p->smtpd);
	}
	if (ipc_peer_role(peer) == ROLE_KEYS)
		tls_keys_connected(p->smtpd.keys);
}

static void
peer_down(struct server *server, struct ipc_channel *peer)
{
	struct program *p = server_data(server);
	enum role role = ipc_peer_role(peer);

	if (p->smtpd.peers[role] == peer)
		p->smtpd.peers[role] = NULL;
	if (role == ROLE_QUEUE)
		p->smtpd.queue_full = false;
}

static void
stopping(struct server *server)
{
	struct program *p = server_data(server);
	struct session *s, *next;

	p->smtpd.stopping = true;
	for (s = TAILQ_FIRST(&p->smtpd.sessions); s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->greeted)
			session_continue(s);
	}
}

static bool
idle(struct server *server)
{
	struct program *p = server_data(server);

	return p->smtpd.session_count == 0;
}

static const struct server_program program = {
    .role = ROLE_SMTPD,
    .ident = "smtpd",
    .sandbox =
	{
	    .user = "smtpd",
	    .root = SANDBOX_ROOT_EMPTY,
	    .needs = SANDBOX_ACCEPT,
	    .max_files = FILES_WANTED,
	},
    .permits = permits,
    .permit_count = sizeof(permits) / sizeof(permits[0]),
    .credit = CREDIT,
    .open = open_program,
    .start = start,
    .configured = configured,
    .file_changed = file_changed,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .listeners_changed = open_listeners,
    .stopping = stopping,
    .idle = idle,
};

int
main(int argc, char **argv)
{
	return server_main(argc, argv, &program);
}
