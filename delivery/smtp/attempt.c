#include "delivery/smtp/attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/server/server.h"
#include "delivery/smtp/connection.h"
#include "delivery/smtp/destination.h"
#include "delivery/smtp/itinerary.h"
#include "delivery/smtp/mx.h"
#include "delivery/smtp/route.h"
#include "delivery/smtp/transaction.h"

struct attempt {
	struct job *job;
	struct itinerary *itinerary;
	size_t route_at; /* the next one */
	struct tls_policy *policy; /* of the route under way */
	bool detect_loop;
	struct mx *mx; /* while hosts are looked for */
	bool wants_socket; /* while master connects */
	int socket_fd; /* what it gave */
	struct hosts hosts;
	size_t host_at;
	unsigned sessions; /* that got as far as a transaction: smtp_mx_session_limit counts no others */
	struct host host; /* that is tried */
	bool plain; /* without the TLS that it may have: that broke */
	bool tls; /* the connection under way has it, where it only may */
	struct connection *opening;
	struct connection *quitting;
	struct transaction *transaction;
	struct host tried; /* over an idle connection */
	bool has_tried;
};

static void attempt_next(struct attempt *a);
static void attempt_retry_plain(struct attempt *a);
static void attempt_transact(struct attempt *a, struct connection *c, bool put_off_only);

/* ---- the end ---- */

static void
attempt_free(struct attempt *a)
{
	mx_cancel(&a->mx);
	if (a->wants_socket)
		server_unwant_socket(a);
	hosts_free(&a->hosts);
	itinerary_free(&a->itinerary);
	free(a);
}

static void
attempt_finish(struct attempt *a)
{
	struct job *job = a->job;

	attempt_free(a);
	job->attempt = NULL;
	job_finish(job);
}

/* What all hosts said last. */
static void
attempt_give_up(struct attempt *a)
{
	struct job *job = a->job;
	struct verdict nothing;

	verdict_set(&nothing, "4.4.1", "no host of the next hop could be tried");
	for (size_t i = 0; i < job->recipient_count; i++) {
		struct recipient *rcpt = &job->recipients[i];

		if (!rcpt->done)
			job_report(job, rcpt, rcpt->last ? rcpt->last : &nothing, 0);
	}
	attempt_finish(a);
}

/* A host or a route failed for all that are open. A "never" does not take the place of an earlier "not now". */
static void
attempt_keep(struct attempt *a, const struct verdict *why)
{
	struct job *job = a->job;

	for (size_t i = 0; i < job->recipient_count; i++) {
		struct recipient *rcpt = &job->recipients[i];

		if (rcpt->done)
			continue;
		if (why->final)
			job_report(job, rcpt, why, 0);
		else if (!rcpt->last || why->class != OUTCOME_BOUNCED || rcpt->last->class == OUTCOME_BOUNCED)
			job_keep(job, rcpt, why);
	}
}

/* ---- one transaction ---- */

static void
on_quit_over(struct connection *c, enum connection_loss how, void *context)
{
	struct attempt *a = context;

	(void)c;
	(void)how;
	a->quitting = NULL;
	attempt_next(a);
}

static const struct connection_user quitting_user = {.lost = on_quit_over};

/* The connection is not needed any more. Returns false if that must be waited for. */
static bool
attempt_release(struct attempt *a, struct connection *c)
{
	struct job *job = a->job;

	if (!(job->flags & MAIL_TRACE)) {
		destination_put(job->agent->destinations, c);
		return true;
	}
	job_trace(job, "Closing connection to %s.", c->host.name);
	a->quitting = c;
	connection_quit_traced(c, &quitting_user, a);
	return false;
}

/* Mail that has waited once may go without the TLS that breaks at every try, where it only may have it. As Postfix. */
static bool
may_go_plain(const struct attempt *a)
{
	const struct job *job = a->job;

	return a->tls && job->open > 0 &&
	       job->active_us - job->arrival_us >= job->conf->values->minimal_backoff_time;
}

static void
on_transaction_done(void *context, enum transaction_end end, struct connection *c, bool again)
{
	struct attempt *a = context;

	a->transaction = NULL;
	if (end == TRANSACTION_BROKEN && may_go_plain(a)) {
		if (a->sessions > 0) /* 0: it was an idle connection */
			a->sessions--;
		attempt_retry_plain(a);
		return;
	}
	if (end == TRANSACTION_STALE) {
		/* The idle connection had died: as if it had never been. */
		a->has_tried = false;
		a->sessions = 0;
	}
	if (end == TRANSACTION_OVER) {
		if (again && a->job->open > 0) {
			attempt_transact(a, c, true);
			return;
		}
		if (!attempt_release(a, c))
			return;
	}
	attempt_next(a);
}

