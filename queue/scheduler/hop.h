/*
 * hop: one next hop with what waits for it now: the scheduler's unit; and what the scheduler's files share.
 */
#ifndef POSTERN_QUEUE_HOP_H
#define POSTERN_QUEUE_HOP_H

#include "queue/scheduler/kept.h"
#include "queue/scheduler/outside.h"
#include "queue/scheduler/transport.h"

/* Recipients of one message that wait for one hop and have one sender. */
struct hop_task {
	TAILQ_ENTRY(hop_task) link;
	struct hop *hop;
	struct message *message;
	struct recipient *first, *last;
	uint32_t count;
	uint32_t weight; /* of the total that may wait in memory */
	bool flush;
};

TAILQ_HEAD(hop_task_list, hop_task);
TAILQ_HEAD(job_list, job);

/*
 * What is known of a hop says which share of all jobs it may use, so that those who do not answer leave room for those
 * who do: a job that waits for a time-out lasts a thousand times as long as one that is done.
 */
enum hop_class {
	HOP_PROVEN, /* a job for it went well: all there are */
	HOP_NEW, /* nothing is known: three quarters */
	HOP_DOUBTFUL, /* its last job failed, or only mail that failed before waits for it: a quarter */
	HOP_CLASSES
};

enum hop_place {
	HOP_RESTS,
	HOP_IN_RING, /* of its class: it could have a job */
	HOP_BEHIND_TRANSPORT, /* it could, but for default_transport_rate_delay */
};

/* Of a row among those of one hop in the index; fresh mail is due at 0, where the ids alone tell rows apart. */
struct row_place {
	int64_t due;
	uint64_t id;
};

static inline bool
row_is_behind(struct row_place row, struct row_place place)
{
	return row.due > place.due || (row.due == place.due && row.id > place.id);
}

struct hop {
	TAILQ_ENTRY(hop) link; /* as place says */
	TAILQ_ENTRY(hop) hungry_link;
	enum hop_place place;
	enum hop_class ring; /* in which it stands */
	char *key, *nexthop;
	struct transport *transport;
	struct hop_task_list tasks;
	unsigned ready; /* tasks */
	unsigned active; /* jobs */
	unsigned slow; /* of them, those that take no place in the window */
	struct window window;
	bool proven; /* a job for it went well since the last that did not */
	bool hungry; /* something in the index is due, and there is no room in memory */
	bool suspending; /* what waits is being deferred, a slice a turn */
	bool fetching;
	uint32_t hash;
	int64_t pause_us; /* spool time until which nothing is tried (rate delay, no worker); 0: none */
	int64_t down_since_us; /* spool time; 0: it is not down */
	int64_t probe_us; /* while it is down: nothing is tried before */
	int64_t index_due_us; /* earliest in the index, INT64_MAX: nothing */
	int64_t fetch_us; /* nothing is fetched before */
	int64_t asked_us; /* what was made due up to then was asked for; 0: nothing */
	struct row_place after; /* so far the last fetch came, if there is more; zeroes: from the front */
	struct row_place came; /* while a fetch is under way: the foremost that came */
	int64_t wake_us; /* in the heap */
	size_t heap_at; /* 1-based place in the heap, 0: not in it */
	int64_t used_us; /* monotonic, last job */
	char *reason; /* why it is down; NULL: it never was */
};

struct scheduler {
	struct table *transports, *hops;
	size_t transports_max, hops_max; /* no more of them are made */
	struct outside outside;
	struct hop_list rings[HOP_CLASSES];
	struct hop_list hungry;
	struct hop_list suspending;
	unsigned jobs[HOP_CLASSES]; /* under way, by the class that the hop had */
	struct job_list under_way; /* those asked longest ago first */
	unsigned turns;
	uint64_t waiting; /* weight of all tasks */
	struct hop **heap; /* by next wake */
	size_t heap_count, heap_cap;
	struct event *wake_event, *run_event;
	bool run_armed;
	struct route_questions *routes;
	struct kept kept;
	uint64_t leaving; /* delivery's workers that will end, a bit each */
};

/* ---- hop.c ---- */

/* Finds or makes. NULL: there are as many as there may be, and outside.h finds it later. */
struct hop *hop_get(struct queue *q, struct span transport, struct span nexthop);
struct hop *hop_find(struct queue *q, struct span key);

/* NULL where nothing is known of it; hop_get() makes one. */
struct hop *hop_known(struct queue *q, struct span transport, struct span nexthop);
void hop_free(struct queue *q, struct hop *hop);

/* Something about it has changed: it takes the place that it belongs to now, and its wake is set. */
void hop_touch(struct queue *q, struct hop *hop);
enum hop_class hop_class_of(const struct hop *hop);
void hop_leave_place(struct queue *q, struct hop *hop);

/* A job's end: what was learnt of the destination. */
void hop_feedback(struct queue *q, struct hop *hop, enum hop_state state, const char *text);

/* An operator or ETRN asks: it is tried at once, whatever was learnt before. */
void hop_flush(struct queue *q, struct hop *hop);

/* defer_transports: what was made due up to then may be tried, for somebody asks for it. */
void hop_ask_for(struct hop *hop, int64_t due_spool_us);
bool hop_was_asked_for(const struct hop *hop, const struct recipient *r);

/* What waits first is deferred, and not tried. */
bool hop_is_deferred(const struct hop *hop);
void hop_defer(struct queue *q, struct hop *hop);

/* It is down, and the next question whether it is back is not due yet. */
bool hop_is_resting(const struct hop *hop);

/* Defers a slice of what waits for hops that are resting. Returns true if there is more. */
bool hops_suspend_some(struct queue *q);

/* ---- wake.c ---- */
void hop_set_wake(struct queue *q, struct hop *hop);
void hop_forget_wake(struct queue *q, struct hop *hop);
void wake_arm(struct queue *q);
void wake_due(struct queue *q);

/* ---- tasks.c ---- */

/* So many messages of one hop are in memory at most: from the index, and those that just came. */
enum { TASKS_FETCHED_MAX = 500, TASKS_FRESH_MAX = 5000 };

/* There is room in memory for something that waits for the hop. */
bool tasks_have_room(const struct queue *q, const struct hop *hop);

/* The recipient waits for its hop now. False: there is no room, and the index has it or will have it. */
bool tasks_add(struct queue *q, struct message *m, struct recipient *r, bool flush);

/* Takes up to max recipients off the first task: they are linked by 'next'. */
struct recipient *hop_take(
    struct queue *q, struct hop *hop, uint32_t max, struct message **m, uint32_t *count, bool *flush);
void tasks_drop_all(struct queue *q, struct hop *hop);

/* ---- fetch.c: brings a share of what is due into memory ---- */
void hop_fetch(struct queue *q, struct hop *hop);

/* ---- job.c ---- */

/* Hands the next job of the hop to a worker. False: there is no worker now. */
bool job_start(struct queue *q, struct hop *hop);

/* Up to max recipients of the first task come to the same, without a worker. Returns how many: 0 if none waits. */
uint32_t hop_finish(struct queue *q, struct hop *hop, uint32_t max, const struct outcome *o);

/* What error, retry and discard transports come to. */
void job_internal(struct queue *q, struct hop *hop);

/* ---- route.c ---- */
void routes_free(struct queue *q);

#endif
