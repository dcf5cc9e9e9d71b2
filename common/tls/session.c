#include "common/tls/session.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/net/address.h"
#include "common/tls/keys_inside.h"
#include "common/tls/session_inside.h"

enum {
	PLAIN_MAX = 4 * 1024 * 1024,
	AHEAD_MAX = 128 * 1024,
	TICKET_MAX = 64 * 1024,
	SESSION_ARENA_MAX = 256 * 1024
};

struct tls_session *
session_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

void
session_name_known(struct tls_session *t)
{
	t->name_known = true;
}

void
session_name_asked(struct tls_session *t, struct span name)
{
	t->name_asked = arena_copy_span(t->arena, name);
}

bool
session_is_name_asked(const struct tls_session *t, struct span name)
{
	return span_equal_nocase(t->name_asked, name);
}

/* ---- the stream's operations ---- */

static short
session_wants(const struct stream *s)
{
	const struct tls_session *t = s->layer;

	if (s->starting)
		return t->wants;
	if (t->read_waits_for_write)
		return EV_WRITE;
	return t->ahead.len || t->end_pending || SSL_pending(t->ssl) ? EV_READ : 0;
}

static void
session_started(struct stream *s, bool ok)
{
	struct tls_session *t = s->layer;

	t->done(t->owner, ok, ok ? "" : t->why);
	/* In TLS 1.2 the session to be resumed is there with the end of the handshake. */
	if (ok && !s->closed)
		session_tell_ticket(t);
}

static void
session_free(struct stream *s)
{
	struct tls_session *t = s->layer;

	s->layer = NULL;
	session_stop(t);
	SSL_free(t->ssl);
	tls_context_free(&t->context);
	buf_free(&t->plain);
	buf_free(&t->ahead);
	buf_free(&t->ticket);
	arena_free(&t->arena);
	free(t);
}

static const struct stream_ops session_ops = {
    .read = session_read,
    .write = session_write,
    .wants = session_wants,
    .start = session_start,
    .started = session_started,
    .goodbye = session_goodbye,
    .free = session_free,
};

struct tls_session *
session_on(const struct stream *s)
{
	return s && s->ops == &session_ops ? s->layer : NULL;
}

/* ---- beginning ---- */

/* RFC 8446, 4.6.3: an update of keys costs the peer little. So does what else may come after the handshake. */
static void
on_message(int sending, int version, int content_type, const void *bytes, size_t len, SSL *ssl, void *context)
{
	struct tls_session *t = context;

	(void)version;
	(void)bytes;
	(void)len;
	(void)ssl;
	if (!sending && t->facts && content_type == SSL3_RT_HANDSHAKE && t->idle_messages < UINT8_MAX)
		t->idle_messages++;
}

static void
copy_wanted(struct tls_session *t, const struct tls_plan *plan)
{
	size_t count = plan->name_count + plan->fingerprint_count;
	const char *text;

	if (count == 0)
		return;
	t->wanted = arena_alloc(t->arena, count * sizeof(*t->wanted));
	for (size_t i = 0; t->wanted && i < count; i++) {
		text = i < plan->name_count ? plan->names[i] : plan->fingerprints[i - plan->name_count];
		t->wanted[i] = arena_copy_span(t->arena, span_of(text));
	}
	if (!t->wanted)
		panic("a TLS session with more names than can be");
	t->wanted_names = plan->name_count;
	t->wanted_count = count;
}

/* RFC 6066, 3: host names only, without a last dot. */
static void
send_name(struct tls_session *t, const char *text)
{
	struct net_address address;
	char name[256];
	size_t len = text ? strlen(text) : 0;

	if (len && text[len - 1] == '.')
		len--;
	if (len == 0 || net_address_parse(span_make(text, len), &address) == 0 ||
	    !span_copy(span_make(text, len), name, sizeof(name)))
		return;
	(void)SSL_set_tlsext_host_name(t->ssl, name);
}

static void
resume(struct tls_session *t, struct span bytes)
{
	const unsigned char *at = (const unsigned char *)bytes.ptr;
	SSL_SESSION *session;

	if (bytes.len == 0 || bytes.len > TICKET_MAX)
		return;
	if ((session = d2i_SSL_SESSION(NULL, &at, (long)bytes.len))) {
		(void)SSL_set_session(t->ssl, session);
		SSL_SESSION_free(session);
	}
}

static void
prepare(struct tls_session *t, const struct tls_plan *plan)
{
	BIO *wire = wire_new(t);

	SSL_set_app_data(t->ssl, t);
	SSL_set_bio(t->ssl, wire, wire);
	SSL_set_msg_callback(t->ssl, on_message);
	SSL_set_msg_callback_arg(t->ssl, t);
	if (t->context->keys)
		SSL_set_mode(t->ssl, SSL_MODE_ASYNC);
	if (t->context->side == TLS_CLIENT) {
		SSL_set_connect_state(t->ssl);
		copy_wanted(t, plan);
		send_name(t, plan->name);
		resume(t, plan->resume);
		/* Who is to be authenticated is held to more than opportunistic mail is. */
		if (t->wanted_count)
			SSL_set_security_level(t->ssl, 1);
		return;
	}
	SSL_set_accept_state(t->ssl);
	if (t->context->tickets && !keys_ticket_current(t->context->keys)) {
		SSL_set_options(t->ssl, SSL_OP_NO_TICKET);
		SSL_set_num_tickets(t->ssl, 0);
	}
}

void
tls_start(struct stream *s, const struct tls_plan *plan, tls_done *done, void *context)
{
	struct tls_session *t = mem_alloc(sizeof(*t));

	t->stream = s;
	t->context = tls_context_ref(plan->context);
	t->done = done;
	t->on_session = plan->session;
	t->owner = context;
	t->arena = arena_new(SESSION_ARENA_MAX);
	t->wants = t->context->side == TLS_SERVER ? EV_READ : EV_WRITE;
	buf_init(&t->plain, PLAIN_MAX);
	buf_init(&t->ahead, AHEAD_MAX);
	buf_init(&t->ticket, TICKET_MAX);
	if (!(t->ssl = SSL_new(t->context->ssl)))
		panic("no memory for TLS");
	prepare(t, plan);
	ERR_clear_error();
	stream_set_layer(s, &session_ops, t, &t->plain);
}

bool
tls_is_on(const struct stream *s)
{
	return session_on(s) != NULL;
}

bool
tls_truncated(const struct stream *s)
{
	const struct tls_session *t = session_on(s);

	return t && t->truncated;
}

void
tls_match_names(struct buf *out, struct span list, const char *nexthop, const char *hostname)
{
	struct span word;

	while (span_next_word(&list, ":, \t\r\n", &word)) {
		if (span_is_nocase(word, "nexthop"))
			buf_printf(out, "%s\n", nexthop);
		else if (span_is_nocase(word, "hostname"))
			buf_printf(out, "%s\n", hostname);
		else if (span_is_nocase(word, "dot-nexthop"))
			buf_printf(out, ".%s\n", nexthop);
		else
			buf_printf(out, "%.*s\n", SPAN_ARG(word));
	}
}