static void
attempt_transact(struct attempt *a, struct connection *c, bool put_off_only)
{
	a->job->connected_us = clock_wall_us();
	a->tls = c->tls_on && c->policy->level == TLS_LEVEL_MAY;
	if (!transaction_possible(a->job, c)) {
		if (attempt_release(a, c))
			attempt_next(a);
		return;
	}
	a->transaction = transaction_begin(a->job, c, put_off_only, on_transaction_done, a);
}

/* ---- connecting ---- */

static void
on_ready(struct connection *c, void *context)
{
	struct attempt *a = context;

	a->opening = NULL;
	a->sessions++;
	a->job->hop = HOP_UP;
	attempt_transact(a, c, false);
}

static void
on_failed(struct connection *c, const struct verdict *why, void *context)
{
	struct attempt *a = context;

	a->opening = NULL;
	if (c->tls_broke && !a->plain && a->policy->level == TLS_LEVEL_MAY) {
		attempt_retry_plain(a);
		return;
	}
	/* One sender's wrong password holds up nobody else's mail. */
	a->job->hop = c->login_of_sender                          ? HOP_UP
		      : c->reply.complete && c->reply.code == 421 ? HOP_BUSY
								  : HOP_DOWN;
	attempt_keep(a, why);
	attempt_next(a);
}

static const struct connection_user opening_user = {.ready = on_ready, .failed = on_failed};

static void
trace_line(void *context, bool sent, struct span line)
{
	/* As sendmail writes them, and as people know them from there. */
	if (sent && span_starts(line, "MAIL FROM:"))
		job_trace(context, ">>> MAIL From:%.*s", SPAN_ARG(span_from(line, 10)));
	else if (sent && span_starts(line, "RCPT TO:"))
		job_trace(context, ">>> RCPT To:%.*s", SPAN_ARG(span_from(line, 8)));
	else
		job_trace(context, "%s%.*s", sent ? ">>> " : "", SPAN_ARG(line));
}

/* Returns false if not even a socket could be had. */
static bool
attempt_open(struct attempt *a)
{
	const struct host *host = &a->host;
	struct job *job = a->job;
	struct verdict why;
	struct connection_plan plan = {.agent = job->agent,
	    .conf = job->conf,
	    .host = host,
	    .nexthop = job->nexthop,
	    .destination = itinerary_key(a->itinerary),
	    .sender = job->login_sender,
	    .policy = a->policy,
	    .plain = a->plain,
	    .socket_fd = a->socket_fd,
	    .lmtp = job->lmtp,
	    .detect_loop = a->detect_loop};

	if (job->flags & MAIL_TRACE) {
		plan.trace = trace_line;
		plan.trace_context = job;
		job_trace(job, "%.*s... Connecting to %s via %s...", SPAN_ARG(job->recipients[0].address),
		    host->name, job->lmtp ? "lmtp" : "esmtp");
	}
	a->opening = connection_open(&plan, &opening_user, a, &why);
	if (a->opening)
		return true;
	/* What we are short of is not the next hop's fault. */
	if (why.code[2] == '4')
		job->hop = HOP_DOWN;
	attempt_keep(a, &why);
	return false;
}

/* ---- routes and hosts ---- */

static void
on_hosts(void *context, struct hosts *hosts, const struct verdict *why)
{
	struct attempt *a = context;
	struct verdict softened;

	a->mx = NULL;
	a->hosts = *hosts;
	if (hosts->count == 0) {
		softened = *why;
		/* A relay host without an address is a mistake here, not in the message. */
		if (span_is(a->job->nexthop, a->job->conf->values->relayhost) && !why->final)
			verdict_soften(&softened);
		if (softened.class == OUTCOME_DEFERRED && a->job->hop == HOP_UNKNOWN)
			a->job->hop = HOP_DOWN;
		attempt_keep(a, &softened);
	}
	attempt_next(a);
}

/* ---- UNIX sockets ---- */

static void
on_socket(void *context, int fd, const char *why)
{
	struct attempt *a = context;
	struct job *job = a->job;
	struct verdict v;

	a->wants_socket = false;
	a->socket_fd = fd;
	if (fd >= 0 && attempt_open(a))
		return;
	if (fd < 0) {
		verdict_set(&v, "4.4.1", "connect to %s[%s]: %s", a->host.name, a->host.socket, why);
		job->hop = HOP_DOWN;
		attempt_keep(a, &v);
	}
	attempt_next(a);
}

static void
attempt_want_socket(struct attempt *a)
{
	if (a->job->agent->server &&
	    server_want_socket(a->job->agent->server, a->host.socket, on_socket, a) == 0)
		a->wants_socket = true;
	else
		on_socket(a, -1, "master is not there");
}

static void
attempt_open_socket(struct attempt *a, const struct route *route)
{
	memset(&a->host, 0, sizeof a->host);
	snprintf(a->host.name, sizeof a->host.name, "%s", a->job->conf->values->myhostname);
	snprintf(a->host.socket, sizeof a->host.socket, "%s", route->socket);
	a->plain = false;
	attempt_want_socket(a);
}

