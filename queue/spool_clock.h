/*
 * spool_clock: the time by which mail ages.
 *
 * Spool time advances with the monotonic clock while queue runs and across restarts by the wall clock, forward only
 * and at most a day each: a clock that was set wrong expires no mail. Every commit mark carries it.
 */
#ifndef POSTERN_QUEUE_SPOOL_CLOCK_H
#define POSTERN_QUEUE_SPOOL_CLOCK_H

#include <stdint.h>

/* last: the highest spool time found in the log, 0 if none. */
void spool_clock_start(int64_t last_us, int64_t wall_us);

/* May be called in any thread. */
int64_t spool_clock_now(void);

/* What the wall clock will show at that spool time, if it goes on as it does. */
int64_t spool_clock_to_wall(int64_t spool_us);

#endif
