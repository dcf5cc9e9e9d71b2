/*
 * failures: attempts to authenticate that failed, by client address (IPv6: by /64) and by account, for all workers together.
 *
 * A window is each one's own and begins with its first failure. Beyond its limit an address is refused until its window is
 * over, and an account too, except for addresses from which its owner came lately: these only wait longer. So nobody is
 * locked out at home by a stranger who tries passwords elsewhere. An attempt counts as failed until its end is known;
 * one that was refused here does not count, so that an address cannot use up more of an account than its own limit.
 *
 * Names and addresses are kept as hashes under the process's own key; each table is bounded, and who failed longest ago goes first.
 */
#ifndef POSTERN_POLICY_FAILURES_H
#define POSTERN_POLICY_FAILURES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/ipc/protocol.h"

struct failures;

/* 0: none of that kind. */
struct failure_limits {
	uint32_t address, account;
	int64_t window_us;
	uint32_t longest_delay_ms;
};

struct failure_verdict {
	const char *refused; /* why, or NULL */
	uint32_t delay_ms; /* for the answer, if it is a failure */
};

/* Each of the three tables has at most so many entries. */
struct failures *failures_new(size_t max_entries);
void failures_free(struct failures **f);

/* address: "" if the client is spared: then only the account counts. user: case of ASCII does not matter. */
struct failure_verdict failures_try(struct failures *f, const struct failure_limits *limits,
    struct span address, struct span user, int64_t now_us);

/* What became of an attempt that was let through. */
void failures_result(struct failures *f, const struct failure_limits *limits, struct span address,
    struct span user, enum auth_status status, int64_t now_us);

/* For tests: entries in all. */
size_t failures_size(const struct failures *f);

#endif
