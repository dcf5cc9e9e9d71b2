/*
 * clock: microseconds. Deadlines and intervals use the monotonic clock; dates that people read the wall clock.
 */
#ifndef POSTERN_BASE_CLOCK_H
#define POSTERN_BASE_CLOCK_H

#include <stdint.h>

#define US_PER_MS ((int64_t)1000)
#define US_PER_SECOND ((int64_t)1000000)

int64_t clock_mono_us(void);
int64_t clock_wall_us(void);

#endif
