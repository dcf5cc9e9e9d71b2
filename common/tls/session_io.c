#include <errno.h>
#include <limits.h>
#include <openssl/err.h>

#include "common/tls/session_inside.h"

/* A record holds no more (RFC 8446, 5.1). */
enum { RECORD_MAX = 16 * 1024, IDLE_MESSAGES_MAX = 32 };

/* What SSL_read() and SSL_write() returned, as read(2) and write(2) would say it. */
static ssize_t
failure(struct tls_session *t, int result)
{
	int why = SSL_get_error(t->ssl, result);

	ERR_clear_error();
	switch (why) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		break;
	}
	t->broken = true;
	if (t->at_eof && !t->socket_error) {
		t->truncated = true;
		return 0;
	}
	errno = t->socket_error ? t->socket_error : EPROTO;
	return -1;
}

static bool
flooded(struct tls_session *t)
{
	if (t->idle_messages <= IDLE_MESSAGES_MAX)
		return false;
	t->broken = true;
	errno = EPROTO;
	return true;
}

ssize_t
session_read(struct stream *s, void *bytes, size_t len)
{
	struct tls_session *t = s->layer;
	size_t total = 0;
	int n = 0;

	t->may_receive = true;
	t->read_waits_for_write = false;
	ERR_clear_error();
	while (total < len && !t->broken) {
		n = SSL_read(
		    t->ssl, (char *)bytes + total, len - total > INT_MAX ? INT_MAX : (int)(len - total));
		if (n <= 0)
			break;
		t->idle_messages = 0;
		total += (size_t)n;
	}
	wire_settle(t);
	t->read_waits_for_write = n <= 0 && SSL_want_write(t->ssl);
	t->end_pending = total > 0 && n <= 0 && !SSL_want_read(t->ssl) && !SSL_want_write(t->ssl);
	session_tell_ticket(t);
	if (s->closed) {
		errno = EAGAIN;
		return -1;
	}
	if (flooded(t))
		return -1;
	if (total > 0)
		return (ssize_t)total;
	if (t->broken) {
		errno = EPROTO;
		return -1;
	}
	return failure(t, n);
}

ssize_t
session_write(struct stream *s, const void *bytes, size_t len, bool more)
{
	struct tls_session *t = s->layer;
	size_t total = 0, piece;
	int n = 0;

	if (t->broken) {
		errno = t->socket_error ? t->socket_error : EPIPE;
		return -1;
	}
	ERR_clear_error();
	while (total < len) {
		piece = len - total > INT_MAX ? INT_MAX : len - total;
		t->more = more || piece > RECORD_MAX;
		n = SSL_write(t->ssl, (const char *)bytes + total, (int)piece);
		t->more = false;
		if (n <= 0)
			break;
		total += (size_t)n;
	}
	wire_settle(t);
	if (total > 0)
		return (ssize_t)total;
	if (failure(t, n) == 0)
		errno = EPIPE;
	return -1;
}

/* RFC 8446, 6.1. Once, and never after an error. */
void
session_goodbye(struct stream *s)
{
	struct tls_session *t = s->layer;

	if (t->broken || !t->facts || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
		return;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	wire_settle(t);
	ERR_clear_error();
}

void
session_ticket_came(struct tls_session *t, SSL_SESSION *session)
{
	int len = i2d_SSL_SESSION(session, NULL);
	unsigned char *to;

	if (!t->on_session || len <= 0 || !SSL_SESSION_is_resumable(session))
		return;
	buf_clear(&t->ticket);
	if (!(to = (unsigned char *)buf_reserve(&t->ticket, (size_t)len)))
		return;
	buf_added(&t->ticket, (size_t)i2d_SSL_SESSION(session, &to));
}

void
session_tell_ticket(struct tls_session *t)
{
	if (t->ticket.len == 0 || !t->facts)
		return;
	if (t->stream->callbacks && !t->stream->closed)
		t->on_session(t->owner, buf_span(&t->ticket));
	buf_free(&t->ticket);
}
