#include "common/conf/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

/* C's names cannot begin with a digit: "_2bounce_notice_recipient" loses its underscore here. */
#define IN_FILE(name) (#name + (#name[0] == '_'))
#define OFFSET(name) offsetof(struct conf_values, name)
#define BOOL(name, fallback, help) {IN_FILE(name), PARAM_BOOL, fallback, 0, 0, 1, NULL, help, OFFSET(name)},
#define INT(name, fallback, low, high, help)                                                                 \
	{IN_FILE(name), PARAM_INT, fallback, 0, low, high, NULL, help, OFFSET(name)},
#define SIZE(name, fallback, low, high, help)                                                                \
	{IN_FILE(name), PARAM_SIZE, fallback, 0, low, high, NULL, help, OFFSET(name)},
#define TIME(name, fallback, unit, low, high, help)                                                          \
	{IN_FILE(name), PARAM_TIME, fallback, unit, low, high, NULL, help, OFFSET(name)},
#define ENUM(name, fallback, words, help)                                                                    \
	{IN_FILE(name), PARAM_ENUM, fallback, 0, 0, 0, words, help, OFFSET(name)},
#define TEXT(name, fallback, help) {IN_FILE(name), PARAM_TEXT, fallback, 0, 0, 0, NULL, help, OFFSET(name)},
#define RAW(name, fallback, help) {IN_FILE(name), PARAM_RAW, fallback, 0, 0, 0, NULL, help, OFFSET(name)},
const struct param param_table[] = {
#include "common/conf/params.def"
};
#undef BOOL
#undef INT
#undef SIZE
#undef TIME
#undef ENUM
#undef TEXT
#undef RAW

const size_t param_count = sizeof(param_table) / sizeof(param_table[0]);

#define IGNORED(name) {name, UNSUPPORTED_IGNORED, NULL, NULL},
#define MISSING(name) {name, UNSUPPORTED_MISSING, NULL, NULL},
#define INSTEAD(name, advice) {name, UNSUPPORTED_MISSING, NULL, advice},
#define FIXED(name, value) {name, UNSUPPORTED_MISSING, value, NULL},
#define UNSAFE(name, harmless) {name, UNSUPPORTED_UNSAFE, harmless, NULL},
#define UNSAFE_INSTEAD(name, harmless, advice) {name, UNSUPPORTED_UNSAFE, harmless, advice},
static const struct unsupported unsupported_table[] = {
#include "common/conf/unsupported.def"
};
#undef IGNORED
#undef MISSING
#undef INSTEAD
#undef FIXED
#undef UNSAFE
#undef UNSAFE_INSTEAD

enum { UNSUPPORTED_COUNT = sizeof(unsupported_table) / sizeof(unsupported_table[0]) };

/* The longest name that is looked up or compared with others. */
enum { NAME_MAX_LEN = 64 };

const struct param *
param_find(struct span name)
{
	size_t low = 0, high = param_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = span_compare(name, span_of(param_table[middle].name));

		if (order == 0)
			return &param_table[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static bool
ends_with(struct span name, const char *suffix)
{
	size_t len = strlen(suffix);

	return name.len > len && memcmp(name.ptr + name.len - len, suffix, len) == 0;
}

const struct param *
param_of_transport(struct span name)
{
	static const char global[] = "default";

	if (ends_with(name, "_time_limit"))
		return param_find(SPAN_LIT("command_time_limit"));
	if (ends_with(name, "_initial_destination_concurrency"))
		return param_find(SPAN_LIT("initial_destination_concurrency"));
	for (size_t i = 0; i < param_count; i++) {
		const struct param *p = &param_table[i];

		if ((strncmp(p->name, "default_destination_", 20) == 0 ||
			strcmp(p->name, "default_transport_rate_delay") == 0) &&
		    ends_with(name, p->name + sizeof(global) - 1))
			return p;
	}
	return NULL;
}

/* Edits (a letter more, less, other, or two swapped) between the two; more than most counts as most + 1. */
static unsigned
edit_distance(struct span a, struct span b, unsigned most)
{
	unsigned rows[3][NAME_MAX_LEN + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t j = 0; j <= b.len; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned best = now[0] = (unsigned)i;

		for (size_t j = 1; j <= b.len; j++) {
			unsigned d = last[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);

			if (last[j] + 1 < d)
				d = last[j] + 1;
			if (now[j - 1] + 1 < d)
				d = now[j - 1] + 1;
			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
			    before[j - 2] + 1 < d)
				d = before[j - 2] + 1;
			now[j] = d;
			if (d < best)
				best = d;
		}
		if (best > most)
			return most + 1;
		unsigned *free_row = before;
		before = last;
		last = now;
		now = free_row;
	}
	return last[b.len];
}

const char *
name_nearest(struct span name, const char *(*candidate)(size_t number), size_t count)
{
	unsigned most = name.len < 8 ? 1 : name.len < 16 ? 2 : 4;
	const char *nearest = NULL;

	if (name.len > NAME_MAX_LEN)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		struct span other = span_of(candidate(i));
		unsigned d;

		if (other.len > NAME_MAX_LEN)
			continue;
		d = edit_distance(name, other, most);
		if (d <= most) {
			nearest = candidate(i);
			if (d == 0)
				break;
			most = d - 1;
		}
	}
	return nearest;
}

static const char *
param_name(size_t number)
{
	return param_table[number].name;
}

const struct param *
param_of_listeners(struct span name)
{
	char of_smtpd[CONF_NAME_MAX + sizeof("smtpd_")];

	if (!span_starts(name, "mua_") || !ends_with(name, "_restrictions") || name.len > CONF_NAME_MAX)
		return NULL;
	(void)snprintf(of_smtpd, sizeof(of_smtpd), "smtpd_%.*s", SPAN_ARG(span_from(name, strlen("mua_"))));
	return param_find(span_of(of_smtpd));
}

const char *
param_nearest(struct span name)
{
	return name_nearest(name, param_name, param_count);
}

/* A '*' at one end of the pattern stands for one character or more. */
static bool
family_has(const char *pattern, struct span name)
{
	size_t len = strlen(pattern);

	if (pattern[0] == '*')
		return ends_with(name, pattern + 1) && name.len >= len;
	if (pattern[len - 1] == '*')
		return name.len >= len && memcmp(pattern, name.ptr, len - 1) == 0;
	return span_is(name, pattern);
}

const struct unsupported *
unsupported_find(struct span name)
{
	for (size_t i = 0; i < UNSUPPORTED_COUNT; i++) {
		if (family_has(unsupported_table[i].name, name))
			return &unsupported_table[i];
	}
	return NULL;
}
