/*
 * queue_shape: postern called as qshape(1): the statistics of "postern queue stats", of the queues that it names.
 */
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tools/queue_names.h"

enum { WORDS_MAX = 12, STATES_MAX = 3 };

/* NULL: there never is anything in it here. False if Postfix has no such queue. */
static bool
state_of(const char *queue, const char **state)
{
	static const struct {
		const char *queue, *state;
	} rows[] = {{"incoming", "active"}, {"active", "active"}, {"deferred", "deferred"}, {"hold", "hold"},
	    {"maildrop", NULL}, {"corrupt", NULL}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		*state = rows[i].state;
		if (strcmp(rows[i].queue, queue) == 0)
			return true;
	}
	return false;
}

static bool
is_among(const char *const *states, size_t count, const char *state)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(states[i], state) == 0)
			return true;
	return false;
}

/* How it counts and lays out is always the same: options for that are taken, and change nothing. */
int
command_qshape(int argc, char **argv, struct tool *tool)
{
	static char queue[] = "queue", stats[] = "stats", by[] = "--by", sender[] = "sender-domain",
		    option[] = "--state";
	static const char *const usual[] = {"active", NULL};
	char *words[WORDS_MAX] = {queue, stats};
	const char *states[STATES_MAX], *state;
	size_t count = 0;
	int c, n = 2;

	opterr = 0;
	while ((c = getopt(argc, argv, "b:c:hlm:N:n:pst:w:")) != -1) {
		if (c == '?' || c == 'h')
			return tool_usage(tool, "qshape");
		if (c == 'c')
			tool->confdir = optarg;
		if (c == 's' && n == 2) {
			words[n++] = by;
			words[n++] = sender;
		}
	}
	for (const char *const *name = optind < argc ? (const char *const *)argv + optind : usual; *name;
	     name++) {
		if (!state_of(*name, &state))
			return tool_fail(tool, EX_USAGE, "there is no queue %s", *name);
		if (!state || is_among(states, count, state))
			continue;
		states[count++] = state;
		words[n++] = option;
		words[n++] = (char *)(uintptr_t)state;
	}
	return count > 0 ? command_queue(n, words, tool) : 0;
}
