/*
 * explain_facts: what queue tells of one message, and the ways to say it.
 */
#ifndef POSTERN_TOOLS_EXPLAIN_FACTS_H
#define POSTERN_TOOLS_EXPLAIN_FACTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "tools/tool.h"

enum { FACT_VALUES = 12 };

/* A line of the answer. Values that are missing are empty. */
struct fact {
	struct span name;
	struct span values[FACT_VALUES];
};

/* One recipient's facts: 'at' is its "rcpt", the others follow up to 'end'. */
struct fact_recipient {
	size_t at, end;
	struct buf route; /* why, a step a line; empty if it was not asked for */
	bool route_asked, route_failed;
	char transport[65], nexthop[501]; /* what the tables say now */
};

struct facts {
	struct fact *list;
	size_t count;
	struct fact_recipient *recipients;
	size_t recipient_count;
};

/* rows must live as long as the facts. */
struct facts *facts_parse(struct span rows);
void facts_free(struct facts **f);

/* The first of that name among all facts, or among a recipient's. NULL if there is none. */
const struct fact *facts_find(const struct facts *f, const char *name);
const struct fact *facts_find_of(const struct facts *f, const struct fact_recipient *r, const char *name);
int64_t fact_number(const struct fact *fact, size_t i);

/* The second that a moment is in, as log and listings say it. What the spool's clock gave may be a little too early. */
int64_t fact_seconds(int64_t wall_us);

/* Fills in 'route' of the first recipients. */
void facts_trace_routes(struct facts *f, struct tool *tool);

void facts_print_text(const struct facts *f, FILE *to);
void facts_print_json(const struct facts *f, FILE *to);

#endif
