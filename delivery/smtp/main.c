/*
 * delivery: the SMTP and LMTP client.
 *
 * Runs as   postern-delivery, empty chroot; connects to any host over TCP.
 * Talks to  queue (jobs come, outcomes go), resolver (MX and addresses), lookup (tables), keys (signatures with our
 *           certificates), log; mail servers.
 * Reads     replies from mail servers, their TLS and certificates: strangers, bounded and made printable before anybody
 *           sees them.
 * If taken  an attacker sees the mail that passes through this process and can claim what he likes of its delivery.
 *           No other mail, no file, no key, no home is in reach.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/remembered.h"
#include "common/net/stream.h"
#include "common/server/server.h"
#include "common/tls/library.h"
#include "delivery/smtp/destination.h"
#include "delivery/smtp/job.h"
#include "delivery/smtp/own.h"
#include "delivery/smtp/tls_client.h"
#include "delivery/smtp/transport_conf.h"

enum { JOBS_PER_QUEUE = 2000, FILES_MAX = 16384 };

/* Frames come with the server as context. */
#define HANDLER(name)                                                                                        \
	static int handle_##name(                                                                            \
	    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)    \
	{                                                                                                    \
		return job_handle_##name(server_data(context), channel, frame, err);                         \
	}
HANDLER(open)
HANDLER(rcpt)
HANDLER(data)
HANDLER(file)
HANDLER(go)
HANDLER(where)
#undef HANDLER

static int
handle_identity(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct agent *agent = server_data(context);

	(void)channel;
	return tls_keys_identity(agent->keys, &frame->identity, err);
}

static int
handle_identities_end(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct agent *agent = server_data(context);

	(void)channel;
	return tls_keys_identities_end(agent->keys, &frame->identities_end, err);
}

static struct ipc_channel *
keys_channel_of(void *context)
{
	return server_peer(context, ROLE_KEYS, 0);
}

static const struct ipc_permit permits[] = {
    {IPC_JOB_OPEN, ROLE_BIT(ROLE_QUEUE), handle_open},
    {IPC_JOB_RCPT, ROLE_BIT(ROLE_QUEUE), handle_rcpt},
    {IPC_JOB_DATA, ROLE_BIT(ROLE_QUEUE), handle_data},
    {IPC_JOB_FILE, ROLE_BIT(ROLE_QUEUE), handle_file},
    {IPC_JOB_GO, ROLE_BIT(ROLE_QUEUE), handle_go},
    {IPC_JOB_WHERE, ROLE_BIT(ROLE_QUEUE), handle_where},
    {IPC_IDENTITY, ROLE_BIT(ROLE_KEYS), handle_identity},
    {IPC_IDENTITIES_END, ROLE_BIT(ROLE_KEYS), handle_identities_end},
};

/* Calls look with the configuration of each transport; true if any call was. */
static bool
each_transport(const struct agent *agent, const struct conf *conf,
    bool (*look)(struct tls_client *t, const struct conf *c))
{
	struct span rest = span_of(conf->values->transport_services);
	bool any = look(agent->tls, conf);
	struct transport_service service;
	struct error err;
	struct conf *own;
	int got;

	while ((got = transport_service_next(&rest, &service, &err)) != 0) {
		if (got < 0 || service.arguments.len == 0 ||
		    (service.kind != TRANSPORT_SMTP && service.kind != TRANSPORT_LMTP))
			continue;
		own = transport_conf(agent->transports, conf, &service, &err);
		if (!own) {
			log_warning(NULL, "%s: its mail waits", err.text);
			continue;
		}
		any = look(agent->tls, own) || any;
		conf_unref(&own);
	}
	return any;
}

static bool
load_authorities(struct tls_client *t, const struct conf *conf)
{
	tls_client_load(t, conf);
	return true;
}

