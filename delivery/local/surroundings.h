/*
 * surroundings: what a command finds in its environment: what is written there, and nothing else.
 */
#ifndef POSTERN_LOCAL_SURROUNDINGS_H
#define POSTERN_LOCAL_SURROUNDINGS_H

#include "delivery/local/local.h"

enum { SURROUNDINGS_MAX = 24000 };

/* PATH and what export_environment names. Strings end in NUL. */
void surroundings_export(const struct conf_values *v, struct buf *out);

/*
 * The same, and what local(8) says of the message, with the characters of command_expansion_filter alone. HOME and SHELL
 * are those of the recipient, or of the user who owns the alias; where default_privs does it there are none.
 */
void surroundings_of_recipient(const struct job_recipient *r, const struct target *rights, struct buf *out);

#endif
