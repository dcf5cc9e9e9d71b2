/*
 * destination: where log lines go: syslog, a file, or standard output.
 *
 * Lines are gathered and written many at once (destination_flush). What cannot be written is dropped and counted; the
 * count is told as soon as writing works again.
 */
#ifndef POSTERN_LOG_DESTINATION_H
#define POSTERN_LOG_DESTINATION_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

struct destination;

/* file: "" for syslog, "/dev/stdout", or a path. facility: of syslog, by name. While this works files can be opened. */
struct destination *destination_open(const char *file, const char *facility, struct error *err);
void destination_close(struct destination **d);

/* One line of the process pid. level is syslog's; ident is whole ("postern/smtpd"). */
void destination_line(
    struct destination *d, int level, int64_t time_us, struct span ident, uint32_t pid, struct span text);
void destination_flush(struct destination *d);

/* That many lines were lost on the way here. */
void destination_lost(struct destination *d, uint64_t lines);

/* Looks whether the file was rotated away, and goes on with the new one. */
void destination_check(struct destination *d);

#endif
