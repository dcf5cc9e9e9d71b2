/*
 * resolver: answers typed DNS questions.
 *
 * Runs as   postern-dns, empty chroot, UDP and TCP outward to name servers only.
 * Talks to  smtpd, delivery, lookup (answers); name servers (questions).
 * Reads     DNS answers from strangers. This is the only parser of them. resolv.conf and hosts, as descriptors.
 * If taken  an attacker can lie about DNS. No mail, keys or homes are in reach.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/server/server.h"
#include "services/master/names.h"
#include "services/resolver/engine.h"
#include "services/resolver/host_names.h"
#include "services/resolver/peername.h"

enum {
	CREDIT = 4096, /* questions of one peer */
	QUESTIONS_MAX = 4096,
	WAITERS_MAX = 32768,
	CACHE_ENTRIES = 50000,
	CACHE_BYTES = 24 * 1024 * 1024,
	FILE_MAX_BYTES = 1024 * 1024,
	DESCRIPTORS = 16384,
	DESCRIPTORS_KEPT = 64 /* for all but questions */
};

static const char resolv_conf[] = "/etc/resolv.conf";
static const char hosts_file[] = "/etc/hosts";

/* One conversation of a peer, until it is answered. */
struct ask {
	TAILQ_ENTRY(ask) link;
	struct resolver *resolver;
	struct ipc_channel *channel; /* NULL once the peer is gone */
	uint32_t call;
};

TAILQ_HEAD(ask_list, ask);

struct resolver {
	struct server *server;
	struct engine *engine;
	char *resolv_text;
	struct ask_list asks;
};

static struct ask *
ask_new(struct ipc_channel *channel, const struct ipc_frame *frame, struct server *s)
{
	struct ask *ask = mem_alloc(sizeof(*ask));

	ask->resolver = server_data(s);
	ask->channel = channel;
	ask->call = frame->call;
	TAILQ_INSERT_TAIL(&ask->resolver->asks, ask, link);
	return ask;
}

static void
ask_answer(struct ask *ask, enum ipc_type type, const void *message)
{
	if (ask->channel)
		ipc_send(ask->channel, type, ask->call, message);
	TAILQ_REMOVE(&ask->resolver->asks, ask, link);
	free(ask);
}

/* Two workers may use the same number for two sessions. */
static uint64_t
asker_of(const struct ipc_channel *channel, uint64_t number)
{
	uint64_t parts[3] = {(uint64_t)ipc_peer_role(channel), ipc_peer_index(channel), number};

	return number == 0 ? 0 : hash_bytes(parts, sizeof(parts)) | 1;
}

static void
on_answer(void *context, const struct answer *answer)
{
	struct msg_dns_answer message = {
	    .status = (uint8_t)answer->status,
	    .authentic = answer->authentic,
	    .ttl = answer->ttl,
	    .canonical = span_of(answer->canonical),
	    .reason = span_of(answer->reason),
	    .records = buf_span(&answer->records),
	};

	ask_answer(context, IPC_DNS_ANSWER, &message);
}

static int
handle_dns_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_dns_ask *m = &frame->dns_ask;
	struct resolver *r = server_data(context);

	(void)err;
	engine_ask(r->engine, m->name, m->type, m->flags, asker_of(channel, m->asker), on_answer,
	    ask_new(channel, frame, context));
	return 0;
}

static void
on_peername(void *context, const struct peername *result)
{
	struct msg_name_answer message = {
	    .status = (uint8_t)result->status,
	    .name = span_of(result->name),
	    .reverse_name = span_of(result->reverse_name),
	    .reason = span_of(result->reason),
	};

	ask_answer(context, IPC_NAME_ANSWER, &message);
}

static int
handle_name_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_name_ask *m = &frame->name_ask;
	struct resolver *r = server_data(context);

	(void)err;
	peername_ask(r->engine, m->address, asker_of(channel, m->asker), on_peername,
	    ask_new(channel, frame, context));
	return 0;
}

static void
peer_down(struct server *s, struct ipc_channel *peer)
{
	struct resolver *r = server_data(s);
	struct ask *ask;

	TAILQ_FOREACH (ask, &r->asks, link) {
		if (ask->channel == peer)
			ask->channel = NULL;
	}
}

