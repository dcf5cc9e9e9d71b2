#include "delivery/smtp/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/net/stream.h"
#include "delivery/smtp/connection_auth.h"
#include "delivery/smtp/connection_inside.h"
#include "delivery/smtp/timeouts.h"
#include "delivery/smtp/tls_client.h"

/* A QUIT is worth no more of our time than this, whatever smtp_quit_timeout or lmtp_quit_timeout says. */
enum { INPUT_MAX = 16 * 1024, QUIT_SECONDS_MAX = 10 };

/* ---- life ---- */

static void
connection_free(struct connection *c)
{
	connection_errors_tell(c);
	c->plan.agent->connections--;
	connection_auth_free(c);
	tls_policy_free(&c->policy);
	conf_unref(&c->conf);
	free(c->sender);
	free(c->discard);
	connection_filter_free(c);
	free(c);
}

void
connection_enter(struct connection *c)
{
	c->entered++;
}

void
connection_leave(struct connection *c)
{
	if (--c->entered == 0 && c->dead)
		connection_free(c);
}

void
connection_die(struct connection *c)
{
	if (c->dead)
		return;
	c->dead = true;
	if (c->discard_call != 0 && c->plan.agent->lookup)
		ipc_cancel(c->plan.agent->lookup, c->discard_call);
	connection_filter_stop(c);
	connection_auth_free(c);
	stream_close(&c->stream);
	if (c->entered == 0)
		connection_free(c);
}

void
connection_close(struct connection *c)
{
	connection_die(c);
}

void
connection_set_user(struct connection *c, const struct connection_user *user, void *context)
{
	c->user = user;
	c->context = context;
}

/* ---- sending ---- */

static void
connection_show(struct connection *c, bool sent, struct span lines)
{
	struct span line;

	if (!c->plan.trace && !c->tells_errors)
		return;
	while (span_next_line(&lines, &line)) {
		connection_errors_line(c, sent, line);
		if (c->plan.trace)
			c->plan.trace(c->plan.trace_context, sent, line);
	}
}

void
connection_set_timeout(struct connection *c, int64_t timeout_us)
{
	if (!c->dead)
		stream_set_deadline(c->stream, timeout_us > 0 ? clock_mono_us() + timeout_us : 0);
}

void
connection_send(struct connection *c, struct span lines, int64_t timeout_us)
{
	connection_send_hidden(c, lines, lines, timeout_us);
}

void
connection_send_hidden(struct connection *c, struct span lines, struct span shown, int64_t timeout_us)
{
	if (c->dead)
		return;
	connection_show(c, true, shown);
	stream_write(c->stream, lines.ptr, lines.len);
	connection_set_timeout(c, timeout_us);
}

void
connection_send_content(struct connection *c, struct span bytes, bool more, int64_t timeout_us)
{
	if (c->dead)
		return;
	if (more)
		stream_write_more(c->stream, bytes.ptr, bytes.len);
	else
		stream_write(c->stream, bytes.ptr, bytes.len);
	connection_set_timeout(c, timeout_us);
}

int64_t
connection_deadline(const struct connection *c)
{
	return c->dead ? 0 : stream_deadline(c->stream);
}

void
connection_want_written(struct connection *c)
{
	if (!c->dead)
		stream_want_written(c->stream);
}

/* ---- the end ---- */

void
connection_fail(struct connection *c, struct verdict *why)
{
	/* What was never connected is no relay. */
	if (c->stage > CONNECTING)
		connection_sign(c, why);
	connection_enter(c);
	connection_die(c);
	c->user->failed(c, why, c->context);
	connection_leave(c);
}

struct log
connection_log(const struct connection *c)
{
	return (struct log){.ident = c->plan.lmtp ? "lmtp" : NULL};
}

void
verdict_of_loss(struct verdict *v, const struct connection *c, enum connection_loss how, const char *doing)
{
	static const struct {
		const char *code;
		const char *format;
	} texts[] = {
	    [LOSS_CLOSED] = {"4.4.2", "lost connection with %s while %s"},
	    [LOSS_TIMEOUT] = {"4.4.2", "conversation with %s timed out while %s"},
	    [LOSS_GARBAGE] = {"4.5.0", "host %s broke the protocol while %s"},
	    [LOSS_LOCAL] = {"4.3.0", "local data error while talking to %s while %s"},
	};

	verdict_set(v, texts[how].code, texts[how].format, c->name, doing);
	connection_sign(c, v);
}

