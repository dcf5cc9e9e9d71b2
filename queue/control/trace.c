#include "queue/control/trace.h"

#include <stdio.h>

static struct ipc_channel *
watcher(struct queue *q, const struct message *m)
{
	return m->e.flags & MAIL_TRACE ? server_peer(q->server, ROLE_PICKUP, 0) : NULL;
}

void
trace_line(struct queue *q, const struct message *m, struct span line)
{
	struct msg_trace_line message = {.id = m->id, .line = span_sub(line, 0, 1200)};
	struct ipc_channel *pickup = watcher(q, m);

	if (pickup)
		ipc_send(pickup, IPC_TRACE_LINE, 0, &message);
}

void
trace_outcome(struct queue *q, const struct message *m, const struct recipient *r, const struct outcome *o)
{
	static const char *const words[] = {
	    [OUTCOME_DELIVERED] = "Sent",
	    [OUTCOME_RELAYED] = "Sent",
	    [OUTCOME_EXPANDED] = "Expanded",
	    [OUTCOME_DEFERRED] = "Deferred",
	    [OUTCOME_BOUNCED] = "Failed",
	};
	char line[1200];

	if (!watcher(q, m))
		return;
	snprintf(line, sizeof(line), "%.*s... %s (%.*s)",
	    (int)(r->p.recipient.len < 400 ? r->p.recipient.len : 400), r->p.recipient.ptr, words[o->class],
	    (int)(o->text.len < 700 ? o->text.len : 700), o->text.len ? o->text.ptr : "");
	trace_line(q, m, span_of(line));
}

void
trace_end(struct queue *q, const struct message *m)
{
	struct msg_trace_end message = {.id = m->id};
	struct ipc_channel *pickup = watcher(q, m);

	if (pickup && m->jobs == 0 && m->tasks == 0)
		ipc_send(pickup, IPC_TRACE_END, 0, &message);
}
