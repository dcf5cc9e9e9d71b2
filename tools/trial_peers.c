#include "tools/trial_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/map/settings.h"
#include "services/lookup/checks.h"
#include "services/lookup/desk.h"
#include "services/resolver/peername.h"
#include "tools/own_resolver.h"

enum { CREDIT = 1000, CREDIT_OF_SMTPD = 10, GENERATION = 1, PEERS = 3 };

struct trial_peers {
	struct smtpd *smtpd;
	trial_say *say;
	struct engine *engine;
	struct route_interfaces *interfaces;
	struct desk *desk;
	struct checks *checks; /* once one was asked for */
	struct ipc_channel *ours[PEERS], *theirs[PEERS];
	/* The question that the desk is at. */
	struct ipc_channel *asker;
	uint32_t call;
	uint64_t message; /* the id of the one that comes */
};

/* A question that waits for the engine. */
struct waiting {
	struct ipc_channel *channel;
	uint32_t call;
};

/* ---- resolver ---- */

static int
handle_dns_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct trial_peers *p = context;

	(void)err;
	own_resolver_answer(p->engine, channel, frame);
	return 0;
}

static void
on_peername(void *context, const struct peername *result)
{
	struct waiting *w = context;
	struct msg_name_answer message = {.status = (uint8_t)result->status,
	    .name = span_of(result->name),
	    .reverse_name = span_of(result->reverse_name),
	    .reason = span_of(result->reason)};

	(void)ipc_send(w->channel, IPC_NAME_ANSWER, w->call, &message);
	free(w);
}

static int
handle_name_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct trial_peers *p = context;
	struct waiting *w = mem_alloc(sizeof(*w));

	(void)err;
	*w = (struct waiting){channel, frame->call};
	peername_ask(p->engine, frame->name_ask.address, 0, on_peername, w);
	return 0;
}

/* ---- lookup ---- */

static void
on_send(void *context, enum ipc_type type, const void *message)
{
	struct trial_peers *p = context;

	(void)ipc_send(p->asker, type, p->call, message);
}

static void
on_trouble(void *context, const char *what, struct span text)
{
	const struct trial_peers *p = context;

	p->say("%s: %.*s", what, SPAN_ARG(text));
}

static void
on_complaint(const char *file, unsigned line, const char *text, void *context)
{
	const struct trial_peers *p = context;

	p->say("%s, line %u: %s", file, line, text);
}

static void
on_state(const char *table, const char *trouble, void *context)
{
	const struct trial_peers *p = context;

	if (trouble)
		p->say("table %s: %s", table, trouble);
}

static int
handle_lookup(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct trial_peers *p = context;

	p->asker = channel;
	p->call = frame->call;
	return desk_answer(p->desk, ROLE_SMTPD, frame, GENERATION, err) == DESK_MALFORMED ? -1 : 0;
}

static int
handle_check_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct trial_peers *p = context;

	if (p->checks == NULL)
		p->checks = checks_new(p->smtpd->base, err);
	return p->checks ? checks_ask(p->checks, channel, frame, err) : -1;
}

static int
handle_check_lines(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct trial_peers *p = context;

	return p->checks ? checks_lines(p->checks, channel, frame, err)
			 : error_set(err, "lines without a question");
}

/* ---- queue ---- */

static int
handle_open(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct trial_peers *p = context;

	(void)channel;
	(void)err;
	p->message = frame->submit_open.id;
	return 0;
}

static int
handle_recipient(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct trial_peers *p = context;
	const struct msg_submit_rcpt *m = &frame->submit_rcpt;

	(void)channel;
	(void)err;
	p->say("recipient <%.*s>: transport %.*s, next hop %.*s", SPAN_ARG(m->recipient),
	    SPAN_ARG(m->transport), SPAN_ARG(m->nexthop));
	return 0;
}

static int
handle_reset(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct trial_peers *p = context;

	(void)channel;
	(void)frame;
	(void)err;
	p->say("the recipients become others:");
	return 0;
}

static int
handle_data(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_submit_credit credit = {.octets = frame->submit_data.bytes.len};

	(void)context;
	(void)err;
	return ipc_send(channel, IPC_SUBMIT_CREDIT, frame->call, &credit);
}

