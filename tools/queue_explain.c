/*
 * postern queue explain ID [--json]: why a message is not delivered now, in words or as one JSON object.
 *
 * queue tells facts (queue/control/explain.c); why the tables lead to a recipient's route is asked of the same engine
 * that lookup runs, with the tables as they are now.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "tools/explain_facts.h"
#include "tools/queue_ask.h"

enum { ARGS_MAX = 200, FACTS_MAX = 8 << 20 };

int
queue_explain(int argc, char **argv, struct tool *tool)
{
	struct buf args, rows;
	const char *id = NULL;
	bool json = false;
	int status = 0;

	for (int i = 1; i < argc && status == 0; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (argv[i][0] == '-' || id || strchr(argv[i], '\n'))
			return tool_fail(tool, EX_USAGE, "usage: postern queue explain ID [--json]");
		else
			id = argv[i];
	}
	if (!id)
		return tool_fail(tool, EX_USAGE, "usage: postern queue explain ID [--json]");
	buf_init(&args, ARGS_MAX);
	buf_init(&rows, FACTS_MAX);
	buf_printf(&args, "id=%s\n", id);
	if (args.full)
		status = tool_fail(tool, EX_USAGE, "explain wants one queue id");
	if (status == 0)
		status = queue_ask(tool, "explain", buf_span(&args), &rows);
	if (status == 0) {
		struct facts *f = facts_parse(buf_span(&rows));

		facts_trace_routes(f, tool);
		if (json)
			facts_print_json(f, stdout);
		else
			facts_print_text(f, stdout);
		facts_free(&f);
	}
	buf_free(&args);
	buf_free(&rows);
	return status;
}
