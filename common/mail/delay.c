#include "common/mail/delay.h"

#include "common/base/clock.h"

enum { RESOLUTION_US = 10000 };

/*
 * Two significant digits, nothing below the resolution, no zeros at the end: 12.4 s is "12", 1.24 s "1.2", 0.071 s
 * "0.07", 4 ms "0". As Postfix logs them, so that log tools can read them.
 */
static void
append_delay(struct buf *out, int64_t us)
{
	int64_t unit = RESOLUTION_US, hundredths;

	if (us < 0) /* the clock stepped back */
		us = 0;
	while (us / unit >= 100)
		unit *= 10;
	hundredths = (us + unit / 2) / unit * (unit / RESOLUTION_US);
	if (hundredths % 100 == 0)
		buf_printf(out, "%lld", (long long)(hundredths / 100));
	else if (hundredths % 10 == 0)
		buf_printf(
		    out, "%lld.%lld", (long long)(hundredths / 100), (long long)(hundredths / 10 % 10));
	else
		buf_printf(out, "%lld.%02lld", (long long)(hundredths / 100), (long long)(hundredths % 100));
}

void
delay_format(struct buf *out, const struct delay_marks *marks)
{
	int64_t set_up_begin = marks->agent_us ? marks->agent_us : marks->active_us;
	int64_t set_up_end = marks->connected_us ? marks->connected_us : set_up_begin;

	buf_append_text(out, "delay=");
	append_delay(out, marks->done_us - marks->arrival_us);
	buf_append_text(out, ", delays=");
	append_delay(out, marks->active_us - marks->arrival_us);
	buf_append_text(out, "/");
	append_delay(out, set_up_begin - marks->active_us);
	buf_append_text(out, "/");
	append_delay(out, set_up_end - set_up_begin);
	buf_append_text(out, "/");
	append_delay(out, marks->done_us - set_up_end);
}
