/*
 * world: a delivery agent in the test's own process between a queue and a resolver that the test plays: real
 * channels over socket pairs, real connections to scripted peers on the loopback.
 */
#ifndef POSTERN_TESTS_UNIT_DELIVERY_WORLD_H
#define POSTERN_TESTS_UNIT_DELIVERY_WORLD_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/ipc/ipc.h"
#include "delivery/smtp/agent.h"

/* What resolver says. data: "10 mx.test" for MX, an address for A; NULL with another status than DNS_OK. */
struct dns_row {
	const char *name;
	uint32_t type;
	unsigned status;
	const char *data;
};

enum { WORLD_OUTCOMES = 8, WORLD_LOG = 64 * 1024 };

struct world_outcome {
	bool there;
	unsigned class;
	unsigned flags;
	char status[16];
	char relay[400];
	char text[1600];
	char remote[320];
	char diagnostic[1600];
};

struct world {
	struct event_base *base;
	struct agent agent;
	struct ipc_channel *queue_here, *queue_there; /* the agent's end, the test's end */
	struct ipc_channel *resolver_here, *resolver_there;
	struct ipc_channel *lookup_here, *lookup_there;
	enum ipc_type lookup_says; /* to any question; 0: nothing */
	const char
	    *table_value; /* to MAP_ASK, where lookup_says MAP_ANSWER; NULL: not found; "!": temporary */
	const struct dns_row *dns; /* ends with a NULL name; what is not there is DNS_NO_NAME */
	unsigned questions;
	uint32_t attempt; /* the last one */
	struct world_outcome outcomes[WORLD_OUTCOMES];
	unsigned done; /* jobs */
	unsigned hop; /* of the last one */
	char hop_reason[500];
	struct buf trace;
	struct buf log;
};

struct world_mail {
	const char *nexthop;
	const char *transport; /* NULL: smtp */
	int64_t waited_us; /* since it arrived */
	const char *sender; /* NULL: s@here.test */
	const char *recipients[WORLD_OUTCOMES]; /* none: r@far.test */
	uint32_t flags;
	uint8_t notify;
	const char *orcpt, *orig_to;
	const char *envid;
	struct span content;
	bool in_file;
	bool again; /* the attempt of the last one once more */
};

struct world *world_new(const char *conf);
void world_free(struct world **w);

/* Sends a job and turns the loop until it is done; false if it is not after some seconds. */
bool world_deliver(struct world *w, const struct world_mail *mail);

/* The same in two steps. */
void world_send(struct world *w, const struct world_mail *mail);
bool world_wait(struct world *w, unsigned done);
void world_turn(struct world *w, unsigned milliseconds);

/* The queue dies; and it is there again. */
void world_lose_queue(struct world *w);
void world_find_queue(struct world *w);

#endif
