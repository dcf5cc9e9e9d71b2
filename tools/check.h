/*
 * check: its parts. Each prints one line for each mistake and returns how many there were.
 */
#ifndef POSTERN_TOOLS_CHECK_H
#define POSTERN_TOOLS_CHECK_H

#include <stddef.h>

#include "common/conf/conf.h"

size_t check_tables(const struct conf *c);

#endif
