/*
 * load: mail through a whole queue (tests/unit/queue/world.h), with a ledger of what is promised at each place of the
 * recorder's trace: what was acknowledged, what a worker has answered, which of that is durable, what is gone.
 *
 * The ledger is notes in the trace. ledger_apply() reads them up to a cut; ledger_check() looks at a queue that was started
 * on what the cut left:
 *   - each acknowledged recipient that no worker had answered for is delivered, whole, or on hold as it was
 *   - a recipient whose outcome was durable is not tried again, and a removed message does not come back
 *   - nothing is delivered that was never submitted, nor twice
 */
#ifndef POSTERN_TESTS_CRASH_LOAD_H
#define POSTERN_TESTS_CRASH_LOAD_H

#include "tests/crash/recorder.h"
#include "tests/unit/queue/world.h"

enum { LEDGER_MAX = 1024, LEDGER_RECIPIENTS = 4 };

struct promise {
	uint64_t id;
	unsigned recipients;
	uint64_t octets; /* of content */
	bool held;
	bool acknowledged, gone;
	bool answered[LEDGER_RECIPIENTS]; /* finally, by a worker: may be known */
	bool known[LEDGER_RECIPIENTS]; /* that is durable */
};

struct ledger {
	struct promise promises[LEDGER_MAX];
	size_t count;
};

void ledger_apply(struct ledger *l, const struct operation *note);

enum load_phase {
	LOAD_FIRST, /* an empty spool; ends cleanly */
	LOAD_AGAIN, /* ends in the middle, as kill -9 would */
	LOAD_AFTER, /* after that; ends cleanly */
	LOAD_ONE, /* an empty spool, one message in the log and one in a file, from arrival to end */
	LOAD_LIFE /* everything once, without much else, and a clean start after it: for failing calls */
};

/* Runs that phase in this process, in the directory; notes go to the recorder and (unless NULL) into l. */
void load_run(const char *dir, enum load_phase phase, struct ledger *l);

enum ledger_how {
	CHECK_ONCE = 0,
	CHECK_AGAIN = 1 << 0, /* the queue is started a second time on what it made of it */
	CHECK_CLEANING = 1 << 1, /* with other mail that makes segments go */
	CHECK_DAMAGED = 1 << 2 /* the log was: an outcome may be what was lost */
};

/* Starts a queue there. Returns 0, or -1 with the reason on standard error. lossy: promises[i].known may have come undone. */
int ledger_check(const struct ledger *l, const char *dir, unsigned how);

#endif
