/*
 * connection_filter: smtp_reply_filter. What the server says waits, in order, while lookup is asked about each line of it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "delivery/smtp/connection_inside.h"

/* Keys of lookup are that long; what is longer passes as it is. */
enum { ASK_TIMEOUT_MS = 60000, KEY_MAX = 2000, PENDING_MAX = REPLY_OCTETS_MAX + 32 * 1024 };

struct connection_filter {
	struct buf pending; /* what came and was not looked at */
	size_t asked; /* octets of the line that lookup is asked about, with its end */
	uint32_t call;
	bool ended; /* nothing more comes */
	bool running; /* filter_run() is on the stack */
};

static struct span
without_end(struct span line)
{
	while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
		line.len--;
	return line;
}

/* The line that was asked about, or what stands for it, is what the server said. */
static void
give(struct connection *c, struct span line)
{
	struct connection_filter *f = c->filter;
	struct buf said;

	buf_init(&said, KEY_MAX + REPLY_LINE_MAX);
	buf_append_span(&said, span_sub(line, 0, KEY_MAX));
	buf_append_text(&said, "\r\n");
	buf_consume(&f->pending, f->asked);
	f->asked = 0;
	connection_take_input(c, buf_span(&said), f->pending.len > 0);
	buf_free(&said);
}

static void filter_run(struct connection *c);

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct connection *c = context;
	struct connection_filter *f = c->filter;
	struct span line = without_end(span_sub(buf_span(&f->pending), 0, f->asked));

	(void)err;
	f->call = 0;
	connection_enter(c);
	if (frame && frame->map_answer.status == LOOKUP_FOUND)
		give(c, frame->map_answer.value);
	else if (frame && frame->map_answer.status == LOOKUP_NOT_FOUND) {
		struct buf copy;

		buf_init(&copy, KEY_MAX);
		buf_append_span(&copy, line);
		give(c, buf_span(&copy));
		buf_free(&copy);
	} else {
		struct log log = connection_log(c);

		log_warning(&log, "smtp_reply_filter: lookup error for a reply of %s", c->name);
		connection_lose(c, LOSS_LOCAL);
	}
	filter_run(c);
	connection_leave(c);
	return 0;
}

/* False: nobody can be asked. */
static bool
ask(struct connection *c, struct span line)
{
	struct connection_filter *f = c->filter;
	const struct msg_map_ask ask = {
	    .tables = span_of(c->conf->values->smtp_reply_filter), .form = LOOKUP_STATUS, .key = line};

	if (c->plan.agent->lookup)
		f->call = ipc_ask(c->plan.agent->lookup, IPC_MAP_ASK, &ask, ASK_TIMEOUT_MS, on_answer, c);
	return f->call != 0;
}

/* Asks about the next line, if it is whole. */
static void
filter_run(struct connection *c)
{
	struct connection_filter *f = c->filter;

	if (f->running)
		return;
	f->running = true;
	while (!c->dead && f->call == 0) {
		struct span all = buf_span(&f->pending);
		ptrdiff_t lf = span_find(all, '\n');

		if (lf < 0) {
			if (f->pending.len > REPLY_OCTETS_MAX)
				connection_lose(c, LOSS_GARBAGE);
			else if (f->ended)
				connection_lose(c, LOSS_CLOSED);
			break;
		}
		f->asked = (size_t)lf + 1;
		if (!ask(c, span_sub(without_end(span_sub(all, 0, f->asked)), 0, KEY_MAX)))
			connection_lose(c, LOSS_LOCAL);
	}
	f->running = false;
}

bool
connection_filter_wanted(const struct connection *c)
{
	return c->conf->values->smtp_reply_filter[0] != '\0';
}

void
connection_filter_put(struct connection *c, struct span bytes)
{
	if (!c->filter) {
		c->filter = mem_alloc(sizeof(*c->filter));
		buf_init(&c->filter->pending, PENDING_MAX);
	}
	if (buf_append_span(&c->filter->pending, bytes) < 0)
		connection_lose(c, LOSS_GARBAGE);
	else
		filter_run(c);
}

bool
connection_filter_end(struct connection *c)
{
	if (!c->filter || (c->filter->call == 0 && !c->filter->running))
		return false;
	c->filter->ended = true;
	return true;
}

void
connection_filter_stop(struct connection *c)
{
	if (!c->filter || c->filter->call == 0)
		return;
	if (c->plan.agent->lookup)
		ipc_cancel(c->plan.agent->lookup, c->filter->call);
	c->filter->call = 0;
}

void
connection_filter_free(struct connection *c)
{
	if (!c->filter)
		return;
	connection_filter_stop(c);
	buf_free(&c->filter->pending);
	free(c->filter);
	c->filter = NULL;
}
