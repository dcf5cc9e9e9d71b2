#include "services/pickup/drop_socket.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/drop_format.h"
#include "services/pickup/intake.h"

enum {
	CLIENTS_MAX = 200,
	CLIENTS_PER_USER = 50, /* of them for one user other than root */
	LISTENERS_MAX = 4,
	IDLE_SECONDS = 300
};

enum client_state {
	CLIENT_CONNECTED,
	CLIENT_ENVELOPE,
	CLIENT_CONTENT,
	CLIENT_CLOSED,
	CLIENT_WAITING,
	CLIENT_ANSWERED
};

struct client {
	struct drop_socket *socket;
	struct client *next, **prev;
	struct ipc_channel *channel;
	enum client_state state;
	uint64_t id; /* of the message whose first attempt is waited for */
	uint32_t call;
	struct arena *arena;
	struct drop_envelope envelope;
	struct intake *intake;
	struct buf pending; /* came before the intake had room */
	struct event *idle;
};

struct drop_socket {
	struct pickup *p;
	struct client *clients;
	size_t count;
	struct event *listening[LISTENERS_MAX];
};

/* ---- answers ---- */

static void
touch(struct client *c)
{
	const struct timeval idle = {.tv_sec = IDLE_SECONDS};

	event_add(c->idle, &idle);
}

static void
answer(struct client *c, int status, uint64_t id, struct span text)
{
	struct msg_drop_answer message = {
	    .status = (uint8_t)status, .id = status == EX_OK ? id : 0, .text = span_sub(text, 0, 1000)};

	c->state = CLIENT_ANSWERED;
	buf_clear(&c->pending);
	ipc_send(c->channel, IPC_DROP_ANSWER, c->call, &message);
	touch(c);
}

/* The mail is safe: an empty line says so, whatever happens to this connection while the attempt lasts. */
static void
wait_for_attempt(struct client *c, uint64_t id)
{
	struct msg_drop_trace message = {.line = SPAN_LIT("")};

	c->state = CLIENT_WAITING;
	c->id = id;
	ipc_send(c->channel, IPC_DROP_TRACE, c->call, &message);
	touch(c);
}

void
drop_socket_trace(struct drop_socket *d, uint64_t id, const struct span *line)
{
	struct client *c = d->clients;

	while (c && (c->state != CLIENT_WAITING || c->id != id))
		c = c->next;
	if (c == NULL)
		return;
	if (line == NULL)
		answer(c, EX_OK, id, SPAN_LIT("2.0.0 Ok"));
	else if (c->envelope.flags & DROP_VERBOSE) {
		struct msg_drop_trace message = {.line = *line};
		ipc_send(c->channel, IPC_DROP_TRACE, c->call, &message);
		touch(c);
	}
}

void
drop_socket_release(struct drop_socket *d)
{
	for (struct client *c = d->clients; c; c = c->next)
		if (c->state == CLIENT_WAITING)
			answer(c, EX_OK, c->id, SPAN_LIT("2.0.0 Ok"));
}

static void
on_done(void *context, int status, uint64_t id, struct span text)
{
	struct client *c = context;

	c->intake = NULL;
	if (status == EX_OK && (c->envelope.flags & DROP_WAIT))
		wait_for_attempt(c, id);
	else
		answer(c, status, id, text);
}

/* What waited goes on, and the client may send as much again. */
static void
feed(struct client *c)
{
	while (c->intake != NULL && c->pending.len > 0) {
		struct span part = span_sub(buf_span(&c->pending), 0, intake_room(c->intake));
		struct msg_drop_credit credit = {.octets = part.len};
		if (part.len == 0)
			return;
		ipc_send(c->channel, IPC_DROP_CREDIT, c->call, &credit);
		intake_write(c->intake, part);
		buf_consume(&c->pending, part.len);
	}
	if (c->intake != NULL && c->state == CLIENT_CLOSED && c->pending.len == 0)
		intake_close(c->intake);
}

static void
on_room(void *context)
{
	feed(context);
}

/* ---- frames ---- */

static int
handle_open(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct client *c = context;
	const struct msg_drop_open *m = &frame->drop_open;
	struct drop_envelope *e = &c->envelope;
	const struct drop_envelope from = {.sender = m->sender,
	    .full_name = m->full_name,
	    .envid = m->envid,
	    .tag = m->tag,
	    .protocol = m->protocol,
	    .hops = m->hops,
	    .verp = m->verp};

	(void)channel;
	if (c->state != CLIENT_CONNECTED || m->notify > DROP_NOTIFY_MAX)
		return error_set(err, "DROP_OPEN out of place");
	touch(c);
	c->call = frame->call;
	c->state = CLIENT_ENVELOPE;
	drop_envelope_init(e, c->arena);
	e->flags = m->flags;
	e->notify = m->notify;
	/* The same rules as for a line of a file: no control characters, no text too long. */
	if (drop_envelope_set(e, &from, err) < 0)
		return -1;
	return 0;
}

static int
handle_rcpt(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_drop_rcpt *m = &frame->drop_rcpt;
	struct client *c = context;

	(void)channel;
	if (c->state == CLIENT_ANSWERED)
		return 0;
	if (c->state != CLIENT_ENVELOPE)
		return error_set(err, "DROP_RCPT out of place");
	if (drop_envelope_add(&c->envelope, m->recipient, err) < 0 ||
	    drop_envelope_dsn(&c->envelope, m->notify, m->orcpt, err) < 0)
		answer(c, EX_DATAERR, 0, span_of(err->text));
	return 0;
}

