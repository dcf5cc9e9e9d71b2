/*
 * command: the lines of MAIL and RCPT with the parameters that the peer understands.
 */
#ifndef POSTERN_DELIVERY_SMTP_COMMAND_H
#define POSTERN_DELIVERY_SMTP_COMMAND_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "delivery/smtp/hello.h"
#include "delivery/smtp/job.h"

/* Nothing that the queue holds may end a command line or begin another: no control characters. */
bool command_is_safe(struct span address);

/* Both append one line. The addresses must be safe. */
void command_mail(struct buf *out, const struct job *job, const struct capabilities *peer, bool to_7bit);
void command_rcpt(
    struct buf *out, const struct job *job, const struct recipient *rcpt, const struct capabilities *peer);

#endif