void
connection_sign(const struct connection *c, struct verdict *v)
{
	snprintf(v->relay, sizeof v->relay, "%s", c->relay);
	if (c->tls_on)
		snprintf(v->tls, sizeof v->tls, "%s", tls_level_name(c->policy->level));
}

static void
connection_not_made(struct connection *c, int error)
{
	struct verdict why;

	verdict_set(&why, "4.4.1", "connect to %s: %s", c->relay, strerror(error));
	log_info(NULL, "%s", why.text);
	connection_fail(c, &why);
}

void
connection_lose(struct connection *c, enum connection_loss how)
{
	struct verdict why;

	if (c->stage == CONNECTING) {
		connection_not_made(c, how == LOSS_TIMEOUT ? ETIMEDOUT : stream_errno(c->stream));
		return;
	}
	if (c->stage == HANDSHAKE) {
		connection_tls_lose(c, how);
		return;
	}
	if (c->stage < READY) {
		/* Never because of what AUTH has led to: the password would go out in plain text then. */
		c->tls_broke = (c->tls_on && c->stage != AUTH) || c->stage == STARTTLS;
		verdict_of_loss(&why, c, how, connection_doing(c));
		connection_fail(c, &why);
		return;
	}
	connection_enter(c);
	connection_die(c);
	c->user->lost(c, how, c->context);
	connection_leave(c);
}

/* ---- the stream ---- */

/* behind: something came after it in the same read. */
static void
connection_take_reply(struct connection *c, bool behind)
{
	switch (c->stage) {
	case READY:
		c->user->reply(c, &c->reply, c->context);
		break;
	case QUITTING:
		connection_die(c);
		c->user->lost(c, LOSS_CLOSED, c->context);
		break;
	default:
		c->input_behind = behind;
		connection_handle_reply(c, &c->reply);
		break;
	}
}

void
connection_take_input(struct connection *c, struct span bytes, bool behind)
{
	size_t used;
	int status;

	while (bytes.len > 0 && !c->dead) {
		status = reply_feed(&c->reply, bytes, &used);
		bytes = span_from(bytes, used);
		if (status < 0) {
			connection_errors_broken(c);
			connection_lose(c, LOSS_GARBAGE);
		} else if (status > 0) {
			connection_errors_reply(c, c->reply.code);
			connection_show(c, false, connection_auth_scrub(c, &c->reply));
			connection_take_reply(c, bytes.len > 0 || behind);
		}
	}
}

static size_t
on_input(struct stream *s, struct span bytes, void *context)
{
	struct connection *c = context;

	(void)s;
	connection_enter(c);
	if (connection_filter_wanted(c))
		connection_filter_put(c, bytes);
	else
		connection_take_input(c, bytes, false);
	connection_leave(c);
	return bytes.len;
}

static void
on_event(struct stream *s, enum stream_event event, void *context)
{
	struct connection *c = context;

	(void)s;
	connection_enter(c);
	switch (event) {
	case STREAM_CONNECTED:
		connection_begin(c);
		break;
	case STREAM_WRITTEN:
		if (c->stage == READY && c->user->written)
			c->user->written(c, c->context);
		break;
	case STREAM_TIMEOUT:
		if (c->stage == READY && c->user->timeout)
			c->user->timeout(c, c->context);
		else
			connection_lose(c, LOSS_TIMEOUT);
		break;
	case STREAM_EOF:
	case STREAM_ERROR:
		if (!connection_filter_end(c))
			connection_lose(c, LOSS_CLOSED);
		break;
	}
	connection_leave(c);
}

static const struct stream_callbacks stream_callbacks = {on_input, on_event};

/* ---- opening ---- */

static int
bind_source(int fd, sa_family_t family, const struct conf_values *v)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	int on = 1;

	if (family == AF_INET && v->smtp_bind_address[0] != '\0') {
		if (inet_pton(AF_INET, v->smtp_bind_address, &v4.sin_addr) != 1) {
			errno = EINVAL;
			return -1;
		}
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
		return bind(fd, (struct sockaddr *)&v4, sizeof v4);
	}
	if (family == AF_INET6 && v->smtp_bind_address6[0] != '\0') {
		if (inet_pton(AF_INET6, v->smtp_bind_address6, &v6.sin6_addr) != 1) {
			errno = EINVAL;
			return -1;
		}
		return bind(fd, (struct sockaddr *)&v6, sizeof v6);
	}
	return 0;
}

