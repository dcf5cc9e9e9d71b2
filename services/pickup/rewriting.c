#include "services/pickup/rewriting.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum { REWRITE_TIMEOUT_MS = 60000 };

struct rewriting {
	struct pickup *p;
	struct buf header; /* our own: what it was made of may move */
	struct header_rewrite *work;
	uint32_t call;
	void (*done)(void *context, struct span header, struct span reason);
	void *context;
};

static void
rewriting_free(struct rewriting *r)
{
	header_rewrite_free(&r->work);
	buf_free(&r->header);
	free(r);
}

static void
finish(struct rewriting *r, struct span reason)
{
	void (*done)(void *context, struct span header, struct span reason) = r->done;
	void *context = r->context;
	struct buf out;

	buf_init(&out, r->header.len + HEADER_REWRITE_GROWTH_MAX);
	if (reason.len == 0 && header_rewrite_put(r->work, &out) < 0)
		reason = SPAN_LIT("4.3.0 the addresses in the header become too long");
	rewriting_free(r);
	done(context, reason.len > 0 ? (struct span){0} : buf_span(&out), reason);
	buf_free(&out);
}

static enum rewriting_start ask(struct rewriting *r);

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct rewriting *r = context;

	r->call = 0;
	if (frame == NULL) {
		finish(r, SPAN_LIT("4.3.0 no answer from lookup"));
		return 0;
	}
	if (frame->rewrite_done.status != LOOKUP_FOUND) {
		finish(r, frame->rewrite_done.reason.len > 0 ? frame->rewrite_done.reason
							     : SPAN_LIT("4.3.0 no answer from lookup"));
		return 0;
	}
	if (header_rewrite_answer(r->work, frame->rewrite_done.addresses, err) < 0) {
		finish(r, SPAN_LIT("4.3.0 no sensible answer from lookup"));
		return -1;
	}
	switch (ask(r)) {
	case REWRITING_UNDER_WAY:
		break;
	case REWRITING_NOT_NEEDED:
		finish(r, SPAN_LIT(""));
		break;
	default:
		finish(r, SPAN_LIT("4.3.0 lookup is not available"));
	}
	return 0;
}

/* The next question, if there is one. */
static enum rewriting_start
ask(struct rewriting *r)
{
	struct ipc_channel *lookup = server_peer(r->p->server, ROLE_LOOKUP, 0);
	struct msg_rewrite_ask message;
	enum rewrite_kind kind;

	if (!header_rewrite_next(r->work, &kind, &message.addresses))
		return REWRITING_NOT_NEEDED;
	message.kind = (uint8_t)kind;
	r->call = lookup ? ipc_ask(lookup, IPC_REWRITE_ASK, &message, REWRITE_TIMEOUT_MS, on_answer, r) : 0;
	return r->call != 0 ? REWRITING_UNDER_WAY : REWRITING_IMPOSSIBLE;
}

enum rewriting_start
rewriting_start(struct rewriting **r, struct pickup *p, const struct header_rewrite_rules *rules,
    struct span header, void (*done)(void *context, struct span header, struct span reason), void *context)
{
	struct rewriting *new = mem_alloc(sizeof(*new));
	enum rewriting_start started;

	new->p = p;
	new->done = done;
	new->context = context;
	buf_init(&new->header, header.len);
	buf_append_span(&new->header, header);
	new->work = header_rewrite_new(buf_span(&new->header), rules);
	started = new->work ? ask(new) : REWRITING_NOT_NEEDED;
	if (started == REWRITING_UNDER_WAY)
		*r = new;
	else
		rewriting_free(new);
	return started;
}

void
rewriting_abort(struct rewriting **r)
{
	struct rewriting *gone = *r;

	*r = NULL;
	if (!gone)
		return;
	ipc_cancel(server_peer(gone->p->server, ROLE_LOOKUP, 0), gone->call);
	rewriting_free(gone);
}
