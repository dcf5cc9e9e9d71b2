/*
 * agent: what one delivery process has: its configuration, its peers, its idle connections, its jobs.
 */
#ifndef POSTERN_DELIVERY_SMTP_AGENT_H
#define POSTERN_DELIVERY_SMTP_AGENT_H

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct destinations;
struct event_base;
struct ipc_channel;
struct jobs;
struct own;
struct remembered;
struct server;
struct tls_client;
struct tls_keys;
struct transport_confs;

struct connection;
struct tls_facts;

struct agent {
	struct server *server;
	struct event_base *base;
	struct conf *conf; /* the present one: jobs and connections hold references to theirs */
	struct own *own;
	struct ipc_channel *resolver, *lookup; /* NULL while they are away */
	struct destinations *destinations;
	struct tls_keys *keys; /* our own certificates */
	struct tls_client *tls; /* NULL: the library could not be had */
	struct jobs *jobs;
	struct transport_confs *transports;
	struct remembered *remembered;
	size_t connections; /* open, idle and closing ones included */
	bool stopping;
	/* For who only looks: each handshake that went well, before it is judged. NULL: nobody. */
	void (*tls_inspect)(void *context, const struct connection *c, const struct tls_facts *facts);
	void *tls_inspect_context;
};

#endif
