/*
 * queue_stats: the table of "postern queue stats", as qshape(1) prints it, with the sizes behind.
 */
#ifndef POSTERN_TOOLS_QUEUE_STATS_H
#define POSTERN_TOOLS_QUEUE_STATS_H

#include <stdio.h>

#include "common/base/span.h"

struct queue_stats;

struct queue_stats *queue_stats_new(void);
void queue_stats_free(struct queue_stats **s);

/* A row as queue sends it, the first one the total; largest groups first. */
void queue_stats_row(struct queue_stats *s, struct span row);

/* Lines of at most that many columns; 0: as long as they are. */
void queue_stats_print(const struct queue_stats *s, FILE *to, unsigned columns);

#endif
