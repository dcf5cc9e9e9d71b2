/*
 * engine: from a question to its answer: hosts file, cache, questions under way, name servers.
 *
 * Nobody can keep it busy for others. A zone and an asking session have an eighth of the capacity each; a zone that
 * did not answer is "temporary" at once for a while; when all capacity is in use, the question that has waited
 * longest gives way to the newcomer.
 */
#ifndef POSTERN_RESOLVER_ENGINE_H
#define POSTERN_RESOLVER_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "services/resolver/hosts.h"
#include "services/resolver/servers.h"
#include "services/resolver/wire.h"

struct event_base;
struct engine;

struct engine_limits {
	size_t questions; /* under way with name servers */
	size_t waiters; /* who wait for them */
	size_t cache_entries;
	size_t cache_bytes;
};

enum { ENGINE_SHARE = 8 };

struct engine *engine_new(struct event_base *base, const struct engine_limits *limits);

/* Whoever waits is told DNS_TEMPORARY. */
void engine_free(struct engine **e);

/* Both take over what they are given. New servers also empty the cache and forget which zones were silent. */
void engine_set_servers(struct engine *e, struct servers *servers);
void engine_set_hosts(struct engine *e, struct hosts_file *hosts);
const struct hosts_file *engine_hosts(const struct engine *e);

/* answer is lent. */
typedef void engine_done(void *context, const struct answer *answer);

/* asker: whoever asks, 0 for nobody in particular. done is called exactly once, often before this returns. */
void engine_ask(struct engine *e, struct span name, uint32_t type, uint32_t flags, uint64_t asker,
    engine_done *done, void *context);

/* Questions under way. */
size_t engine_busy(const struct engine *e);

#endif
