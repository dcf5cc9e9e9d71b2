/*
 * hop: one next hop with what waits for it now: the scheduler's unit.
 */
#ifndef POSTERN_QUEUE_HOP_H
#define POSTERN_QUEUE_HOP_H

#include "queue/queue.h"

enum hop_kind { HOP_TO_DELIVERY, HOP_TO_LOCAL, HOP_TO_ERROR, HOP_TO_RETRY, HOP_TO_DISCARD };

/* Recipients of one message that wait for one hop and have one sender. */
struct hop_task {
	TAILQ_ENTRY(hop_task) link;
	struct hop *hop;
	struct message *message;
	struct recipient *first, *last;
	uint32_t count;
	bool flush;
};

TAILQ_HEAD(hop_task_list, hop_task);

struct hop {
	TAILQ_ENTRY(hop) link; /* in queue.runnable */
	char *key, *transport, *nexthop;
	enum hop_kind kind;
	struct hop_task_list tasks;
	unsigned ready; /* tasks */
	unsigned active; /* jobs */
	unsigned window, window_start, window_max;
	unsigned successes; /* since the window last grew */
	unsigned failures; /* jobs in a row that could not reach it */
	unsigned failures_max; /* with so many it is down */
	int64_t rate_delay_us; /* between two jobs; 0: none */
	uint32_t recipient_limit;
	uint32_t hash;
	bool runnable, fetching;
	int64_t pause_us; /* spool time until which nothing is tried; 0: none */
	int64_t down_since_us; /* spool time; 0: it is not down */
	int64_t index_due_us; /* earliest in the index, INT64_MAX: nothing */
	int64_t wake_us; /* in the heap */
	size_t heap_at; /* 1-based place in the heap, 0: not in it */
	int64_t used_us; /* monotonic, last job */
	char reason[300]; /* why it is down */
};

/* Finds or makes. */
struct hop *hop_get(struct queue *q, struct span transport, struct span nexthop);
struct hop *hop_find(struct queue *q, struct span key);

/* It may have become able to run. */
void hop_touch(struct queue *q, struct hop *hop);
void hop_set_wake(struct queue *q, struct hop *hop);

/* What the configuration says of its transport. */
void hop_set_limits(struct queue *q, struct hop *hop);

/* fetch.c: brings a share of what is due into memory. */
void hop_fetch(struct queue *q, struct hop *hop);

/* A job's end: what was learnt of the destination. */
void hop_feedback(struct queue *q, struct hop *hop, enum hop_state state, const char *text);

/* Takes up to max recipients off the first task: they are linked by 'next'. */
struct recipient *hop_take(
    struct queue *q, struct hop *hop, uint32_t max, struct message **m, uint32_t *count, bool *flush);

/* job.c: hands the next job of the hop to a worker. False: there is no worker now. */
bool job_start(struct queue *q, struct hop *hop);

/* What error, retry and discard transports come to, without a worker. */
void job_internal(struct queue *q, struct hop *hop);

#endif