/* The envelope is whole: the message begins. */
static bool
begin_content(struct client *c)
{
	const struct intake_callbacks callbacks = {on_room, on_done, c, false};

	if (c->envelope.recipients == 0) {
		answer(c, EX_USAGE, 0, SPAN_LIT("no recipients"));
		return false;
	}
	c->state = CLIENT_CONTENT;
	c->intake = intake_new(c->socket->p, &c->envelope, ipc_peer_uid(c->channel), &callbacks);
	if (c->intake == NULL)
		answer(c, EX_TEMPFAIL, 0, SPAN_LIT("the mail system is not ready"));
	return c->intake != NULL;
}

static int
handle_data(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct client *c = context;

	(void)channel;
	if (c->state == CLIENT_ANSWERED)
		return 0;
	if (c->state == CLIENT_ENVELOPE && !begin_content(c))
		return 0;
	if (c->state != CLIENT_CONTENT)
		return error_set(err, "DROP_DATA out of place");
	touch(c);
	if (buf_append_span(&c->pending, frame->drop_data.bytes) < 0)
		return error_set(err, "more content than there was credit for");
	feed(c);
	return 0;
}

static int
handle_close(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct client *c = context;

	(void)channel;
	(void)frame;
	if (c->state == CLIENT_ANSWERED)
		return 0;
	if (c->state == CLIENT_ENVELOPE && !begin_content(c))
		return 0;
	if (c->state != CLIENT_CONTENT)
		return error_set(err, "DROP_CLOSE out of place");
	c->state = CLIENT_CLOSED;
	touch(c);
	if (c->pending.len > 0 || intake_room(c->intake) > 0)
		feed(c);
	return 0;
}

/* ---- life ---- */

static void
on_down(struct ipc_channel *channel, void *context)
{
	struct client *c = context;

	(void)channel;
	intake_abort(&c->intake);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->socket->count--;
	event_free(c->idle);
	buf_free(&c->pending);
	arena_free(&c->arena);
	free(c);
}

static void
on_idle(evutil_socket_t fd, short what, void *context)
{
	struct client *c = context;
	struct ipc_channel *channel = c->channel;

	(void)fd;
	(void)what;
	if (c->intake != NULL && c->state == CLIENT_CLOSED)
		touch(c); /* the wait is for queue */
	else if (c->state == CLIENT_WAITING)
		answer(c, EX_OK, c->id, SPAN_LIT("2.0.0 Ok"));
	else
		ipc_channel_close(&channel);
}

static const struct ipc_permit permits[] = {
    {IPC_DROP_OPEN, ROLE_BIT(ROLE_TOOL), handle_open},
    {IPC_DROP_RCPT, ROLE_BIT(ROLE_TOOL), handle_rcpt},
    {IPC_DROP_DATA, ROLE_BIT(ROLE_TOOL), handle_data},
    {IPC_DROP_CLOSE, ROLE_BIT(ROLE_TOOL), handle_close},
};

static void
client_new(struct drop_socket *d, int fd)
{
	struct client *c = mem_alloc(sizeof(*c));
	const struct ipc_callbacks callbacks = {
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(permits[0]),
	    .down = on_down,
	    .context = c,
	};
	struct event_base *base = server_base(d->p->server);

	c->socket = d;
	c->arena = arena_new(DROP_ENVELOPE_MAX);
	buf_init(&c->pending, SUBMIT_WINDOW);
	c->idle = event_new(base, -1, 0, on_idle, c);
	c->next = d->clients;
	c->prev = &d->clients;
	if (c->next)
		c->next->prev = &c->next;
	d->clients = c;
	d->count++;
	c->channel = ipc_channel_new(base, fd, ROLE_PICKUP, 0, ROLE_TOOL, 1, &callbacks);
	touch(c);
}

/* One user shall not keep the others from sending. */
static bool
too_many(const struct drop_socket *d, int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	size_t same = 0;

	if (d->count >= CLIENTS_MAX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return true;
	for (const struct client *c = d->clients; c; c = c->next)
		same += ipc_peer_uid(c->channel) == who.uid;
	return who.uid != 0 && same >= CLIENTS_PER_USER;
}

static void
on_connection(evutil_socket_t listener, short what, void *context)
{
	struct drop_socket *d = context;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd < 0)
		return;
	if (too_many(d, fd))
		close(fd); /* sendmail(1) goes to the drop directory */
	else
		client_new(d, fd);
}

struct drop_socket *
drop_socket_new(struct pickup *p)
{
	struct drop_socket *d = mem_alloc(sizeof(*d));

	d->p = p;
	return d;
}

void
drop_socket_stop(struct drop_socket *d)
{
	for (size_t i = 0; i < LISTENERS_MAX; i++) {
		if (d->listening[i] != NULL)
			event_free(d->listening[i]);
		d->listening[i] = NULL;
	}
}

void
drop_socket_listen(struct drop_socket *d)
{
	struct server *s = d->p->server;

	drop_socket_stop(d);
	for (size_t i = 0; i < server_listener_count(s) && i < LISTENERS_MAX; i++) {
		const struct server_listener *listener = server_listener_at(s, i);
		d->listening[i] =
		    event_new(server_base(s), listener->fd, EV_READ | EV_PERSIST, on_connection, d);
		event_add(d->listening[i], NULL);
	}
}
