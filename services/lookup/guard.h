/*
 * guard: tables of passwords are asked by PASSWORD_ASK and SCRAM_ASK alone. Peers name tables in their other questions, and
 * one that was taken over could name these, to read what is stored in them.
 */
#ifndef POSTERN_LOOKUP_GUARD_H
#define POSTERN_LOOKUP_GUARD_H

#include <stdbool.h>

#include "common/base/span.h"
#include "common/conf/conf.h"

/* A list of tables, as a peer wrote it, leads to a file of passwords, or hides where it leads. */
bool guard_refuses(const struct conf *conf, struct span tables);

#endif
