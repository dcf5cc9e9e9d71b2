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

/* A QUIT is worth no more of our time than this, whatever smtp_quit_timeout says. */
enum { INPUT_MAX = 16 * 1024, QUIT_SECONDS_MAX = 10 };

enum stage { CONNECTING, GREETING, EHLO, HELO, READY, QUITTING };

/* ---- life ---- */

static void
connection_free(struct connection *c)
{
	c->plan.agent->connections--;
	conf_unref(&c->conf);
	free(c);
}

static void
connection_enter(struct connection *c)
{
	c->entered++;
}

static void
connection_leave(struct connection *c)
{
	if (--c->entered == 0 && c->dead)
		connection_free(c);
}

static void
connection_die(struct connection *c)
{
	if (c->dead)
		return;
	c->dead = true;
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

	if (!c->plan.trace)
		return;
	while (span_next_line(&lines, &line))
		c->plan.trace(c->plan.trace_context, sent, line);
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
	if (c->dead)
		return;
	connection_show(c, true, lines);
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

size_t
connection_unsent(const struct connection *c)
{
	return c->dead ? 0 : stream_unsent(c->stream);
}

void
connection_want_written(struct connection *c)
{
	if (!c->dead)
		stream_want_written(c->stream);
}

/* ---- the handshake ---- */

static void
connection_fail(struct connection *c, struct verdict *why)
{
	/* What was never connected is no relay. */
	if (c->stage > CONNECTING)
		snprintf(why->relay, sizeof why->relay, "%s", c->relay);
	connection_enter(c);
	connection_die(c);
	c->user->failed(c, why, c->context);
	connection_leave(c);
}

static void
connection_refused(struct connection *c, const struct reply *r, bool soften)
{
	struct verdict why;
	char text[1000];

	reply_one_line(r, text, sizeof text);
	verdict_of_reply(&why, r, c->host.name, "host %s refused to talk to me: %s", c->name, text);
	if (soften)
		verdict_soften(&why);
	/* "221 bye" where a welcome was due. */
	if (why.class == OUTCOME_DELIVERED) {
		why.class = OUTCOME_DEFERRED;
		snprintf(why.code, sizeof why.code, "4.5.0");
	}
	connection_fail(c, &why);
}

static void
connection_hello(struct connection *c, enum stage stage)
{
	const struct conf_values *v = c->conf->values;
	char line[600];
	int len = snprintf(line, sizeof line, "%s %s\r\n",
	    stage == HELO  ? "HELO"
	    : c->plan.lmtp ? "LHLO"
			   : "EHLO",
	    v->smtp_helo_name);

	c->stage = stage;
	if (len < 0 || (size_t)len >= sizeof line)
		len = (int)sizeof line - 1;
	connection_send(c, span_make(line, (size_t)len), v->smtp_helo_timeout);
}

static void
on_greeting(struct connection *c, const struct reply *r)
{
	const struct conf_values *v = c->conf->values;

	if (r->code / 100 != 2) {
		connection_refused(c, r, v->smtp_skip_5xx_greeting);
		return;
	}
	connection_hello(c, v->smtp_never_send_ehlo && !c->plan.lmtp ? HELO : EHLO);
}

static void
on_ehlo_reply(struct connection *c, const struct reply *r)
{
	struct span domain;
	struct verdict why;

	if (r->code / 100 == 5 && !c->plan.lmtp) {
		connection_hello(c, HELO); /* RFC 5321, 3.2 */
		return;
	}
	if (r->code / 100 != 2) {
		connection_refused(c, r, false);
		return;
	}
	capabilities_parse(
	    &c->capabilities, r, span_of(c->conf->values->smtp_discard_ehlo_keywords), &domain);
	if (c->plan.detect_loop && span_is_nocase(domain, c->conf->values->myhostname)) {
		verdict_set(&why, "5.4.6", "mail for %s loops back to myself", c->destination);
		connection_fail(c, &why);
		return;
	}
	c->stage = READY;
	c->user->ready(c, c->context);
}

static void
on_helo_reply(struct connection *c, const struct reply *r)
{
	if (r->code / 100 != 2) {
		connection_refused(c, r, false);
		return;
	}
	c->stage = READY;
	c->user->ready(c, c->context);
}

static void
on_quit_reply(struct connection *c, const struct reply *r)
{
	(void)r;
	connection_enter(c);
	connection_die(c);
	c->user->lost(c, LOSS_CLOSED, c->context);
	connection_leave(c);
}

static void
on_ready_reply(struct connection *c, const struct reply *r)
{
	c->user->reply(c, r, c->context);
}

/* What a reply means at each stage, and what we were doing when it did not come. */
static const struct {
	void (*reply)(struct connection *c, const struct reply *r);
	const char *doing;
} stages[] = {
    [CONNECTING] = {NULL, "connecting"},
    [GREETING] = {on_greeting, "receiving the initial server greeting"},
    [EHLO] = {on_ehlo_reply, "performing the EHLO handshake"},
    [HELO] = {on_helo_reply, "performing the HELO handshake"},
    [READY] = {on_ready_reply, NULL},
    [QUITTING] = {on_quit_reply, NULL},
};

/* ---- the end ---- */

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
	};

	verdict_set(v, texts[how].code, texts[how].format, c->name, doing);
	snprintf(v->relay, sizeof v->relay, "%s", c->relay);
}

