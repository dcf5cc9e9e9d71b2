/*
 * pickup: what the parts of this process share.
 */
#ifndef POSTERN_PICKUP_PICKUP_H
#define POSTERN_PICKUP_PICKUP_H

#include "common/mail/queue_id.h"
#include "common/server/server.h"

struct drop_dir;
struct drop_socket;
struct notice;
struct template_set;

struct pickup {
	struct server *server;
	struct queue_id_giver ids;
	bool ids_known; /* queue told which ids were used */
	size_t active; /* messages on their way: the process does not end before */
	struct drop_socket *socket;
	struct drop_dir *directory;
	struct template_set *templates;
	bool templates_of_file;
	struct notice *notices;
};

/* NULL while the queue is not there. */
static inline struct ipc_channel *
pickup_queue(const struct pickup *p)
{
	return p->ids_known ? server_peer(p->server, ROLE_QUEUE, 0) : NULL;
}

static inline const struct conf_values *
pickup_values(const struct pickup *p)
{
	return server_conf(p->server)->values;
}

#endif
