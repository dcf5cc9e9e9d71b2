/*
 * users: messages and recipients of who authenticated, by hour and by day (smtpd_user_message_limit_hour and its kin).
 *
 * Hours and days are each user's own: the first message begins one. What is refused does not count. The table is bounded:
 * who was not heard of for longest goes first.
 */
#ifndef POSTERN_POLICY_USERS_H
#define POSTERN_POLICY_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/ipc/protocol.h"

struct users;

/* By enum user_limit; 0: none. */
struct user_limits {
	uint32_t most[USER_LIMIT_COUNT];
};

struct user_verdict {
	enum user_standing standing;
	enum user_limit limit; /* the one that is exceeded furthest */
	uint32_t count; /* with this message */
	bool tell; /* USER_BEYOND: postmaster was not told today */
};

struct users *users_new(size_t max_users);
void users_free(struct users **u);
size_t users_size(const struct users *u);

/* user sends a message to so many recipients. Names that differ in case alone are one user. */
struct user_verdict users_message(
    struct users *u, struct span user, uint32_t recipients, const struct user_limits *limits, int64_t now_us);

/* Postmaster is told of that user. */
void users_told(struct users *u, struct span user, int64_t now_us);

#endif
