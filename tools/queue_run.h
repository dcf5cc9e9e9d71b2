/*
 * queue_run: a question of "postern queue" to the queue, and the rows that come of it.
 */
#ifndef POSTERN_QUEUE_RUN_H
#define POSTERN_QUEUE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "tools/queue_options.h"
#include "tools/queue_print.h"
#include "tools/queue_stats.h"
#include "tools/tool.h"

struct queue_run {
	struct tool *tool;
	struct queue_options options;
	struct buf drops; /* what is chosen of the drop directory: without states */
	uint64_t limit, lines; /* 0: as many as there are; that were printed */
	struct buf partial; /* of a row that came in pieces */
	struct queue_print print;
	struct queue_stats *stats;
	enum { ROWS_CONTENT, ROWS_LINES, ROWS_PROGRESS } rows;
	bool terminal;
	const char *dir;
	bool progress_shown;
	bool skip_first; /* stats: the total */
	uint32_t taken;
	uint8_t status;
	uint64_t count;
	char text[1001];
};

/* A row, as queue or the drop directory has it. */
void queue_run_take(struct queue_run *r, struct span line);

/* Asks with options.args. 0 with count, or an exit status of which has been told. */
int queue_run_ask(struct queue_run *r, const char *verb);

/* The same for an act, about as many ids as xargs gives: in parts, where they are too many for one question. count is of all. */
int queue_run_act(struct queue_run *r, const char *verb);

#endif