/* A connecting socket, or -1 with errno. bound: it has the address that it is to have. */
static int
socket_connect(const struct host *host, const struct conf_values *v, bool *bound)
{
	sa_family_t family = host->address.any.sa_family;
	socklen_t len = family == AF_INET ? sizeof host->address.v4 : sizeof host->address.v6;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -1;
	*bound = bind_source(fd, family, v) == 0;
	if (!*bound)
		log_warning(NULL, "%s %s: %s", family == AF_INET ? "smtp_bind_address" : "smtp_bind_address6",
		    family == AF_INET ? v->smtp_bind_address : v->smtp_bind_address6, strerror(errno));
	if ((*bound || !v->smtp_bind_address_enforce) &&
	    (connect(fd, &host->address.any, len) == 0 || errno == EINPROGRESS))
		return fd;
	error = errno;
	io_close(&fd);
	errno = error;
	return -1;
}

struct connection *
connection_open(const struct connection_plan *plan, const struct connection_user *user, void *context,
    struct verdict *why)
{
	const struct host *host = plan->host;
	struct connection *c;
	bool bound = true;
	int fd = host->socket[0] ? plan->socket_fd : socket_connect(host, plan->conf->values, &bound);

	if (fd < 0) {
		bool short_of = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;

		if (!bound && plan->conf->values->smtp_bind_address_enforce)
			verdict_set(why, "4.4.0", "server configuration error");
		else
			verdict_set(why, short_of ? "4.3.0" : "4.4.1", "connect to %s[%s]:%u: %s", host->name,
			    host->text, ntohs(host->address.v4.sin_port), strerror(errno));
		log_info(NULL, "%s", why->text);
		return NULL;
	}
	c = mem_alloc(sizeof *c);
	c->plan = *plan;
	c->conf = conf_ref(plan->conf);
	c->host = *host;
	snprintf(c->destination, sizeof c->destination, "%s", plan->destination);
	c->plan.conf = c->conf;
	c->plan.host = &c->host;
	c->plan.destination = c->destination;
	span_copy(plan->nexthop, c->nexthop, sizeof c->nexthop);
	c->plan.nexthop = span_of(c->nexthop);
	c->sender = mem_strndup(plan->sender.ptr ? plan->sender.ptr : "", plan->sender.len);
	c->plan.sender = span_of(c->sender);
	c->policy = tls_policy_ref(plan->policy);
	c->plan.policy = c->policy;
	c->tls_given_up = plan->plain;
	/* The port lies at the same place in both kinds of address. */
	if (host->socket[0]) {
		snprintf(c->name, sizeof c->name, "%.200s[%.110s]", host->name, host->socket);
		memcpy(c->relay, c->name, sizeof c->relay);
	} else {
		snprintf(c->name, sizeof c->name, "%s[%s]", host->name, host->text);
		snprintf(c->relay, sizeof c->relay, "%s[%s]:%u", host->name, host->text,
		    ntohs(host->address.v4.sin_port));
	}
	c->opened_us = clock_mono_us();
	connection_errors_begin(c);
	c->user = user;
	c->context = context;
	c->stage = CONNECTING;
	plan->agent->connections++;
	c->stream = stream_new(plan->agent->base, fd, true, INPUT_MAX, &stream_callbacks, c);
	connection_set_timeout(c, timeout_of(c->conf->values, c->plan.lmtp, TIMEOUT_CONNECT));
	return c;
}

/* ---- leaving ---- */

void
connection_quit(struct connection *c)
{
	int64_t linger_us = timeout_of(c->conf->values, c->plan.lmtp, TIMEOUT_QUIT);

	if (c->dead)
		return;
	if (linger_us > QUIT_SECONDS_MAX * US_PER_SECOND)
		linger_us = QUIT_SECONDS_MAX * US_PER_SECOND;
	connection_errors_line(c, true, SPAN_LIT("QUIT"));
	stream_write(c->stream, "QUIT\r\n", 6);
	stream_close_after_flush(&c->stream, linger_us);
	c->dead = true;
	if (c->entered == 0)
		connection_free(c);
}

void
connection_quit_traced(struct connection *c, const struct connection_user *user, void *context)
{
	if (c->dead)
		return;
	c->stage = QUITTING;
	connection_set_user(c, user, context);
	connection_send(c, SPAN_LIT("QUIT\r\n"), QUIT_SECONDS_MAX * US_PER_SECOND);
}
