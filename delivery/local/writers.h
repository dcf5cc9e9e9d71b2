/*
 * writers: the processes that write mailboxes, as the root part sees them (writer.h is their inside).
 *
 * One for each mailbox, kept for some seconds after its last letter; a bounded number in all. When none may be added,
 * letters wait in the order in which they came, and a writer that has nothing left makes room for the next mailbox.
 */
#ifndef POSTERN_LOCAL_WRITERS_H
#define POSTERN_LOCAL_WRITERS_H

#include "common/conf/conf.h"
#include "delivery/local/letter.h"
#include "delivery/local/target.h"

struct event_base;
struct writers;

/* Opens this program itself, to be executed again. NULL with err. */
struct writers *writers_new(struct event_base *base, bool privileged, struct error *err);
void writers_free(struct writers **w);

/* status: "2.0.0"; text: bounded, from a process that is not trusted. */
typedef void writers_done(void *context, enum outcome_class class, struct span status, struct span text);

/* letter lives until done, which is never called before this returns. */
void writers_deliver(struct writers *w, const struct conf_values *v, const struct target *target,
    const struct letter *letter, writers_done *done, void *context);

#endif
