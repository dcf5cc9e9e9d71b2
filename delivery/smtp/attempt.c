#include "delivery/smtp/attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/server/server.h"
#include "delivery/smtp/connection.h"
#include "delivery/smtp/destination.h"
#include "delivery/smtp/mx.h"
#include "delivery/smtp/route.h"
#include "delivery/smtp/transaction.h"

struct attempt {
	struct job *job;
	char key[512]; /* of the destination */
	struct route routes[2 * ROUTE_MAX];
	int route_count, route_at;
	bool detect_loop;
	struct mx *mx; /* while hosts are looked for */
	bool wants_socket; /* while master connects */
	int socket_fd; /* what it gave */
	struct hosts hosts;
	size_t host_at;
	unsigned sessions; /* that got as far as EHLO */
	struct connection *opening;
	struct connection *quitting;
	struct transaction *transaction;
	struct host tried; /* over an idle connection */
	bool has_tried;
};

static void attempt_next(struct attempt *a);
static void attempt_transact(struct attempt *a, struct connection *c, bool put_off_only);

/* ---- the end ---- */

static void
attempt_free(struct attempt *a)
{
	mx_cancel(&a->mx);
	if (a->wants_socket)
		server_unwant_socket(a);
	hosts_free(&a->hosts);
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

static void
on_transaction_done(void *context, enum transaction_end end, struct connection *c, bool again)
{
	struct attempt *a = context;

	a->transaction = NULL;
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
	/* A host that spoke at all counts as a session: smtp_mx_session_limit. */
	if (why->relay[0] != '\0')
		a->sessions++;
	a->job->hop = c->reply.complete && c->reply.code == 421 ? HOP_BUSY : HOP_DOWN;
	attempt_keep(a, why);
	attempt_next(a);
}

static const struct connection_user opening_user = {.ready = on_ready, .failed = on_failed};

static void
trace_line(void *context, bool sent, struct span line)
{
	job_trace(context, "%s%.*s", sent ? ">>> " : "", SPAN_ARG(line));
}

/* Returns false if not even a socket could be had. */
static bool
attempt_open(struct attempt *a, const struct host *host)
{
	struct job *job = a->job;
	struct verdict why;
	struct connection_plan plan = {.agent = job->agent,
	    .conf = job->conf,
	    .host = host,
	    .destination = a->key,
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
	const struct route *route = &a->routes[a->route_at - 1];
	struct host host = {.preference = 0};
	struct verdict v;

	a->wants_socket = false;
	snprintf(host.name, sizeof host.name, "%s", job->conf->values->myhostname);
	snprintf(host.socket, sizeof host.socket, "%s", route->socket);
	a->socket_fd = fd;
	if (fd >= 0 && attempt_open(a, &host))
		return;
	if (fd < 0) {
		verdict_set(&v, "4.4.1", "connect to %s[%s]: %s", host.name, host.socket, why);
		job->hop = HOP_DOWN;
		attempt_keep(a, &v);
	}
	attempt_next(a);
}

static void
attempt_want_socket(struct attempt *a, const struct route *route)
{
	if (a->job->agent->server &&
	    server_want_socket(a->job->agent->server, route->socket, on_socket, a) == 0)
		a->wants_socket = true;
	else
		on_socket(a, -1, "master is not there");
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
		const struct host *host = &a->hosts.list[a->host_at++];

		if (a->has_tried && host_same_address(host, &a->tried))
			continue;
		if (attempt_open(a, host))
			return;
	}
	if (a->route_at == a->route_count) {
		attempt_give_up(a);
		return;
	}
	hosts_free(&a->hosts);
	a->host_at = 0;
	a->sessions = 0;
	route = &a->routes[a->route_at++];
	if (route->socket[0]) {
		attempt_want_socket(a, route);
		return;
	}
	a->detect_loop = route->use_mx && !route->own_port;
	/* NULL: on_hosts() was called, and the attempt may be gone. */
	mx = mx_find(a->job->agent, a->job->conf, route, on_hosts, a);
	if (mx)
		a->mx = mx;
}

/* ---- the beginning ---- */

static uint16_t
default_port(const char *text, uint16_t fallback)
{
	struct route_rules rules = {.port = fallback};
	struct route route;
	struct error err;
	char word[80];

	snprintf(word, sizeof word, "[x]:%s", text);
	return route_parse(span_of(word), &rules, &route, 1, &err) == 1 ? route.port : fallback;
}

static int
attempt_routes(struct attempt *a, struct error *err)
{
	const struct conf_values *v = a->job->conf->values;
	struct route_rules rules = {.lmtp = a->job->lmtp, .no_mx = v->disable_dns_lookups};
	struct error ignored;
	int more;

	rules.port = rules.lmtp ? default_port(v->lmtp_tcp_port, 24) : default_port(v->smtp_tcp_port, 25);
	a->route_count = route_parse(a->job->nexthop, &rules, a->routes, ROUTE_MAX, err);
	if (a->route_count < 0)
		return -1;
	if (rules.lmtp || v->smtp_fallback_relay[0] == '\0')
		return 0;
	more = route_parse(
	    span_of(v->smtp_fallback_relay), &rules, a->routes + a->route_count, ROUTE_MAX, &ignored);
	if (more > 0)
		a->route_count += more;
	return 0;
}

void
attempt_start(struct job *job)
{
	struct attempt *a = mem_alloc(sizeof *a);
	struct error err;
	struct verdict v;
	struct connection *c;

	a->job = job;
	job->attempt = a;
	snprintf(a->key, sizeof a->key, "%s:%.*s", job->lmtp ? "lmtp" : "smtp", SPAN_ARG(job->nexthop));
	if (job->open > 0 && attempt_routes(a, &err) < 0) {
		verdict_set(&v, "4.3.5", "mail system configuration error: %.500s", err.text);
		attempt_keep(a, &v);
		a->route_count = 0;
	}
	c = job->flags & MAIL_TRACE ? NULL : destination_take(job->agent->destinations, span_of(a->key));
	if (!c) {
		attempt_next(a);
		return;
	}
	a->tried = c->host;
	a->has_tried = true;
	job->hop = HOP_UP;
	attempt_transact(a, c, false);
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
