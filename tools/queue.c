/*
 * queue: postern queue ..., postern flush.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tools/queue_alone.h"
#include "tools/queue_ask.h"
#include "tools/queue_care.h"
#include "tools/queue_drops.h"
#include "tools/queue_move.h"
#include "tools/queue_run.h"
#include "tools/queue_watch.h"
#include "tools/tool.h"

enum { ROW_MAX = 256 << 20, WATCH_MS = 2000 };

/* ---- verbs ---- */

static void
take_drop(void *context, struct span line)
{
	queue_run_take(context, line);
}

/* Of what is chosen the drop directory's share, and the queue's: each sees its own states. False: the queue has none. */
static bool
split_states(struct queue_run *r, bool *drops)
{
	struct buf all = r->options.args;
	struct span rest = buf_span(&all), line;
	bool others = false;

	*drops = false;
	buf_init(&r->drops, all.max);
	buf_init(&r->options.args, all.max);
	while (span_next_line(&rest, &line)) {
		bool state = span_starts(line, "state="), drop = span_is_nocase(line, "state=maildrop");

		*drops = *drops || drop;
		others = others || (state && !drop);
		if (span_starts(line, "limit="))
			number_parse(span_from(line, 6), 1, UINT64_MAX, &r->limit);
		if (!drop)
			buf_printf(&r->options.args, "%.*s\n", SPAN_ARG(line));
		if (!state && !span_starts(line, "limit="))
			buf_printf(&r->drops, "%.*s\n", SPAN_ARG(line));
	}
	buf_free(&all);
	return others || !*drops;
}

/* What may still be taken of the drop directory after so many of the queue. NULL: nothing. */
static const char *
drops_after(struct queue_run *r, uint64_t count)
{
	if (r->limit > 0 && count >= r->limit)
		return NULL;
	if (r->limit > 0)
		buf_printf(&r->drops, "limit=%llu\n", (unsigned long long)(r->limit - count));
	return buf_text(&r->drops);
}

static void
count_drop(void *context, struct span line)
{
	struct queue_run *r = context;

	(void)line;
	r->count++;
}

static int
run_count(struct queue_run *r)
{
	bool drops, others = split_states(r, &drops);
	int status = others ? queue_run_ask(r, "count") : 0;
	const char *more = drops ? drops_after(r, r->count) : NULL;

	if (status == 0 && more)
		status = queue_drops_list(r->tool, more, count_drop, r);
	if (status == 0)
		printf(r->options.json ? "{\"messages\": %llu}\n" : "%llu\n", (unsigned long long)r->count);
	return status;
}

/* Of a listing of all, the drop directory is a part, and the youngest. */
static int
run_list(struct queue_run *r, const char *verb)
{
	bool drops, others, all = r->options.args.len == 0;
	const char *more;
	int status = 0;

	if (r->options.count_only)
		return run_count(r);
	r->rows = ROWS_LINES;
	r->print.to = stdout;
	others = split_states(r, &drops);
	if (others)
		status = queue_run_ask(r, verb);
	more = drops || all ? drops_after(r, r->lines) : NULL;
	if (status == 0 && more)
		status = queue_drops_list(r->tool, more, take_drop, r);
	if (status == 0 && !r->options.json && !r->options.ids_only)
		queue_print_end(&r->print, r->options.chosen);
	return status;
}

static int
ask_stats(struct queue_run *r, uint64_t limit)
{
	size_t before = r->options.args.len;
	int status;

	if (limit > 0)
		buf_printf(&r->options.args, "limit=%llu\n", (unsigned long long)limit);
	if (r->options.by)
		buf_printf(&r->options.args, "by=%s\n", r->options.by);
	r->rows = ROWS_LINES;
	r->skip_first = r->options.json;
	status = queue_run_ask(r, "stats");
	r->options.args.len = before;
	return status;
}

/* Keys choose what is grouped by. */
static void
watch_key(void *context, char key)
{
	static const struct {
		char key;
		const char *by;
	} keys[] = {{'d', "domain"}, {'s', "sender"}, {'n', "nexthop"}, {'r', "reason"}};
	struct queue_run *r = context;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].key == key)
			r->options.by = keys[i].by;
}

static int
draw_stats(void *context, unsigned rows, unsigned columns)
{
	struct queue_run *r = context;
	int status;

	if (!r->options.json)
		r->stats = queue_stats_new();
	status = ask_stats(r, rows);
	if (r->stats && status == 0)
		queue_stats_print(r->stats, stdout, columns);
	queue_stats_free(&r->stats);
	return status;
}

static int
run_stats(struct queue_run *r, const char *verb)
{
	const struct queue_watch watch = {.draw = draw_stats,
	    .key = watch_key,
	    .keys = "q quits; by d domain, s sender, n next hop, r reason",
	    .context = r,
	    .interval_ms = WATCH_MS};

	(void)verb;
	return r->options.watch ? queue_watch(&watch) : draw_stats(r, 0, queue_watch_columns());
}

static int
run_show(struct queue_run *r, const char *verb)
{
	return queue_run_ask(r, verb);
}

