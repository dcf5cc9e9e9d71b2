#include "queue/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/control/later.h"
#include "queue/control/tally.h"
#include "queue/control/transit.h"

enum {
	LISTENERS_MAX = 16,
	CREDIT = 4,
	TOOLS_MAX = 500,
	TOOLS_OF_OPERATORS = 50 /* nobody else gets these */
};

struct control_listener {
	int fds[LISTENERS_MAX];
	struct event *events[LISTENERS_MAX];
	size_t count;
	unsigned tools;
};

/* Who may ask: OPERATOR is root or the instance's own user; MAILQ also whom authorized_mailq_users names. */
enum may { OPERATOR, MAILQ, FLUSH };

static void
control_count(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f)
{
	if (f->id_count > 0)
		walk_start(q, channel, call, f, act_count, false, NULL);
	else
		tally_count(q, channel, call, f);
}

static void
control_stats(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f)
{
	if (f->id_count == 0) {
		tally_stats(q, channel, call, f);
		return;
	}
	control_done(channel, call, 64, 0, "stats wants filters, and no ids");
	filter_free(f);
}

/* In the background: the log says when it is done, and listings that they are incomplete until then. */
static void
rebuild(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f)
{
	bool begun = recovery_rebuild(q, true);

	filter_free(f);
	control_done(channel, call, begun ? 0 : 75, 0, begun ? "" : "the index is being rebuilt already");
}

static const struct verb {
	const char *name;
	enum may may;
	bool changes;
	bool needs_choice; /* an id, a filter or --all */
	bool (*act)(struct walk *w, struct message *m);
	void (*finish)(struct walk *w);
	void (*other)(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f);
	/* Understands its arguments itself. */
	void (*own)(struct queue *q, struct ipc_channel *channel, uint32_t call, struct span args);
} verbs[] = {
    {"list", MAILQ, false, false, act_list, NULL, NULL, NULL},
    {"count", MAILQ, false, false, NULL, NULL, control_count, NULL},
    {"stats", MAILQ, false, false, NULL, NULL, control_stats, NULL},
    {"rebuild", OPERATOR, true, false, NULL, NULL, rebuild, NULL},
    {"explain", MAILQ, false, true, NULL, NULL, NULL, control_explain},
    {"edit", OPERATOR, true, true, NULL, NULL, NULL, control_edit},
    {"show", OPERATOR, false, true, NULL, NULL, control_show, NULL},
    {"hold", OPERATOR, true, true, act_hold, NULL, NULL, NULL},
    {"release", OPERATOR, true, true, act_release, NULL, NULL, NULL},
    {"delete", OPERATOR, true, true, act_delete, NULL, NULL, NULL},
    {"requeue", OPERATOR, true, true, act_requeue, NULL, NULL, NULL},
    {"retry", OPERATOR, true, true, act_retry, NULL, NULL, NULL},
    {"flush", FLUSH, true, false, act_retry, NULL, NULL, NULL},
    /* What the tool does step by step for export and import: "hold-reason" is the directory. */
    {"export", OPERATOR, true, true, act_export, NULL, NULL, NULL},
    {"export-one", OPERATOR, false, true, NULL, NULL, control_export, NULL},
    {"seal", OPERATOR, true, true, act_seal, NULL, NULL, NULL},
    {"exported", OPERATOR, true, true, act_exported, NULL, NULL, NULL},
    {"stay", OPERATOR, true, true, act_stay, NULL, NULL, NULL},
    {"import-one", OPERATOR, false, false, NULL, NULL, control_import, NULL},
    {"imported", OPERATOR, true, true, act_imported, NULL, NULL, NULL},
    {"importing", OPERATOR, false, true, act_importing, NULL, NULL, NULL},
};

void
control_done(struct ipc_channel *channel, uint32_t call, uint8_t status, uint64_t count, const char *text)
{
	struct msg_control_done done = {.status = status, .count = count, .text = span_of(text)};

	ipc_send(channel, IPC_CONTROL_DONE, call, &done);
}

static bool
may(enum may what, uid_t uid)
{
	if (uid == 0 || uid == geteuid() || what == OPERATOR)
		return uid == 0 || uid == geteuid();
	return control_is_listed(uid, what == FLUSH);
}

static bool
is_transit(const struct verb *verb)
{
	return verb->act == act_export || verb->act == act_seal || verb->act == act_exported ||
	       verb->act == act_stay || verb->act == act_imported || verb->act == act_importing ||
	       verb->other == control_export || verb->other == control_import;
}

static bool
names_directory(const struct filter *f)
{
	return f->hold_reason && f->hold_reason[0] == '/' && strlen(f->hold_reason) <= TRANSIT_DIR_MAX;
}

static void
answer(struct queue *q, struct ipc_channel *channel, uint32_t call, const struct verb *verb,
    struct filter *filter)
{
	if (verb->own) {
		verb->own(q, channel, call, span_of(filter->part));
		filter_free(filter);
		return;
	}
	if (verb->other) {
		verb->other(q, channel, call, filter);
		return;
	}
	/* A hop that is down is asked at once, too; those of certain messages as these come. */
	if (verb->may == FLUSH && filter_is_empty(filter))
		scheduler_flush(q);
	walk_start(q, channel, call, filter, verb->act, verb->changes, verb->finish);
}

