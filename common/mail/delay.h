/*
 * delay: "delay=1.2, delays=0.1/0/0.4/0.7" as Postfix logs it: two significant digits, at least delay_logging
 * resolution of 10 ms.
 */
#ifndef POSTERN_MAIL_DELAY_H
#define POSTERN_MAIL_DELAY_H

#include <stdint.h>

#include "common/base/buf.h"

struct delay_marks {
	int64_t arrival_us; /* the client sent MAIL (or the message was picked up) */
	int64_t active_us; /* queue began to work on this attempt */
	int64_t agent_us; /* the delivery agent took the job */
	int64_t connected_us; /* connection set-up done, 0 if there was none */
	int64_t done_us;
};

void delay_format(struct buf *out, const struct delay_marks *marks);

#endif