static int
delivery_open(struct server *s, struct error *err)
{
	struct agent *agent = mem_alloc(sizeof *agent);

	if (tls_library_open(err) < 0)
		return -1;
	/* Only for the order of equals among mail exchangers. */
	srandom((unsigned)(clock_wall_us() ^ getpid()));
	tzset();
	agent->server = s;
	agent->base = server_base(s);
	agent->own = own_new();
	agent->destinations = destinations_new();
	agent->jobs = jobs_new();
	agent->transports = transport_confs_new();
	agent->remembered = remembered_new();
	agent->keys = tls_keys_new(keys_channel_of, s);
	agent->tls = tls_client_new(agent->keys);
	(void)each_transport(agent, server_conf(s), load_authorities);
	server_set_data(s, agent);
	return 0;
}

static void
delivery_configured(struct server *s)
{
	struct agent *agent = server_data(s);
	struct conf *old = agent->conf, *gone = old;

	agent->conf = conf_ref(server_conf(s));
	conf_unref(&gone);
	own_configure(agent->own, agent->conf);
	/* Whatever changed may concern them: what is idle goes, what is busy goes when it is done. */
	destinations_quit(agent->destinations);
	if (!old)
		return;
	tls_client_configured(agent->tls);
	if (each_transport(agent, agent->conf, tls_client_lacks)) {
		log_info(NULL, "authorities of the new configuration are to be read: starting anew");
		server_hand_over(s);
	}
}

static void
delivery_file_changed(struct server *s, const char *path, int fd)
{
	const struct agent *agent = server_data(s);

	tls_client_file_changed(agent->tls, path, fd);
	io_close(&fd);
}

static int
delivery_start(struct server *s, struct error *err)
{
	(void)err;
	delivery_configured(s);
	server_on_turn(stream_flush_all);
	return 0;
}

static void
delivery_peer_up(struct server *s, struct ipc_channel *peer)
{
	struct agent *agent = server_data(s);

	if (ipc_peer_role(peer) == ROLE_RESOLVER)
		agent->resolver = peer;
	if (ipc_peer_role(peer) == ROLE_LOOKUP)
		agent->lookup = peer;
	if (ipc_peer_role(peer) == ROLE_KEYS)
		tls_keys_connected(agent->keys);
	if (ipc_peer_role(peer) == ROLE_QUEUE)
		jobs_tell_queue(agent, peer);
	/* A new queue has to hear it, too. */
	if (ipc_peer_role(peer) == ROLE_QUEUE && agent->stopping)
		ipc_send(peer, IPC_JOB_NO_MORE, 0, &(struct msg_job_no_more){0});
}

static void
delivery_peer_down(struct server *s, struct ipc_channel *peer)
{
	struct agent *agent = server_data(s);

	if (peer == agent->resolver)
		agent->resolver = NULL;
	if (peer == agent->lookup)
		agent->lookup = NULL;
	if (ipc_peer_role(peer) == ROLE_QUEUE)
		jobs_queue_gone(agent, peer);
}

static void
delivery_stopping(struct server *s)
{
	struct agent *agent = server_data(s);

	agent->stopping = true;
	ipc_send(server_peer(s, ROLE_QUEUE, 0), IPC_JOB_NO_MORE, 0, &(struct msg_job_no_more){0});
	destinations_quit(agent->destinations);
}

static bool
delivery_idle(struct server *s)
{
	const struct agent *agent = server_data(s);

	return jobs_count(agent->jobs) == 0;
}

static const struct server_program program = {
    .role = ROLE_DELIVERY,
    .ident = "smtp",
    .sandbox = {.user = "delivery",
	.root = SANDBOX_ROOT_EMPTY,
	.needs = SANDBOX_CONNECT,
	.max_files = FILES_MAX},
    .permits = permits,
    .permit_count = sizeof permits / sizeof permits[0],
    .credit = JOBS_PER_QUEUE,
    .open = delivery_open,
    .start = delivery_start,
    .configured = delivery_configured,
    .file_changed = delivery_file_changed,
    .peer_up = delivery_peer_up,
    .peer_down = delivery_peer_down,
    .stopping = delivery_stopping,
    .idle = delivery_idle,
};

int
main(int argc, char **argv)
{
	return server_main(argc, argv, &program);
}