static int
on_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct queue *q = context;
	const struct msg_control_ask *ask = &frame->control_ask;
	const struct verb *verb = NULL;
	struct filter filter;
	struct error why;

	(void)err;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (span_is(ask->verb, verbs[i].name))
			verb = &verbs[i];
	if (!verb) {
		control_done(channel, frame->call, 64, 0, "unknown command");
		return 0;
	}
	if (!may(verb->may, ipc_peer_uid(channel))) {
		control_done(channel, frame->call, 77, 0, "permission denied");
		return 0;
	}
	if (q->alone && q->read_only && verb->changes) {
		control_done(channel, frame->call, 75, 0, "the file system is read-only");
		return 0;
	}
	if (verb->own) {
		filter = (struct filter){.part = mem_strndup(ask->args.ptr, ask->args.len)};
		later(q, channel, frame->call, verb, &filter, answer);
		return 0;
	}
	if (filter_parse(&filter, ask->args, &why) < 0) {
		control_done(channel, frame->call, 64, 0, why.text);
		filter_free(&filter);
		return 0;
	}
	if (is_transit(verb) && !names_directory(&filter)) {
		control_done(channel, frame->call, 64, 0, "which directory?");
		filter_free(&filter);
	} else if (verb->needs_choice && filter_is_empty(&filter)) {
		control_done(channel, frame->call, 64, 0, "which messages? name ids, filters or --all");
		filter_free(&filter);
	} else if (verb->other == control_import) {
		/* Octets follow on its heels; it waits for none, and looks itself whether all of the queue is known. */
		answer(q, channel, frame->call, verb, &filter);
	} else {
		later(q, channel, frame->call, verb, &filter, answer);
	}
	return 0;
}

static int
on_taken(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)context;
	(void)err;
	walk_taken(channel, frame->call, frame->control_taken.rows);
	tally_taken(channel, frame->call, frame->control_taken.rows);
	control_export_taken(channel, frame->call, frame->control_taken.rows);
	return 0;
}

static int
on_data(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)context;
	(void)err;
	control_import_data(channel, frame->call, frame->submit_data.bytes);
	return 0;
}

static void
on_tool_down(struct ipc_channel *channel, void *context)
{
	struct queue *q = context;

	q->control->tools--;
	later_channel_gone(channel);
	walk_channel_gone(channel);
	tally_channel_gone(channel);
	control_show_gone(channel);
	control_explain_gone(channel);
	control_edit_gone(channel);
	control_export_gone(channel);
	control_import_gone(channel);
	submission_peer_down(q, channel);
}

static const struct ipc_permit tool_permits[] = {
    {IPC_CONTROL_ASK, ROLE_BIT(ROLE_TOOL), on_ask},
    {IPC_CONTROL_TAKEN, ROLE_BIT(ROLE_TOOL), on_taken},
    {IPC_SUBMIT_DATA, ROLE_BIT(ROLE_TOOL), on_data},
};

/* Whoever holds on to connections must not lock the operator out. */
static bool
too_many(const struct queue *q, int tool)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(tool, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return true;
	return q->control->tools >= TOOLS_MAX - (may(OPERATOR, who.uid) ? 0 : TOOLS_OF_OPERATORS);
}

static void
on_connection(evutil_socket_t fd, short what, void *context)
{
	struct queue *q = context;
	struct ipc_callbacks callbacks = {.permits = tool_permits,
	    .permit_count = sizeof(tool_permits) / sizeof(tool_permits[0]),
	    .down = on_tool_down,
	    .context = q};
	int tool = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (tool < 0)
		return;
	if (too_many(q, tool)) {
		close(tool);
		return;
	}
	q->control->tools++;
	if (!ipc_channel_new(q->base, tool, ROLE_QUEUE, 0, ROLE_TOOL, CREDIT, &callbacks))
		q->control->tools--;
}

void
control_listen(struct queue *q)
{
	struct control_listener *c = q->control;

	if (!c)
		return;
	while (c->count > 0)
		event_free(c->events[--c->count]);
	for (size_t i = 0; i < server_listener_count(q->server) && c->count < LISTENERS_MAX; i++) {
		const struct server_listener *l = server_listener_at(q->server, i);

		c->events[c->count] = event_new(q->base, l->fd, EV_READ | EV_PERSIST, on_connection, q);
		event_add(c->events[c->count++], NULL);
	}
}

int
control_start(struct queue *q, struct error *err)
{
	(void)err;
	q->control = mem_alloc(sizeof(*q->control));
	control_listen(q);
	return 0;
}

/* ---- ETRN ---- */

static void
finish_flush(struct walk *w)
{
	struct msg_flush_answer answer = {.messages = w->count};

	ipc_send(w->channel, IPC_FLUSH_ANSWER, w->call, &answer);
}

int
control_flush_ask(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct queue *q = queue_of(context);
	struct span domain = frame->flush_ask.domain;
	struct filter filter = {.older_us = -1, .newer_us = -1, .larger = -1};

	(void)err;
	if (domain.len > 0) {
		filter.to = mem_alloc(domain.len + 2);
		filter.to[0] = '@';
		memcpy(filter.to + 1, domain.ptr, domain.len);
		text_lower(filter.to, domain.len + 1);
	}
	walk_start(q, channel, frame->call, &filter, act_retry, true, finish_flush);
	return 0;
}
