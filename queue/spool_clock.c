#include "queue/spool_clock.h"

#include "common/base/clock.h"
#include "common/mail/queue_id.h"

static const int64_t day_us = 86400 * US_PER_SECOND;
static int64_t base_us; /* spool time minus monotonic time */

void
spool_clock_start(int64_t last_us, int64_t wall_us)
{
	/* A time before 1970, or in the far future, would be taken for damage when it is read again. */
	int64_t now = wall_us < US_PER_SECOND           ? US_PER_SECOND
		      : wall_us > QUEUE_ID_CLOCK_MAX_US ? QUEUE_ID_CLOCK_MAX_US
							: wall_us;

	if (last_us > 0 && now < last_us)
		now = last_us;
	if (last_us > 0 && now > last_us + day_us)
		now = last_us + day_us;
	base_us = now - clock_mono_us();
}

int64_t
spool_clock_now(void)
{
	return base_us + clock_mono_us();
}

int64_t
spool_clock_to_wall(int64_t spool_us)
{
	return clock_wall_us() + (spool_us - spool_clock_now());
}
