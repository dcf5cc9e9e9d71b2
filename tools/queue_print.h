/*
 * queue_print: the queue as mailq shows it, from the rows that queue sends.
 */
#ifndef POSTERN_TOOLS_QUEUE_PRINT_H
#define POSTERN_TOOLS_QUEUE_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/span.h"

struct queue_print {
	FILE *to;
	uint64_t messages;
	uint64_t bytes;
};

/* One row of a listing: a JSON object. */
void queue_print_row(struct queue_print *p, struct span row);

/* Nothing of it but the queue id, in a line. */
void queue_print_id(struct queue_print *p, struct span row);

/* The line behind all; chosen: there may be other mail in the queue. */
void queue_print_end(struct queue_print *p, bool chosen);

#endif
