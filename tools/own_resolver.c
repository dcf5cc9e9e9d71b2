#include "tools/own_resolver.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

enum { QUESTIONS = 256, WAITERS = 1024, CACHE_ENTRIES = 1000, CACHE_BYTES = 1 << 20, FILE_MAX = 1 << 20 };

/* What cannot be read is as if it were empty. */
static void
read_file(const char *path, struct buf *text)
{
	FILE *f = fopen(path, "re");
	char *room = f ? buf_reserve(text, FILE_MAX) : NULL;

	if (room)
		buf_added(text, fread(room, 1, FILE_MAX, f));
	if (f)
		fclose(f);
}

struct engine *
own_resolver_new(struct event_base *base, const struct conf_values *v, struct error *err)
{
	static const struct engine_limits limits = {QUESTIONS, WAITERS, CACHE_ENTRIES, CACHE_BYTES};
	struct engine *engine = NULL;
	struct servers *servers;
	struct buf text;

	buf_init(&text, FILE_MAX + 1);
	read_file("/etc/resolv.conf", &text);
	servers = v->dns_servers[0] != '\0' ? servers_from_parameter(span_of(v->dns_servers), err)
					    : servers_from_resolv_conf(buf_span(&text));
	buf_clear(&text);
	if (servers) {
		engine = engine_new(base, &limits);
		engine_set_servers(engine, servers);
		read_file("/etc/hosts", &text);
		engine_set_hosts(engine, hosts_file_parse(buf_span(&text)));
	}
	buf_free(&text);
	return engine;
}

/* A question that waits for the engine. */
struct waiting {
	struct ipc_channel *channel;
	uint32_t call;
};

static void
on_answer(void *context, const struct answer *answer)
{
	struct waiting *waiting = context;
	struct msg_dns_answer message = {.status = (uint8_t)answer->status,
	    .authentic = answer->authentic,
	    .ttl = answer->ttl,
	    .canonical = span_of(answer->canonical),
	    .reason = span_of(answer->reason),
	    .records = buf_span(&answer->records)};

	(void)ipc_send(waiting->channel, IPC_DNS_ANSWER, waiting->call, &message);
	free(waiting);
}

void
own_resolver_answer(struct engine *engine, struct ipc_channel *channel, const struct ipc_frame *frame)
{
	struct waiting *waiting = mem_alloc(sizeof(*waiting));

	*waiting = (struct waiting){channel, frame->call};
	engine_ask(
	    engine, frame->dns_ask.name, frame->dns_ask.type, frame->dns_ask.flags, 0, on_answer, waiting);
}
