#include "tools/check_actions.h"

#include <stdio.h>

#include "common/mail/check_action.h"

enum { SHOWN_MAX = 60, TOLD_MAX = 20 };

struct actions {
	const char *table, *path, *parameter;
	bool body, outgoing;
	size_t bad;
};

/* What a pattern will put in is not known here: with $1 only the action itself can be wrong. */
static const char *
wrong(const struct actions *a, struct span value)
{
	struct check_action action;
	const char *trouble = check_action_parse(value, a->body, a->outgoing, &action);

	return action.known && span_find(value, '$') >= 0 ? NULL : trouble;
}

static void
look_at_rule(unsigned line, struct span result, void *context)
{
	struct actions *a = context;
	const char *trouble = wrong(a, result);

	if (trouble == NULL || a->bad++ >= TOLD_MAX)
		return;
	if (a->path)
		(void)printf("%s:%u: ", a->path, line);
	else
		(void)printf("%s: ", a->table);
	(void)printf("%s: \"%.*s\": %s\n", a->parameter, SPAN_ARG(span_sub(result, 0, SHOWN_MAX)), trouble);
}

static bool
look_at_entry(struct span key, struct span value, void *context)
{
	struct actions *a = context;
	const char *trouble = wrong(a, value);

	if (trouble != NULL && a->bad++ < TOLD_MAX)
		(void)printf("%s: %s: %.*s: \"%.*s\": %s\n", a->table, a->parameter,
		    SPAN_ARG(span_sub(key, 0, SHOWN_MAX)), SPAN_ARG(span_sub(value, 0, SHOWN_MAX)), trouble);
	return true;
}

size_t
check_actions(struct map *map, const char *table, const char *parameter)
{
	struct span name = span_of(parameter);
	struct actions a = {.table = table, .path = map_path(map), .parameter = parameter};
	struct error ignored;

	if (!span_ends_nocase(name, "header_checks") && !span_ends_nocase(name, "body_checks"))
		return 0;
	a.body = span_ends_nocase(name, "body_checks");
	a.outgoing = span_starts(name, "smtp_") || span_starts(name, "lmtp_");
	map_each_rule(map, look_at_rule, &a);
	(void)map_each(map, look_at_entry, &a, &ignored);
	if (a.bad > TOLD_MAX)
		(void)printf("%s: and more of that kind\n", table);
	return a.bad;
}
