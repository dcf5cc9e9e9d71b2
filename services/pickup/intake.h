/*
 * intake: a message of a local program, from its envelope to the queue's answer. The drop socket and the drop
 * directory are its sources: they feed it bytes as far as it has room.
 */
#ifndef POSTERN_PICKUP_INTAKE_H
#define POSTERN_PICKUP_INTAKE_H

#include "common/mail/drop_format.h"
#include "services/pickup/pickup.h"

struct intake;

struct intake_callbacks {
	/* intake_room() has grown. */
	void (*room)(void *context);
	/* The end; the intake is gone. status: of sysexits(3), EX_TEMPFAIL if the message is to be kept and tried again. */
	void (*done)(void *context, int status, uint64_t id, struct span text);
	void *context;
	bool unattended; /* nobody would hear of a refusal: a message that loops goes back to its sender */
};

/* The envelope must live until the end. NULL: try later. */
struct intake *intake_new(struct pickup *p, const struct drop_envelope *envelope, unsigned uid,
    const struct intake_callbacks *callbacks);

/* Octets that intake_write() takes now. */
size_t intake_room(const struct intake *i);

/* May end it: done() is then called before this returns. */
void intake_write(struct intake *i, struct span bytes);
void intake_close(struct intake *i);

/* The source is gone: nothing is submitted, done() is not called. Clears the caller's pointer, which may be NULL. */
void intake_abort(struct intake **i);

#endif
