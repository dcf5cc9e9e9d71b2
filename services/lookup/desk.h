/*
 * desk: whoever answers questions has one: the loop, and each worker thread. Tables, an engine, and the answers to each
 * type of question.
 *
 * The loop's desk does not wait: where a table would, desk_answer() says so before anything was sent, and a worker's
 * desk answers the whole question anew.
 */
#ifndef POSTERN_LOOKUP_DESK_H
#define POSTERN_LOOKUP_DESK_H

#include "common/ipc/ipc.h"
#include "services/lookup/engine/route.h"

/* Where answers go, and what the desk has to tell. Called by desk_answer() and desk_look(). */
struct desk_sink {
	void (*send)(void *context, enum ipc_type type, const void *message);
	/* A question failed, for a reason that no table was told for. */
	void (*trouble)(void *context, const char *what, struct span text);
	map_complain *complain;
	map_state *state;
	void *context;
};

struct desk;

enum desk_result { DESK_MALFORMED = -1, DESK_ANSWERED, DESK_MUST_WAIT };

/* sink is copied. interfaces must live longer; conf is held. waits: tables that wait are asked. */
struct desk *desk_new(const struct conf *conf, const struct route_interfaces *interfaces,
    const struct desk_sink *sink, bool waits);
void desk_free(struct desk **d);

/*
 * Answers a MAP_ASK, RESOLVE_ASK, REWRITE_ASK or PERMIT_ASK of a peer of that role; generation is put into the answer. The
 * delivery agent is given no value that a pattern made of the key: it could name a file or command (catalogue H10).
 */
enum desk_result desk_answer(
    struct desk *d, enum role asker, const struct ipc_frame *ask, uint64_t generation, struct error *err);

/* Looks at all tables' files. True if any changed. */
bool desk_look(struct desk *d);

#endif
