/*
 * The handshake. Each call of SSL_do_handshake() runs in an ASYNC job, which ends with the call unless it is paused
 * within because a signature is needed. The question to keys is asked here, outside of the job, whose stack is small.
 */
#include <errno.h>
#include <openssl/async.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/tls/keys_inside.h"
#include "common/tls/library.h"
#include "common/tls/session_inside.h"

enum { SIGN_TIMEOUT_MS = 10000, STOP_TURNS = 8 };

TAILQ_HEAD(job_queue, tls_session);
static struct job_queue waiting_for_job = TAILQ_HEAD_INITIALIZER(waiting_for_job);

static void
job_wait(struct tls_session *t)
{
	if (t->waits_for_job)
		return;
	TAILQ_INSERT_TAIL(&waiting_for_job, t, job_link);
	t->waits_for_job = true;
}

static void
job_wait_no_more(struct tls_session *t)
{
	if (t->waits_for_job)
		TAILQ_REMOVE(&waiting_for_job, t, job_link);
	t->waits_for_job = false;
}

/* A job has ended: one who waits may have it. */
static void
job_pass_on(void)
{
	struct tls_session *next = TAILQ_FIRST(&waiting_for_job);

	if (!next)
		return;
	job_wait_no_more(next);
	stream_kick(next->stream);
}

/* ---- signatures ---- */

static void
sign_failed(struct tls_session *t, struct span why)
{
	log_warning(NULL, "TLS handshake without a signature: %.*s", SPAN_ARG(why));
	t->why = "no signature from the keys process";
	t->signing.answered = true;
}

static int
on_signed(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct tls_session *t = context;
	const struct msg_key_signed *answer;

	(void)err;
	t->call = 0;
	t->asked = NULL;
	if (!frame)
		sign_failed(t, SPAN_LIT("no answer from keys"));
	else if ((answer = &frame->key_signed)->status != KEY_DONE)
		sign_failed(t, answer->reason.len ? answer->reason : SPAN_LIT("refused by keys"));
	else {
		t->signing.signature = mem_alloc(answer->signature.len + 1);
		memcpy(t->signing.signature, answer->signature.ptr, answer->signature.len);
		t->signing.signature_len = answer->signature.len;
		t->signing.answered = true;
	}
	stream_kick(t->stream);
	return 0;
}

static void
sign_ask(struct tls_session *t)
{
	struct msg_key_sign ask = {.scheme = t->signing.scheme};

	ask.key = span_make(t->signing.key, sizeof(t->signing.key));
	ask.section = span_of(t->context->section);
	ask.text = span_make(t->signing.text, t->signing.text_len);
	t->asked = keys_channel(t->context->keys);
	t->call = ipc_ask(t->asked, IPC_KEY_SIGN, &ask, SIGN_TIMEOUT_MS, on_signed, t);
	if (t->call == 0) {
		sign_failed(t, SPAN_LIT("keys is not there"));
		stream_kick(t->stream);
	}
}

/* ---- the handshake ---- */

/* What was written before TLS goes out first, plain. */
static bool
plain_is_out(struct tls_session *t)
{
	ssize_t n;

	while (t->plain.len) {
		n = send(t->stream->fd, buf_ptr(&t->plain), t->plain.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			t->socket_error = errno == EAGAIN || errno == EWOULDBLOCK ? 0 : errno;
			return false;
		}
		buf_consume(&t->plain, (size_t)n);
	}
	buf_free(&t->plain);
	return true;
}

static enum stream_start
failed(struct tls_session *t)
{
	t->broken = true;
	if (t->why)
		(void)tls_library_error();
	else if (t->socket_error)
		t->why = strerror(t->socket_error);
	else if (t->at_eof)
		t->why = "lost connection";
	else
		t->why = tls_library_error();
	ERR_clear_error();
	return STREAM_START_FAILED;
}

static int
shake(struct tls_session *t)
{
	int result;

	ERR_clear_error();
	t->may_receive = true;
	provider_expect(&t->signing);
	result = SSL_do_handshake(t->ssl);
	provider_expect(NULL);
	wire_settle(t);
	return result;
}

static enum stream_start
done(struct tls_session *t)
{
	SSL_clear_mode(t->ssl, SSL_MODE_ASYNC);
	session_gather_facts(t);
	if (!t->facts) {
		t->why = "a certificate that makes no sense";
		return failed(t);
	}
	return STREAM_START_DONE;
}

static enum stream_start
go_on(struct tls_session *t)
{
	int result = shake(t);

	switch (result == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_NONE:
		return done(t);
	case SSL_ERROR_WANT_READ:
		t->wants = EV_READ;
		return STREAM_START_GOES_ON;
	case SSL_ERROR_WANT_WRITE:
		t->wants = EV_WRITE;
		return STREAM_START_GOES_ON;
	case SSL_ERROR_WANT_ASYNC:
		t->wants = EV_READ;
		if (t->signing.wanted && !t->call && !t->signing.answered)
			sign_ask(t);
		return STREAM_START_GOES_ON;
	case SSL_ERROR_WANT_ASYNC_JOB:
		t->wants = 0;
		job_wait(t);
		return STREAM_START_GOES_ON;
	default:
		return failed(t);
	}
}

enum stream_start
session_start(struct stream *s, short what)
{
	struct tls_session *t = s->layer;
	enum stream_start how;

	if (!plain_is_out(t)) {
		t->wants = EV_WRITE;
		return t->socket_error ? failed(t) : STREAM_START_GOES_ON;
	}
	if (t->signing.wanted && !t->signing.answered) {
		/* The peer cannot help now: only if it says something all the same the socket is looked away from. */
		if (what & EV_READ)
			t->wants = 0;
		return STREAM_START_GOES_ON;
	}
	job_wait_no_more(t);
	how = go_on(t);
	if (!t->signing.wanted && !t->waits_for_job)
		job_pass_on();
	return how;
}

void
session_stop(struct tls_session *t)
{
	job_wait_no_more(t);
	if (t->call)
		ipc_cancel(t->asked, t->call);
	t->call = 0;
	for (int i = 0; t->signing.wanted && i < STOP_TURNS; i++) {
		t->signing.answered = true;
		(void)shake(t);
	}
	if (t->signing.wanted)
		panic("a TLS handshake does not end without its signature");
	free(t->signing.signature);
	t->signing.signature = NULL;
	ERR_clear_error();
	job_pass_on();
}
