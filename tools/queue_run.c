#include "tools/queue_run.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/text.h"
#include "tools/queue_alone.h"
#include "tools/queue_ask.h"

enum {
	TAKEN_EVERY = 64,
	ARGS_MAX = 60000, /* of one question */
	IDS_MAX = 1000 /* in one of several */
};

/* {"progress": N}: to the terminal, or as a line for programs. */
static void
show_progress(struct queue_run *r, struct span line)
{
	struct span digits = span_trim(span_from(line, (size_t)(span_find(line, ':') + 1)));

	digits.len -= digits.len > 0;
	if (r->options.json) {
		printf("%.*s\n", SPAN_ARG(line));
		fflush(stdout);
	} else {
		fprintf(
		    stderr, r->terminal ? "\r%.*s messages ..." : "%.*s messages ...\n", SPAN_ARG(digits));
		r->progress_shown = r->terminal;
	}
}

void
queue_run_take(struct queue_run *r, struct span line)
{
	if (r->rows == ROWS_PROGRESS)
		show_progress(r, line);
	else if (r->stats)
		queue_stats_row(r->stats, line);
	else if (r->options.ids_only)
		queue_print_id(&r->print, line);
	else if (!r->options.json)
		queue_print_row(&r->print, line);
	else if (!r->skip_first)
		fprintf(stdout, "%.*s\n", SPAN_ARG(line));
	r->lines++;
	r->skip_first = false;
}

static int
take_rows(struct queue_run *r, struct span bytes, struct error *err)
{
	ptrdiff_t end;

	while ((end = span_find(bytes, '\n')) >= 0) {
		struct span line = span_sub(bytes, 0, (size_t)end);

		if (r->partial.len > 0) {
			if (buf_append_span(&r->partial, line) < 0)
				return error_set(err, "a row is too long");
			queue_run_take(r, buf_span(&r->partial));
			buf_clear(&r->partial);
		} else {
			queue_run_take(r, line);
		}
		bytes = span_from(bytes, (size_t)end + 1);
	}
	return buf_append_span(&r->partial, bytes) < 0 ? error_set(err, "a row is too long") : 0;
}

/* Content has CRLF line ends; people's tools want LF. */
static void
put_content(struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		if (bytes.ptr[i] != '\r')
			fputc(bytes.ptr[i], stdout);
}

static int
on_frame(struct ipc_channel *channel, uint32_t call, const struct ipc_frame *frame, void *context,
    struct error *err)
{
	struct queue_run *r = context;

	if (frame->type == IPC_CONTROL_ROW) {
		if (r->rows == ROWS_CONTENT)
			put_content(frame->control_row.bytes);
		else if (take_rows(r, frame->control_row.bytes, err) < 0)
			return -1;
		if (++r->taken == TAKEN_EVERY) {
			struct msg_control_taken taken = {.rows = r->taken};

			ipc_send(channel, IPC_CONTROL_TAKEN, call, &taken);
			r->taken = 0;
		}
		/* Nobody reads any more: mailq | head. */
		return ferror(stdout) ? error_set(err, "cannot write") : 0;
	}
	if (frame->type != IPC_CONTROL_DONE)
		return error_set(err, "unexpected %s", ipc_type_name(frame->type));
	r->status = frame->control_done.status;
	r->count = frame->control_done.count;
	span_copy(frame->control_done.text, r->text, sizeof(r->text));
	return 0;
}

int
queue_run_ask(struct queue_run *r, const char *verb)
{
	struct msg_control_ask ask = {.verb = span_of(verb), .args = buf_span(&r->options.args)};
	struct tool_talk talk = {
	    .type = IPC_CONTROL_ASK, .message = &ask, .on_frame = on_frame, .context = r};
	/* All that is due is tried at the start anyway; and who watches must not be in the way of it. */
	bool running_only = r->options.watch || strcmp(verb, "flush") == 0;
	struct error err;

	if (r->options.args.len > ARGS_MAX)
		return tool_fail(r->tool, EX_USAGE, "too many arguments");
	if (!tool_conf(r->tool))
		return EX_CONFIG;
	if (queue_talk(r->tool, &talk, running_only, &err) < 0)
		return ferror(stdout) ? 0 : tool_fail(r->tool, EX_UNAVAILABLE, "%s", err.text);
	if (r->status)
		return tool_fail(r->tool, r->status, "%s", r->text);
	if (r->text[0] && !r->options.watch)
		fprintf(stderr, "postern: %s\n", r->text);
	return 0;
}

static bool
is_id(struct span line)
{
	return span_starts(line, "id=");
}

/* As many ids as xargs gives are not for one question; each has the filters, too. */
static int
ask_in_parts(struct queue_run *r, const char *verb)
{
	struct buf all = r->options.args;
	struct span rest = buf_span(&all), line;
	uint64_t count = 0;
	size_t filters;
	int status = 0;

	buf_init(&r->options.args, all.len);
	while (span_next_word(&rest, "\n", &line))
		if (!is_id(line))
			buf_printf(&r->options.args, "%.*s\n", SPAN_ARG(line));
	filters = r->options.args.len;
	rest = buf_span(&all);
	for (bool more = true; more && status == 0; count += r->count) {
		r->options.args.len = filters;
		r->count = 0;
		for (unsigned ids = 0; ids < IDS_MAX && (more = span_next_word(&rest, "\n", &line));)
			if (is_id(line)) {
				buf_printf(&r->options.args, "%.*s\n", SPAN_ARG(line));
				ids++;
			}
		if (r->options.args.len > filters)
			status = queue_run_ask(r, verb);
	}
	r->count = count;
	buf_free(&r->options.args);
	r->options.args = all;
	return status;
}

int
queue_run_act(struct queue_run *r, const char *verb)
{
	return r->options.args.len > ARGS_MAX ? ask_in_parts(r, verb) : queue_run_ask(r, verb);
}
