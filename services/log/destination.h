/*
 * destination: where log lines go: syslog, a file, or standard output.
 *
 * Lines are gathered and written many at once (destination_flush). What cannot be written waits, half a megabyte of it; what
 * comes beyond that is dropped and counted, and the count is told where it has a place among what waits.
 */
#ifndef POSTERN_LOG_DESTINATION_H
#define POSTERN_LOG_DESTINATION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

struct destination;

/* Lines are gathered until it is said where they go. While this is called files can be opened (the time zone's). */
struct destination *destination_new(void);
void destination_close(struct destination **d);

/* facility: by name. */
void destination_to_syslog(struct destination *d, const char *facility);

/* A file or standard output: fd is taken over. What was gathered still goes to the old one. */
void destination_to_file(struct destination *d, int fd);

/* One line of the process pid. level is syslog's; ident is whole ("postern/smtpd"). */
void destination_line(
    struct destination *d, int level, int64_t time_us, struct span ident, uint32_t pid, struct span text);

/* True if something was written. */
bool destination_flush(struct destination *d);

/* Something was not written or not told: destination_flush() is to be called again, even if no line comes. */
bool destination_owes(const struct destination *d);

#endif