static void
connection_not_made(struct connection *c, int error)
{
	struct verdict why;

	verdict_set(&why, "4.4.1", "connect to %s: %s", c->relay, strerror(error));
	log_info(NULL, "%s", why.text);
	connection_fail(c, &why);
}

static void
connection_lose(struct connection *c, enum connection_loss how)
{
	struct verdict why;

	if (c->stage == CONNECTING) {
		connection_not_made(c, how == LOSS_TIMEOUT ? ETIMEDOUT : stream_errno(c->stream));
		return;
	}
	if (c->stage < READY) {
		verdict_of_loss(&why, c, how, stages[c->stage].doing);
		connection_fail(c, &why);
		return;
	}
	connection_enter(c);
	connection_die(c);
	c->user->lost(c, how, c->context);
	connection_leave(c);
}

/* ---- the stream ---- */

static size_t
on_input(struct stream *s, struct span bytes, void *context)
{
	struct connection *c = context;
	size_t len = bytes.len, used;
	int status;

	(void)s;
	connection_enter(c);
	while (bytes.len > 0 && !c->dead) {
		status = reply_feed(&c->reply, bytes, &used);
		bytes = span_from(bytes, used);
		if (status < 0) {
			connection_lose(c, LOSS_GARBAGE);
		} else if (status > 0) {
			connection_show(c, false, span_make(c->reply.text, c->reply.len));
			stages[c->stage].reply(c, &c->reply);
		}
	}
	connection_leave(c);
	return len;
}

static void
on_event(struct stream *s, enum stream_event event, void *context)
{
	struct connection *c = context;

	(void)s;
	connection_enter(c);
	switch (event) {
	case STREAM_CONNECTED:
		c->stage = GREETING;
		connection_set_timeout(c, c->conf->values->smtp_helo_timeout);
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

/* A connecting socket, or -1 with errno. */
static int
socket_connect(const struct host *host, const struct conf_values *v)
{
	sa_family_t family = host->address.any.sa_family;
	socklen_t len = family == AF_INET ? sizeof host->address.v4 : sizeof host->address.v6;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -1;
	if (bind_source(fd, family, v) == 0 &&
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
	int fd = host->socket[0] ? plan->socket_fd : socket_connect(host, plan->conf->values);

	if (fd < 0) {
		bool short_of = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;

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
	c->user = user;
	c->context = context;
	c->stage = CONNECTING;
	plan->agent->connections++;
	c->stream = stream_new(plan->agent->base, fd, true, INPUT_MAX, &stream_callbacks, c);
	connection_set_timeout(c, c->conf->values->smtp_connect_timeout);
	return c;
}

/* ---- leaving ---- */

void
connection_quit(struct connection *c)
{
	int64_t linger_us = c->conf->values->smtp_quit_timeout;

	if (c->dead)
		return;
	if (linger_us > QUIT_SECONDS_MAX * US_PER_SECOND)
		linger_us = QUIT_SECONDS_MAX * US_PER_SECOND;
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
