/*
 * world: a whole queue in one process, with a submitter, a delivery worker and a pickup that the test plays.
 *
 * The skeleton's functions (server_*) are the world's own. Conversations run over real channels.
 */
#ifndef POSTERN_TESTS_UNIT_QUEUE_WORLD_H
#define POSTERN_TESTS_UNIT_QUEUE_WORLD_H

#include "queue/queue.h"

enum { WORLD_JOBS_MAX = 4096 };

struct world {
	struct queue queue;
	struct event_base *base;
	struct conf *conf;
	char dir[64];
	struct ipc_channel *submitter, *delivery, *pickup; /* the test's ends */
	struct ipc_channel *from_submitter, *to_delivery, *to_pickup; /* the queue's ends */
	bool no_delivery; /* no worker is there */
	bool
	    leaving_delivery; /* beside it there is the one that a reload replaced, which has told of nothing yet */
	char notice[600]; /* what master was told */

	/* What the worker does. */
	enum outcome_class outcome;
	const char *status, *text;
	enum hop_state hop_state;
	/* For who looks closer: may change the outcome; the content in pieces, then an empty one. NULL: nobody does. */
	void (*on_rcpt)(
	    struct world *w, uint64_t id, const struct msg_job_rcpt *r, struct msg_job_outcome *o);
	void (*on_content)(struct world *w, uint64_t id, struct span bytes);
	void *context; /* theirs */
	void (*on_job)(
	    struct world *w, const struct ipc_frame *frame); /* instead of all that: the worker itself */
	unsigned outcome_flags;
	bool keep_jobs; /* does not answer */
	unsigned delivered, jobs, notifications, trace_ends;
	uint64_t delivered_ids[WORLD_JOBS_MAX];
	size_t content_octets, reported_octets; /* that jobs and that notifications brought */
	char last_recipient[200];
	char reported_text[1000]; /* of the first recipient that a notification told of */
	uint32_t open_call;
	uint64_t call_ids[WORLD_JOBS_MAX]; /* by conversation */

	/* The last answer to a submission. */
	bool answered;
	enum submit_status submit_status;
	uint64_t submit_id;
	void (*on_answer)(struct world *w); /* may be NULL */
};

/* A new directory, or one that a world was in before. settings: "name = value" lines. Ends the test if it does not start. */
extern bool world_without_delivery; /* for the next world_open(): no worker is there */
extern bool world_without_waiting; /* it returns before the log is read */
struct world *world_open(const char *dir, const char *settings);

/* Ends the threads and frees all; the directory stays. */
void world_close(struct world **w);
void world_remove(const char *dir);

/* One turn of the loop, or none if nothing happens within ms. */
void world_turn(struct world *w, unsigned ms);

/* Turns until condition (an expression) or 10 s; false then. */
#define WORLD_UNTIL(w, condition)                                                                            \
	({                                                                                                   \
		bool met_ = world_until_step(w, true);                                                       \
		while (!(met_ = (condition)) && world_until_step(w, false))                                  \
			;                                                                                    \
		met_;                                                                                        \
	})
bool world_until_step(struct world *w, bool first);

/* Sends a message to 'count' recipients "r0@far.test" ...; the answer comes later. Content is one letter, by id. */
void world_send(
    struct world *w, uint64_t id, const char *sender, unsigned count, size_t octets, unsigned flags);

/* What keep_jobs kept from the last job of one recipient: it is answered now. */
void world_answer_job(struct world *w);

/* The same, and waits. */
enum submit_status world_submit(
    struct world *w, uint64_t id, const char *sender, unsigned count, size_t octets);

#endif
