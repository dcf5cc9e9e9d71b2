/*
 * report: what is said of a keyring in the log and by "postern status".
 */
#ifndef POSTERN_KEYS_REPORT_H
#define POSTERN_KEYS_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "services/keys/keyring.h"

enum { EXPIRY_WARN_DAYS = 14 };

/* A line for each certificate that was not in its place before. Those of tables are not told one by one. */
void report_new(const struct keyring *ring, const struct keyring *older);

/* What expires first, or has. "" without certificates. now: seconds since 1970. */
void report_state(const struct keyring *ring, int64_t now, char *text, size_t size);

/* A warning for each certificate that has expired or does so within EXPIRY_WARN_DAYS, up to a bound. */
void report_expiry(const struct keyring *ring, int64_t now);

#endif
