#include "tools/tls_agent.h"

#include <event2/event.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "common/map/keys.h"
#include "common/net/stream.h"
#include "common/tls/library.h"
#include "delivery/smtp/destination.h"
#include "delivery/smtp/own.h"
#include "delivery/smtp/tls_client.h"
#include "tools/own_resolver.h"

enum { CREDIT = 200 };

struct tls_agent {
	struct agent agent;
	struct engine *engine;
	struct map_set *maps;
	struct map_found found;
	struct ipc_channel *ends[4]; /* resolver's two, lookup's two */
};

static int
handle_dns_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct tls_agent *a = context;

	(void)err;
	own_resolver_answer(a->engine, channel, frame);
	return 0;
}

static int
handle_map_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	static const struct map_keys keys;
	struct tls_agent *a = context;
	enum lookup_status status = map_find(map_set_list(a->maps, frame->map_ask.tables, NULL),
	    (enum lookup_form)frame->map_ask.form, frame->map_ask.key, &keys, &a->found, NULL);
	struct msg_map_answer answer = {.status = (uint8_t)status};

	(void)err;
	if (status == LOOKUP_FOUND) {
		answer.value = buf_span(&a->found.value);
		answer.found_key = buf_span(&a->found.key);
	} else if (status == LOOKUP_TEMPORARY) {
		answer.reason = span_sub(span_of(a->found.err.text), 0, 400);
	}
	(void)ipc_send(channel, IPC_MAP_ANSWER, frame->call, &answer);
	return 0;
}

static const struct ipc_permit permits[] = {
    {IPC_DNS_ASK, ROLE_BIT(ROLE_DELIVERY), handle_dns_ask},
    {IPC_MAP_ASK, ROLE_BIT(ROLE_DELIVERY), handle_map_ask},
};

/* Both ends of a channel between delivery and one that it asks. */
static int
connect_role(struct tls_agent *a, enum role role, struct ipc_channel *ends[2], struct error *err)
{
	struct ipc_callbacks ours = {.context = a};
	struct ipc_callbacks theirs = {
	    .permits = permits, .permit_count = sizeof(permits) / sizeof(permits[0]), .context = a};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "socketpair");
	ends[0] = ipc_channel_new(a->agent.base, pair[0], ROLE_DELIVERY, 0, role, CREDIT, &ours);
	ends[1] = ipc_channel_new(a->agent.base, pair[1], role, 0, ROLE_DELIVERY, CREDIT, &theirs);
	return 0;
}

struct tls_agent *
tls_agent_new(const struct conf *conf, struct error *err)
{
	struct tls_agent *a;

	if (tls_library_open(err) < 0)
		return NULL;
	a = mem_alloc(sizeof(*a));
	map_found_init(&a->found);
	a->agent.base = event_base_new();
	a->agent.conf = conf_ref(conf);
	a->agent.own = own_new();
	own_configure(a->agent.own, a->agent.conf);
	a->agent.destinations = destinations_new();
	a->agent.tls = tls_client_new(NULL);
	tls_client_load(a->agent.tls, a->agent.conf);
	a->maps = map_set_new(NULL);
	a->engine = own_resolver_new(a->agent.base, conf->values, err);
	if (a->engine == NULL || connect_role(a, ROLE_RESOLVER, a->ends, err) < 0 ||
	    connect_role(a, ROLE_LOOKUP, a->ends + 2, err) < 0) {
		tls_agent_free(&a);
		return NULL;
	}
	a->agent.resolver = a->ends[0];
	a->agent.lookup = a->ends[2];
	return a;
}

void
tls_agent_free(struct tls_agent **agent)
{
	struct tls_agent *a = *agent;

	*agent = NULL;
	if (!a)
		return;
	engine_free(&a->engine);
	a->agent.stopping = true;
	destinations_free(&a->agent.destinations);
	for (size_t i = 0; i < sizeof(a->ends) / sizeof(a->ends[0]); i++)
		ipc_channel_close(&a->ends[i]);
	tls_client_free(&a->agent.tls);
	own_free(&a->agent.own);
	map_found_free(&a->found);
	map_set_free(&a->maps);
	conf_unref(&a->agent.conf);
	event_base_free(a->agent.base);
	free(a);
}

struct agent *
tls_agent_agent(struct tls_agent *a)
{
	return &a->agent;
}

void
tls_agent_run(struct tls_agent *a, const bool *done)
{
	while (!*done) {
		ipc_flush_all();
		stream_flush_all();
		if (event_base_loop(a->agent.base, EVLOOP_ONCE) != 0)
			return;
	}
}

int
tls_agent_drop(const char *user, struct error *err)
{
	const struct passwd *pw;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, "no_new_privs");
	if (geteuid() != 0)
		return 0;
	pw = getpwnam(user);
	if (!pw)
		pw = getpwnam("nobody");
	if (!pw)
		return error_set(err, "neither %s nor nobody is a user of this host", user);
	if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return error_errno(err, "becoming %s", pw->pw_name);
	if (setuid(0) == 0)
		return error_set(err, "the rights of root came back");
	return 0;
}
