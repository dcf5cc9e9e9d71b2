#include "services/policy/users.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"

#define HOUR_US (3600 * INT64_C(1000000))
#define DAY_US (24 * HOUR_US)

struct interval {
	int64_t since_us;
	uint32_t messages, recipients;
};

struct user {
	TAILQ_ENTRY(user) link;
	char *name;
	struct interval hour, day;
	int64_t told_us;
	bool told;
};

TAILQ_HEAD(user_list, user);

struct users {
	struct table *by_name;
	struct user_list heard; /* longest ago first */
	size_t max_users;
};

struct users *
users_new(size_t max_users)
{
	struct users *u = mem_alloc(sizeof(*u));

	u->by_name = table_new(max_users, NULL);
	u->max_users = max_users;
	TAILQ_INIT(&u->heard);
	return u;
}

static void
forget_first(struct users *u)
{
	struct user *user = TAILQ_FIRST(&u->heard);

	TAILQ_REMOVE(&u->heard, user, link);
	table_take(u->by_name, span_of(user->name));
	free(user->name);
	free(user);
}

void
users_free(struct users **u)
{
	if (!*u)
		return;
	while (!TAILQ_EMPTY(&(*u)->heard))
		forget_first(*u);
	table_free(&(*u)->by_name);
	free(*u);
	*u = NULL;
}

size_t
users_size(const struct users *u)
{
	return table_count(u->by_name);
}

/* Who has sent nothing for a day counts as nobody. */
static void
forget_old(struct users *u, int64_t now_us)
{
	struct user *first;

	for (int i = 0; i < 4; i++) {
		first = TAILQ_FIRST(&u->heard);
		if (!first || now_us - first->day.since_us < DAY_US ||
		    (first->told && now_us - first->told_us < DAY_US))
			return;
		forget_first(u);
	}
}

static struct user *
find_or_add(struct users *u, struct span name, int64_t now_us)
{
	char *folded = mem_strndup(name.ptr ? name.ptr : "", name.len);
	struct user *user;

	text_lower(folded, name.len);
	user = table_get(u->by_name, span_make(folded, name.len));
	if (user) {
		free(folded);
		TAILQ_REMOVE(&u->heard, user, link);
	} else {
		forget_old(u, now_us);
		if (table_count(u->by_name) >= u->max_users)
			forget_first(u);
		user = mem_alloc(sizeof(*user));
		user->name = folded;
		user->hour.since_us = user->day.since_us = now_us;
		table_put(u->by_name, span_make(folded, name.len), user);
	}
	TAILQ_INSERT_TAIL(&u->heard, user, link);
	return user;
}

static void
renew(struct interval *i, int64_t length_us, int64_t now_us)
{
	if (now_us - i->since_us >= length_us)
		*i = (struct interval){.since_us = now_us};
}

static uint32_t
sum(uint32_t a, uint32_t b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* By how much of itself a limit is exceeded, in percent: more is worse. */
static uint64_t
excess(uint32_t count, uint32_t most)
{
	return most && count > most ? (uint64_t)count * 100 / most : 0;
}

struct user_verdict
users_message(
    struct users *u, struct span name, uint32_t recipients, const struct user_limits *limits, int64_t now_us)
{
	struct user *user = find_or_add(u, name, now_us);
	struct user_verdict v = {.standing = USER_WITHIN};
	uint64_t worst = 0;

	renew(&user->hour, HOUR_US, now_us);
	renew(&user->day, DAY_US, now_us);
	const uint32_t counts[USER_LIMIT_COUNT] = {
	    [USER_MESSAGES_HOUR] = sum(user->hour.messages, 1),
	    [USER_MESSAGES_DAY] = sum(user->day.messages, 1),
	    [USER_RECIPIENTS_HOUR] = sum(user->hour.recipients, recipients),
	    [USER_RECIPIENTS_DAY] = sum(user->day.recipients, recipients),
	};
	for (unsigned i = 0; i < USER_LIMIT_COUNT; i++) {
		if (excess(counts[i], limits->most[i]) <= worst)
			continue;
		worst = excess(counts[i], limits->most[i]);
		v.limit = (enum user_limit)i;
		v.count = counts[i];
		v.standing = USER_BEYOND;
	}
	for (unsigned i = 0; i < USER_LIMIT_COUNT; i++)
		if (limits->most[i] && counts[i] > (uint64_t)limits->most[i] * 2)
			v.standing = USER_FAR_BEYOND;
	if (v.standing == USER_FAR_BEYOND)
		return v;
	user->hour.messages = counts[USER_MESSAGES_HOUR];
	user->day.messages = counts[USER_MESSAGES_DAY];
	user->hour.recipients = counts[USER_RECIPIENTS_HOUR];
	user->day.recipients = counts[USER_RECIPIENTS_DAY];
	v.tell = v.standing == USER_BEYOND && !(user->told && now_us - user->told_us < DAY_US);
	return v;
}

void
users_told(struct users *u, struct span name, int64_t now_us)
{
	struct user *user = find_or_add(u, name, now_us);

	user->told = true;
	user->told_us = now_us;
}