static int
handle_close(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct trial_peers *p = context;
	bool closed = frame->type == IPC_SUBMIT_CLOSE;
	struct msg_submit_answer answer = {
	    .status = closed ? SUBMIT_OK : SUBMIT_ABORTED, .id = p->message, .text = SPAN_LIT("")};

	(void)err;
	if (closed)
		p->say("the message would be accepted; here it is forgotten");
	return ipc_send(channel, IPC_SUBMIT_ANSWER, frame->call, &answer);
}

static int
handle_flush(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_flush_answer answer = {.messages = 0};

	(void)context;
	(void)err;
	return ipc_send(channel, IPC_FLUSH_ANSWER, frame->call, &answer);
}

static int
handle_session_errors(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)frame;
	(void)context;
	(void)err;
	return 0;
}

/* ---- all of them ---- */

static const struct ipc_permit permits[] = {
    {IPC_DNS_ASK, ROLE_BIT(ROLE_SMTPD), handle_dns_ask},
    {IPC_NAME_ASK, ROLE_BIT(ROLE_SMTPD), handle_name_ask},
    {IPC_MAP_ASK, ROLE_BIT(ROLE_SMTPD), handle_lookup},
    {IPC_RESOLVE_ASK, ROLE_BIT(ROLE_SMTPD), handle_lookup},
    {IPC_REWRITE_ASK, ROLE_BIT(ROLE_SMTPD), handle_lookup},
    {IPC_CHECK_ASK, ROLE_BIT(ROLE_SMTPD), handle_check_ask},
    {IPC_CHECK_LINES, ROLE_BIT(ROLE_SMTPD), handle_check_lines},
    {IPC_SUBMIT_OPEN, ROLE_BIT(ROLE_SMTPD), handle_open},
    {IPC_SUBMIT_RCPT, ROLE_BIT(ROLE_SMTPD), handle_recipient},
    {IPC_SUBMIT_RESET, ROLE_BIT(ROLE_SMTPD), handle_reset},
    {IPC_SUBMIT_DATA, ROLE_BIT(ROLE_SMTPD), handle_data},
    {IPC_SUBMIT_CLOSE, ROLE_BIT(ROLE_SMTPD), handle_close},
    {IPC_SUBMIT_ABORT, ROLE_BIT(ROLE_SMTPD), handle_close},
    {IPC_FLUSH_ASK, ROLE_BIT(ROLE_SMTPD), handle_flush},
    {IPC_SESSION_ERRORS, ROLE_BIT(ROLE_SMTPD), handle_session_errors},
};

static int
connect_roles(struct trial_peers *p, struct error *err)
{
	static const uint8_t roles[PEERS] = {ROLE_RESOLVER, ROLE_LOOKUP, ROLE_QUEUE};
	const struct ipc_callbacks ours = {.context = p->smtpd};
	const struct ipc_callbacks theirs = {
	    .permits = permits, .permit_count = sizeof(permits) / sizeof(permits[0]), .context = p};
	int pair[2];

	for (size_t i = 0; i < PEERS; i++) {
		enum role role = (enum role)roles[i];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
			return error_errno(err, "socketpair");
		p->ours[i] = p->smtpd->peers[role] =
		    ipc_channel_new(p->smtpd->base, pair[0], ROLE_SMTPD, 0, role, CREDIT_OF_SMTPD, &ours);
		p->theirs[i] = ipc_channel_new(p->smtpd->base, pair[1], role, 0, ROLE_SMTPD, CREDIT, &theirs);
	}
	return 0;
}

struct trial_peers *
trial_peers_new(struct smtpd *d, const struct conf *conf, trial_say *say, struct error *err)
{
	struct trial_peers *p = mem_alloc(sizeof(*p));
	const struct desk_sink sink = {on_send, on_trouble, on_complaint, on_state, p};

	map_settings_use(conf);
	p->smtpd = d;
	p->say = say;
	p->interfaces = route_interfaces_read();
	p->desk = desk_new(conf, p->interfaces, &sink, true);
	p->engine = own_resolver_new(d->base, conf->values, err);
	if (p->engine == NULL || connect_roles(p, err) < 0) {
		trial_peers_free(&p);
		return NULL;
	}
	d->generation = GENERATION;
	d->has_floor = true;
	return p;
}

void
trial_peers_free(struct trial_peers **peers)
{
	struct trial_peers *p = *peers;

	*peers = NULL;
	engine_free(&p->engine);
	for (size_t i = 0; i < PEERS; i++) {
		ipc_channel_close(&p->ours[i]);
		ipc_channel_close(&p->theirs[i]);
	}
	desk_free(&p->desk);
	route_interfaces_free(&p->interfaces);
	free(p);
}
