#include "common/mail/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/span.h"

static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void
mail_date_init(void)
{
	tzset();
}

/* strftime() would use the locale's names. RFC 5322, 3.3: the comment with the zone's name is CFWS. */
char *
mail_date_format(int64_t wall_us, char text[MAIL_DATE_SIZE])
{
	time_t seconds = (time_t)(wall_us / US_PER_SECOND);
	char wide[160]; /* more than the compiler can imagine */
	struct tm tm;
	long offset;

	if (wall_us < 0 || localtime_r(&seconds, &tm) == NULL || tm.tm_year > 9999 - 1900) {
		seconds = 0;
		gmtime_r(&seconds, &tm);
		tm.tm_zone = "UTC";
	}
	offset = tm.tm_gmtoff / 60;
	snprintf(wide, sizeof(wide), "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld (%.12s)", days[tm.tm_wday],
	    tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    offset < 0 ? '-' : '+', labs(offset) / 60, labs(offset) % 60, tm.tm_zone ? tm.tm_zone : "UTC");
	span_copy(span_of(wide), text, MAIL_DATE_SIZE);
	return text;
}
