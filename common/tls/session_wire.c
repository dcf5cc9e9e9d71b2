/*
 * OpenSSL reads a record's header, then its body: two system calls a record. So what the socket has is received into
 * one buffer of the process and handed on from there; what OpenSSL has not asked for when it returns is kept with the
 * session, so that an idle session holds nothing.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/tls/session_inside.h"

enum { CHUNK_SIZE = 64 * 1024 };

static char chunk[CHUNK_SIZE];
static struct span unasked; /* the rest of chunk, of the session that is being served */

static int
give(struct tls_session *t, char *bytes, size_t len)
{
	struct span from = t->ahead.len ? buf_span(&t->ahead) : unasked;

	if (from.len < len)
		len = from.len;
	memcpy(bytes, from.ptr, len);
	if (t->ahead.len)
		buf_consume(&t->ahead, len);
	else
		unasked = span_from(unasked, len);
	return (int)len;
}

static int
receive(struct tls_session *t)
{
	ssize_t n;

	do
		n = recv(t->stream->fd, chunk, sizeof(chunk), 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		unasked = span_make(chunk, (size_t)n);
	else if (n == 0)
		t->at_eof = true;
	else if (errno != EAGAIN && errno != EWOULDBLOCK)
		t->socket_error = errno;
	return (int)n;
}

static int
on_read(BIO *bio, char *bytes, int len)
{
	struct tls_session *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (len <= 0 || t->stream->fd < 0 || t->at_eof || t->socket_error)
		return t->at_eof ? 0 : -1;
	if (t->ahead.len == 0 && unasked.len == 0) {
		if (!t->may_receive) {
			BIO_set_retry_read(bio);
			return -1;
		}
		t->may_receive = false;
		if (receive(t) <= 0) {
			if (!t->at_eof && !t->socket_error)
				BIO_set_retry_read(bio);
			return t->at_eof ? 0 : -1;
		}
	}
	return give(t, bytes, (size_t)len);
}

static int
on_write(BIO *bio, const char *bytes, int len)
{
	struct tls_session *t = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (len <= 0 || t->stream->fd < 0 || t->socket_error)
		return -1;
	do
		n = send(t->stream->fd, bytes, (size_t)len, t->more ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_write(bio);
	else if (n < 0)
		t->socket_error = errno;
	return (int)n;
}

static long
on_control(BIO *bio, int command, long number, void *pointer)
{
	const struct tls_session *t = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return t->at_eof;
	default:
		return 0;
	}
}

static BIO_METHOD *
method(void)
{
	static BIO_METHOD *m;

	if (m)
		return m;
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	if (!m || BIO_meth_set_read(m, on_read) != 1 || BIO_meth_set_write(m, on_write) != 1 ||
	    BIO_meth_set_ctrl(m, on_control) != 1)
		panic("OpenSSL makes no BIO");
	return m;
}

BIO *
wire_new(struct tls_session *t)
{
	BIO *bio = BIO_new(method());

	if (!bio)
		panic("no memory for TLS");
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	return bio;
}

void
wire_settle(struct tls_session *t)
{
	if (unasked.len && buf_append(&t->ahead, unasked.ptr, unasked.len) < 0)
		panic("more was read ahead than one read gives");
	unasked = (struct span){0};
	if (t->ahead.len == 0)
		buf_free(&t->ahead);
}
