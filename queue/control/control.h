/*
 * control: what the admin tools ask of queue, on the socket "unix:queue".
 *
 * Any user may connect; who may ask what is decided by the uid that the kernel tells of the other end.
 */
#ifndef POSTERN_QUEUE_CONTROL_H
#define POSTERN_QUEUE_CONTROL_H

#include "queue/filter.h"
#include "queue/queue.h"

int control_start(struct queue *q, struct error *err);

/* Resolves the names of authorized_*_users, while the user database can be read. */
void control_read_users(struct queue *q);

/* Takes up and drops sockets as master gives them. */
void control_listen(struct queue *q);

/* ---- control_row.c ---- */

/* postqueue -j's object, and ours, without newline. At most RECIPIENTS_SHOWN recipients. */
void control_row(struct buf *out, const struct message *m);

/* ---- control_walk.c ---- */

/* A conversation that goes through messages. */
struct walk {
	TAILQ_ENTRY(walk) link;
	struct queue *q;
	struct ipc_channel *channel; /* NULL: the tool is gone */
	uint32_t call;
	struct filter filter;
	uint64_t after; /* ids up to this one are done with */
	size_t next_id; /* in filter.ids */
	uint64_t count;
	uint64_t unacknowledged; /* rows sent beyond what the tool took */
	bool waiting, ended;
	/* Acts on one message; returns false if it does not count. */
	bool (*act)(struct walk *w, struct message *m);
	void (*finish)(struct walk *w);
	bool changes; /* act changes messages: they must be in memory */
	struct table *groups; /* of stats */
};

/* Takes filter over. Ends with w->finish, or CONTROL_DONE with the count. */
void walk_start(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *filter,
    bool (*act)(struct walk *w, struct message *m), bool changes, void (*finish)(struct walk *w));
void walk_row(struct walk *w, struct span row);
void walk_taken(struct ipc_channel *channel, uint32_t call, uint32_t rows);
void walk_channel_gone(struct ipc_channel *channel);

/* ---- answers ---- */
void control_done(
    struct ipc_channel *channel, uint32_t call, uint8_t status, uint64_t count, const char *text);

/* ---- control_act.c, control_stats.c, control_show.c ---- */
void control_show_gone(struct ipc_channel *channel);
bool act_list(struct walk *w, struct message *m);
bool act_hold(struct walk *w, struct message *m);
bool act_release(struct walk *w, struct message *m);
bool act_delete(struct walk *w, struct message *m);
bool act_retry(struct walk *w, struct message *m);
bool act_requeue(struct walk *w, struct message *m);
bool act_stats(struct walk *w, struct message *m);
void finish_stats(struct walk *w);
void control_show(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f);
void control_explain(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f);

#endif
