/*
 * transport: what the configuration says of a transport's destinations, read once and not for each of them.
 */
#ifndef POSTERN_QUEUE_TRANSPORT_H
#define POSTERN_QUEUE_TRANSPORT_H

#include "queue/queue.h"
#include "queue/scheduler/window.h"

/* Who does the work. The last four are served by queue itself; what is for nobody waits. */
enum hop_kind { HOP_TO_DELIVERY, HOP_TO_LOCAL, HOP_TO_ERROR, HOP_TO_RETRY, HOP_TO_DISCARD, HOP_TO_NOBODY };

struct transport {
	struct queue *q;
	char *name;
	enum hop_kind kind;
	bool
	    knows_members; /* local: the names that its lists give to mailboxes, commands and files (member_name.h) */
	bool deferred; /* in defer_transports: nothing is tried unless somebody asks for it */
	bool is_of_mailboxes; /* local and virtual */
	struct window_rules rules;
	uint32_t recipient_limit; /* of one job */
	unsigned active, active_most; /* jobs; 0: no limit but those of its destinations */
	int64_t destination_delay_us; /* between two jobs for one destination; 0: none */
	int64_t delay_us; /* between two jobs, whatever the destination; 0: none */
	int64_t next_us; /* spool time: none begins before */
	struct hop_list waiting; /* hops that could go on but for that */
	unsigned hops;
	struct event *timer;
};

/* Finds or makes. NULL: there are as many as there may be, and all are in use. */
struct transport *transport_get(struct queue *q, struct span name);

/* A job may begin now. If not, the hops in 'waiting' go on when it may. */
bool transport_may_start(struct transport *t);
void transport_started(struct transport *t);

/* One of its jobs is over, or one that might have begun does not: the next hop in 'waiting' has its turn. */
void transport_go_on(struct transport *t);

void transports_configured(struct queue *q);

/* For table_free(). */
void transport_free(void *transport);

#endif
