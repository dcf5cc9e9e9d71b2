/*
 * sendmail_input: the message on standard input, and what sendmail(1) itself takes from it.
 */
#ifndef POSTERN_TOOLS_SENDMAIL_INPUT_H
#define POSTERN_TOOLS_SENDMAIL_INPUT_H

#include <stdbool.h>

#include "tools/spooled.h"

enum { SENDMAIL_FROM_LINE_SIZE = 1200 };

/*
 * Reads fd to its end, or to a line with a single dot unless ignore_dots. Line ends become LF, the last line gets one;
 * "From " lines at the start are dropped, quoted ones (>From) too, and the first goes into from_line as far as it fits there.
 */
int sendmail_input_read(struct spooled *message, int fd, bool ignore_dots,
    char from_line[SENDMAIL_FROM_LINE_SIZE], struct error *err);

/* A separator of mailboxes at the start of a message: "From ", with any number of '>' before it. */
bool sendmail_is_from_line(struct span line);

#endif
