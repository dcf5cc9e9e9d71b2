/*
 * mark: a number that stands for a secret, so that two processes can speak of the same one without naming it.
 *
 * It tells nothing of a secret that cannot be guessed, such as a token; for passwords that people choose it is not made.
 */
#ifndef POSTERN_BASE_MARK_H
#define POSTERN_BASE_MARK_H

#include <stdint.h>

#include "common/base/span.h"

/* The same in all processes. Never 0. */
uint64_t secret_mark(struct span secret);

#endif
