/*
 * walk: a conversation that goes through messages in order of their ids, for listings and for what is done to many.
 *
 * What is in memory when it begins and what the index has are merged, page by page; where a message is in memory, memory
 * counts. Each entry is seen at most once, and all that stay queued are seen. Which messages of the index match is found in their
 * summaries (index/query.h); only those are read.
 */
#ifndef POSTERN_QUEUE_WALK_H
#define POSTERN_QUEUE_WALK_H

#include "queue/filter.h"
#include "queue/queue.h"

struct walk;

/* Acts on one message; returns false if it does not count. */
typedef bool walk_act(struct walk *w, struct message *m);

struct walk {
	TAILQ_ENTRY(walk) link;
	struct queue *q;
	struct ipc_channel *channel; /* NULL: the tool is gone */
	uint32_t call;
	struct filter filter;
	struct query_plan *plan;
	uint64_t *live; /* ids in memory at the start, ascending */
	size_t live_count, live_at;
	uint64_t after; /* ids up to this one are done with */
	size_t next_id; /* in filter.ids */
	uint64_t count, recorded; /* so many of them are durable */
	uint64_t marked; /* those that will be with the mark that is under way; 0: none is */
	const char *note; /* what the tool is told at the end */
	struct buf rows; /* gathered for the next frame */
	unsigned unacknowledged; /* frames sent beyond what the tool took */
	bool waiting, ended;
	bool failed; /* the index cannot be read or written, or the log cannot be written */
	struct error why;
	walk_act *act;
	void (*finish)(struct walk *w);
	bool changes; /* act changes messages: they must be in memory */
	int64_t told_us; /* when the tool heard of the progress */
	struct event *pause; /* until what was changed has left memory */
};

/* Takes filter over. Ends with finish, or CONTROL_DONE with the count. */
void walk_start(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *filter,
    walk_act *act, bool changes, void (*finish)(struct walk *w));
void walk_row(struct walk *w, struct span row);
void walk_taken(struct ipc_channel *channel, uint32_t call, uint32_t frames);
void walk_channel_gone(struct ipc_channel *channel);

#endif
