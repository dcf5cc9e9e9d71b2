/*
 * date: RFC 5322 dates (3.3) with the local zone, for Received, Date and reports.
 */
#ifndef POSTERN_MAIL_DATE_H
#define POSTERN_MAIL_DATE_H

#include <stdint.h>

enum { MAIL_DATE_SIZE = 64 };

/* "Sun, 22 Nov 2026 03:10:24 +0000 (UTC)". Returns text. The zone is read once at start: no file is needed later. */
char *mail_date_format(int64_t wall_us, char text[MAIL_DATE_SIZE]);

/* Reads the zone file while files may still be opened. */
void mail_date_init(void);

#endif