/* The same host once more, on a new connection without TLS: both are one of the sessions that there may be. */
static void
attempt_retry_plain(struct attempt *a)
{
	log_info(
	    &a->job->log, "Cannot start TLS: handshake failure with %s: trying it without", a->host.name);
	a->plain = true;
	if (a->host.socket[0])
		attempt_want_socket(a);
	else if (!attempt_open(a))
		attempt_next(a);
}

static bool
sessions_left(const struct attempt *a)
{
	int64_t limit = a->job->conf->values->smtp_mx_session_limit;

	return limit == 0 || a->sessions < limit;
}

/* What is to be done next for what is still open. */
static void
attempt_next(struct attempt *a)
{
	const struct route *route;
	struct mx *mx;

	if (a->job->open == 0) {
		attempt_finish(a);
		return;
	}
	while (a->host_at < a->hosts.count && sessions_left(a) && a->job->open > 0) {
		a->host = a->hosts.list[a->host_at++];
		a->plain = false;
		if (a->has_tried && host_same_address(&a->host, &a->tried))
			continue;
		if (attempt_open(a))
			return;
	}
	if (a->route_at == itinerary_count(a->itinerary)) {
		attempt_give_up(a);
		return;
	}
	hosts_free(&a->hosts);
	a->host_at = 0;
	a->sessions = 0;
	route = itinerary_route(a->itinerary, a->route_at);
	a->policy = itinerary_policy(a->itinerary, a->route_at++);
	if (a->policy->level == TLS_LEVEL_INVALID) {
		attempt_keep(a, &a->policy->why);
		attempt_next(a);
		return;
	}
	if (route->socket[0]) {
		attempt_open_socket(a, route);
		return;
	}
	a->detect_loop = route->use_mx && !route->own_port;
	/* NULL: on_hosts() was called, and the attempt may be gone. */
	mx = mx_find(a->job->agent, a->job->conf, route, on_hosts, a);
	if (mx)
		a->mx = mx;
}

/* ---- the beginning ---- */

/* The route's policy that an idle connection was opened under: it has one that is the same in all that counts. */
static struct tls_policy *
policy_of(const struct attempt *a, const struct connection *c)
{
	size_t at = 0;

	while (at + 1 < itinerary_count(a->itinerary) &&
	       strcmp(itinerary_policy(a->itinerary, at)->key, c->policy->key) != 0)
		at++;
	return itinerary_policy(a->itinerary, at);
}

static void
on_itinerary(void *context)
{
	struct attempt *a = context;
	struct job *job = a->job;
	struct connection *c;
	struct verdict v;

	if (job->open > 0 && itinerary_error(a->itinerary)) {
		verdict_set(&v, "4.3.5", "mail system configuration error: %.500s",
		    itinerary_error(a->itinerary)->text);
		attempt_keep(a, &v);
	}
	c = job->flags & MAIL_TRACE || itinerary_count(a->itinerary) == 0
		? NULL
		: destination_take(job->agent->destinations, span_of(itinerary_key(a->itinerary)));
	if (!c) {
		attempt_next(a);
		return;
	}
	a->policy = policy_of(a, c);
	a->host = a->tried = c->host;
	a->has_tried = true;
	job->hop = HOP_UP;
	attempt_transact(a, c, false);
}

void
attempt_start(struct job *job)
{
	struct attempt *a = mem_alloc(sizeof *a);

	a->job = job;
	job->attempt = a;
	a->itinerary = itinerary_new(job, on_itinerary, a);
	itinerary_begin(a->itinerary);
}

/* What is due on the monotonic clock, by the wall clock. */
static int64_t
wall_of(int64_t mono_us)
{
	return mono_us == 0 ? 0 : mono_us - clock_mono_us() + clock_wall_us();
}

void
attempt_where(const struct attempt *a, struct whereabouts *where)
{
	const struct connection *c = a->transaction ? transaction_connection(a->transaction)
				     : a->opening   ? a->opening
						    : a->quitting;

	if (c) {
		where->relay = c->relay;
		where->until_us = wall_of(connection_deadline(c));
		where->since_us = a->transaction ? a->job->connected_us : wall_of(c->opened_us);
		where->doing = a->transaction ? transaction_doing(a->transaction)
			       : a->opening   ? connection_doing(c)
					      : "sending QUIT";
	} else if (a->mx) {
		where->doing = "looking up the hosts of the next hop";
	} else {
		where->doing = a->wants_socket ? "connecting" : "looking up its TLS policy";
	}
}

void
attempt_forsake(struct job *job)
{
	struct attempt *a = job->attempt;

	if (a->transaction && transaction_is_committing(a->transaction))
		return;
	if (a->transaction)
		transaction_abort(&a->transaction);
	if (a->opening)
		connection_close(a->opening);
	if (a->quitting)
		connection_close(a->quitting);
	attempt_finish(a);
}
