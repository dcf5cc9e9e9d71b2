/*
 * counters: connections and rates of clients, counted for all smtpd workers together, as Postfix's anvil(8) does.
 *
 * A client is an IPv4 or IPv6 prefix, at one service (section). A rate is what happened since the present
 * interval began; intervals are each client's own. The table is bounded: who was not heard of for longest and has no
 * connection goes first; while everyone in it is connected, others are not counted.
 */
#ifndef POSTERN_POLICY_COUNTERS_H
#define POSTERN_POLICY_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/ipc/protocol.h"

struct counters;

/* Whose connections are counted: one for each worker, so that they can be given back when it dies. */
struct counted_worker;

struct count {
	uint32_t connections; /* open now */
	uint32_t rate; /* of the event in this interval */
};

struct counters *counters_new(size_t max_clients);
void counters_free(struct counters **c);
size_t counters_size(const struct counters *c);

struct counted_worker *counted_worker_new(struct counters *c);

/* Gives back all connections that the worker had. Clears the caller's pointer. */
void counted_worker_free(struct counted_worker **w);

/* client: as client_key() made it. unit_us: the length of an interval. */
struct count counters_connect(
    struct counters *c, struct counted_worker *w, struct span client, int64_t unit_us, int64_t now_us);
struct count counters_event(
    struct counters *c, struct span client, enum policy_event event, int64_t unit_us, int64_t now_us);

/* One that the worker never had is ignored: it may be older than this process. */
void counters_gone(struct counters *c, struct counted_worker *w, struct span client, int64_t now_us);

enum { CLIENT_KEY_SIZE = 160 };

/* How much of an address tells clients apart: at most 32 and 128. */
struct client_prefixes {
	unsigned ipv4, ipv6;
};

/* "section\naddress", cut to the prefix; what is no address stands for itself. Returns key as a span. */
struct span client_key(
    struct span section, struct span address, struct client_prefixes prefixes, char key[CLIENT_KEY_SIZE]);

#endif