static int
run_act(struct queue_run *r, const char *verb)
{
	static const char *const done[][2] = {{"hold", "put on hold"}, {"release", "released"},
	    {"delete", "deleted"}, {"requeue", "requeued"}, {"retry", "to be retried now"}};
	bool drops = false, others = true;
	uint64_t deleted = 0;
	const char *more;
	int status = 0;

	if (r->options.count_only)
		return run_count(r);
	r->rows = ROWS_PROGRESS;
	r->terminal = isatty(STDERR_FILENO);
	if (strcmp(verb, "delete") == 0)
		others = split_states(r, &drops);
	if (others)
		status = queue_run_act(r, verb);
	more = drops ? drops_after(r, r->count) : NULL;
	if (status == 0 && more)
		status = queue_drops_delete_by(r->tool, more, &deleted);
	r->count += deleted;
	if (r->progress_shown)
		fputc('\n', stderr);
	if (status != 0)
		return status;
	if (r->options.json) {
		printf("{\"action\": \"%s\", \"messages\": %llu}\n", verb, (unsigned long long)r->count);
		return 0;
	}
	for (size_t i = 0; i < sizeof(done) / sizeof(done[0]); i++)
		if (strcmp(done[i][0], verb) == 0)
			printf("%llu message%s %s\n", (unsigned long long)r->count, r->count == 1 ? "" : "s",
			    done[i][1]);
	return 0;
}

static int
run_export(struct queue_run *r, const char *verb)
{
	(void)verb;
	return queue_export(r->tool, buf_span(&r->options.args), r->dir);
}

static int
run_import(struct queue_run *r, const char *verb)
{
	(void)verb;
	return r->options.args.len > 0 ? queue_care_usage(r->tool, "import") : queue_import(r->tool, r->dir);
}

static const struct {
	const char *name;
	int (*run)(struct queue_run *r, const char *verb);
	bool directory; /* behind the filters */
} verbs[] = {
    {"list", run_list, false},
    {"show", run_show, false},
    {"stats", run_stats, false},
    {"hold", run_act, false},
    {"release", run_act, false},
    {"delete", run_act, false},
    {"requeue", run_act, false},
    {"retry", run_act, false},
    {"export", run_export, true},
    {"import", run_import, true},
};

static void
run_free(struct queue_run *r)
{
	queue_options_free(&r->options);
	buf_free(&r->partial);
	buf_free(&r->drops);
	queue_stats_free(&r->stats);
}

int
command_queue(int argc, char **argv, struct tool *tool)
{
	struct queue_run r = {.tool = tool};
	int status;

	if (argc < 2)
		return tool_usage(tool, "queue");
	if (strcmp(argv[1], "explain") == 0)
		return queue_explain(argc - 1, argv + 1, tool);
	if (strcmp(argv[1], "verify") == 0)
		return queue_verify(argc - 1, argv + 1, tool);
	if (strcmp(argv[1], "rebuild") == 0)
		return queue_rebuild(argc - 1, argv + 1, tool);
	if (strcmp(argv[1], "backup") == 0)
		return queue_backup(argc - 1, argv + 1, tool);
	if (strcmp(argv[1], "edit") == 0)
		return queue_edit(argc - 1, argv + 1, tool);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		queue_options_init(&r.options);
		buf_init(&r.partial, ROW_MAX);
		if (verbs[i].directory && (argc < 3 || argv[argc - 1][0] == '-'))
			return queue_care_usage(tool, argv[1]);
		r.dir = argv[argc - 1];
		status = queue_options_parse(&r.options, tool, argc - (verbs[i].directory ? 2 : 1), argv + 1);
		if (status == 0)
			status = verbs[i].run(&r, argv[1]);
		run_free(&r);
		return status;
	}
	return tool_fail(tool, EX_USAGE, "there is no command queue %s; see postern queue --help", argv[1]);
}

int
command_flush(int argc, char **argv, struct tool *tool)
{
	struct queue_run r = {.tool = tool};
	int status;

	queue_options_init(&r.options);
	buf_init(&r.partial, ROW_MAX);
	r.rows = ROWS_PROGRESS;
	r.terminal = isatty(STDERR_FILENO);
	status = queue_options_parse(&r.options, tool, argc, argv);
	if (status == 0)
		status = queue_run_ask(&r, "flush");
	if (r.progress_shown)
		fputc('\n', stderr);
	run_free(&r);
	return status;
}

int
queue_act(struct tool *tool, const char *verb, struct span args, uint64_t *count)
{
	struct queue_run r = {.tool = tool, .rows = ROWS_PROGRESS, .terminal = isatty(STDERR_FILENO)};
	int status;

	queue_options_init(&r.options);
	buf_init(&r.partial, ROW_MAX);
	buf_append_span(&r.options.args, args);
	status = queue_run_ask(&r, verb);
	if (r.progress_shown)
		fputc('\n', stderr);
	*count = r.count;
	run_free(&r);
	return status;
}

int
queue_ids(struct tool *tool, struct span args, FILE *to)
{
	struct queue_run r = {
	    .tool = tool, .rows = ROWS_LINES, .options.ids_only = true, .print = {.to = to}};
	int status;

	queue_options_init(&r.options);
	buf_init(&r.partial, ROW_MAX);
	buf_append_span(&r.options.args, args);
	status = queue_run_ask(&r, "list");
	run_free(&r);
	return status;
}
