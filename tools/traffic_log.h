/*
 * traffic_log: what goes into this run of sendmail(1) and comes out of it, in sendmail's form (-X): the number of the
 * process, "<<<" or ">>>", and a line. One for the process; without it nothing is written.
 */
#ifndef POSTERN_TOOLS_TRAFFIC_LOG_H
#define POSTERN_TOOLS_TRAFFIC_LOG_H

#include "common/base/error.h"
#include "common/base/span.h"

/* Appends to a regular file, a FIFO or a device; a new file is its owner's alone. -1 with err. */
int traffic_log_open(const char *path, struct error *err);
void traffic_log_close(void);

/* Octets that were read, which may be any part of a line, or of several. */
void traffic_log_in(struct span bytes);

/* One line, without its end. */
void traffic_log_out(struct span line);

#endif
