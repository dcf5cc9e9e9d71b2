/*
 * check: what access(5) tables answer. smtpd takes a word that it does not know for a restriction, and refuses with 451.
 */
#ifndef POSTERN_TOOLS_CHECK_VERDICTS_H
#define POSTERN_TOOLS_CHECK_VERDICTS_H

#include <stddef.h>

#include "common/conf/conf.h"

/* Prints a line for each answer that makes no sense, with the place of its key in the text. Returns how many there are. */
size_t check_verdicts(const struct conf *c);

#endif
