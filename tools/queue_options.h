/*
 * queue_options: the words behind "postern queue VERB": filters, ids and how the answer is shown. Filters are checked and
 * normalised here; the queue process applies them.
 */
#ifndef POSTERN_TOOLS_QUEUE_OPTIONS_H
#define POSTERN_TOOLS_QUEUE_OPTIONS_H

#include "common/base/buf.h"
#include "tools/tool.h"

struct queue_options {
	struct buf args; /* filters and ids, a line "name=value" each, as CONTROL_ASK wants them */
	bool json, watch, count_only, ids_only;
	bool chosen; /* by a filter or an id */
	const char *by; /* of --by; NULL: it was not given */
	uint32_t seen; /* options, a bit each */
};

/* Of one that is zeroed. */
void queue_options_init(struct queue_options *options);
void queue_options_free(struct queue_options *options);

/* argv[0] is not looked at. Returns 0, or a status of sysexits(3): it was told. */
int queue_options_parse(struct queue_options *options, const struct tool *tool, int argc, char **argv);

/* A line "name=ADDRESS" of an address, or of a domain behind '@', whose domain gets the A-labels that the queue knows it by. */
void queue_options_put_address(struct buf *args, const char *name, struct span address);

#endif