/* The file's text, NULL if there is none. The caller frees it. */
static char *
read_file(int fd)
{
	char *text;
	ssize_t n;

	if (fd < 0)
		return NULL;
	text = mem_alloc(FILE_MAX_BYTES + 1);
	n = io_pread_all(fd, text, FILE_MAX_BYTES, 0);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return mem_resize(text, (size_t)n + 1);
}

static void
use_servers(struct resolver *r)
{
	struct span wanted = span_of(server_conf(r->server)->values->dns_servers);
	struct servers *servers = NULL;
	struct error err;

	if (span_trim(wanted).len > 0) {
		servers = servers_from_parameter(wanted, &err);
		if (!servers)
			log_warning(NULL, "%s", err.text);
	}
	if (!servers || servers->count == 0) {
		servers_unref(&servers);
		servers = servers_from_resolv_conf(span_of(r->resolv_text));
	}
	engine_set_servers(r->engine, servers);
}

static void
use_hosts(struct resolver *r, int fd)
{
	char *text = read_file(fd);

	engine_set_hosts(r->engine, text ? hosts_file_parse(span_of(text)) : NULL);
	free(text);
}

static void
configured(struct server *s)
{
	use_servers(server_data(s));
}

static void
file_changed(struct server *s, const char *path, int fd)
{
	struct resolver *r = server_data(s);

	if (strcmp(path, hosts_file) == 0) {
		use_hosts(r, fd);
	} else if (strcmp(path, resolv_conf) == 0 && fd >= 0) { /* gone: the last one counts on */
		free(r->resolv_text);
		r->resolv_text = read_file(fd);
		use_servers(r);
	}
	io_close(&fd);
}

/* Each question has a descriptor for every server that was tried: as many questions as descriptors allow. */
static size_t
questions_possible(void)
{
	struct rlimit limit;
	size_t possible;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= DESCRIPTORS_KEPT)
		return ENGINE_SHARE;
	possible = (size_t)(limit.rlim_cur - DESCRIPTORS_KEPT) / 2;
	return possible < QUESTIONS_MAX ? possible : QUESTIONS_MAX;
}

static int
start(struct server *s, struct error *err)
{
	struct resolver *r = mem_alloc(sizeof(*r));
	struct engine_limits limits = {
	    .questions = questions_possible(),
	    .waiters = WAITERS_MAX,
	    .cache_entries = CACHE_ENTRIES,
	    .cache_bytes = CACHE_BYTES,
	};

	(void)err;
	r->server = s;
	TAILQ_INIT(&r->asks);
	r->engine = engine_new(server_base(s), &limits);
	server_set_data(s, r);
	r->resolv_text = read_file(server_file(s, resolv_conf));
	use_hosts(r, server_file(s, hosts_file));
	use_servers(r);
	return 0;
}

static bool
idle(struct server *s)
{
	struct resolver *r = server_data(s);

	return TAILQ_EMPTY(&r->asks);
}

static const struct ipc_permit permits[] = {
    {IPC_DNS_ASK, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_DELIVERY) | ROLE_BIT(ROLE_LOOKUP), handle_dns_ask},
    {IPC_NAME_ASK, ROLE_BIT(ROLE_SMTPD), handle_name_ask},
};

static const struct server_program program = {
    .role = ROLE_RESOLVER,
    .ident = "resolver",
    .sandbox =
	{
	    .user = "dns",
	    .root = SANDBOX_ROOT_EMPTY,
	    .needs = SANDBOX_CONNECT | SANDBOX_UDP,
	    .max_files = DESCRIPTORS,
	},
    .permits = permits,
    .permit_count = sizeof(permits) / sizeof(permits[0]),
    .credit = CREDIT,
    .start = start,
    .configured = configured,
    .peer_down = peer_down,
    .file_changed = file_changed,
    .idle = idle,
};

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], NAMES_ARGUMENT) == 0)
		return host_names_main(argv[2], argv[3]);
	return server_main(argc, argv, &program);
}
