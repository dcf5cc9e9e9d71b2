/*
 * workers: threads that answer the questions for which a table may have to wait.
 *
 * The loop hands a question over and goes on. Equal questions under way are one. At most 'threads' are answered at
 * once; the others wait in a queue with a bound, and a question that has no answer in WORKERS_SECONDS is answered
 * LOOKUP_TEMPORARY, whatever its thread still waits for. Threads come when they are needed and go after a minute
 * without a question; with them go their connections to servers. A thread uses nothing of the loop's: what it has to
 * say is brought to the loop with the answers.
 */
#ifndef POSTERN_LOOKUP_WORKERS_H
#define POSTERN_LOOKUP_WORKERS_H

#include "services/lookup/desk.h"

struct event_base;

enum { WORKERS_SECONDS = 40, WORKERS_QUESTIONS_MAX = 20000, WORKERS_IDLE_SECONDS = 60 };

struct workers;

/* tell: the loop's own sink, for what threads complain of; its send() is not used. NULL with err. */
struct workers *workers_new(struct event_base *base, const struct route_interfaces *interfaces,
    const struct desk_sink *tell, struct error *err);

/* From the next question on; threads make new desks. */
void workers_configure(struct workers *w, const struct conf *conf, unsigned threads);

/* Tables changed: threads look at theirs before they answer a question of this generation. */
void workers_generation(struct workers *w, uint64_t generation);

/* Whether any table is in trouble: only then do threads tell that a table answers. */
void workers_troubled(struct workers *w, bool any);

/* The answer is sent to channel when it is there, also when it is that there is none. */
void workers_ask(struct workers *w, struct ipc_channel *channel, const struct ipc_frame *ask);

/* The connection ended: its answers are for nobody. */
void workers_forget(struct workers *w, const struct ipc_channel *channel);

/* Nothing is under way. */
bool workers_idle(const struct workers *w);

/* How many answers were given. */
uint64_t workers_answered(const struct workers *w);

#endif
