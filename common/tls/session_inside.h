/*
 * session_inside: what the parts of a session share.
 */
#ifndef POSTERN_TLS_SESSION_INSIDE_H
#define POSTERN_TLS_SESSION_INSIDE_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/ipc/ipc.h"
#include "common/net/stream_inside.h"
#include "common/tls/context_inside.h"
#include "common/tls/facts.h"
#include "common/tls/provider.h"
#include "common/tls/session.h"

struct tls_session {
	struct stream *stream;
	struct tls_context *context;
	SSL *ssl;
	tls_done *done;
	void (*on_session)(void *context, struct span bytes);
	void *owner;

	struct arena *arena; /* what the plan wants matched, the name asked for, and the facts */
	struct span *wanted; /* names, then fingerprints */
	size_t wanted_names, wanted_count;
	struct span name_asked; /* by a client with a ticket, before OpenSSL knows it */
	struct tls_facts *facts; /* NULL until the handshake is done */
	const char *why; /* of a handshake that failed; static */
	const char *why_untrusted; /* what the peer's chain lacks */

	struct buf plain; /* output from before TLS */
	struct buf ahead; /* read from the socket, not yet asked for by OpenSSL */
	struct buf ticket; /* a session to be told to the owner */

	struct signing signing;
	struct ipc_channel *asked; /* while call is not 0 */
	uint32_t call;
	TAILQ_ENTRY(tls_session) job_link;

	int socket_error;
	short wants; /* of the socket, during the handshake */
	unsigned char idle_messages; /* of the peer, in a row, that bring no data */
	bool may_receive; /* one recv() a read: whatever is left wakes us again */
	bool more; /* more output follows in this turn */
	bool at_eof;
	bool truncated;
	bool broken; /* after a fatal error nothing may be sent */
	bool read_waits_for_write;
	bool end_pending; /* an end was seen behind data: it is to be read again */
	bool waits_for_job;
	bool name_known;
};

/* session_wire.c: OpenSSL's way to the socket. */
BIO *wire_new(struct tls_session *t);

/* Keeps what was received ahead before another session uses the buffer. After each call of OpenSSL that may read. */
void wire_settle(struct tls_session *t);

/* session_io.c */
ssize_t session_read(struct stream *s, void *bytes, size_t len);
ssize_t session_write(struct stream *s, const void *bytes, size_t len, bool more);
void session_goodbye(struct stream *s);

/* Gives a session that came to the owner, who may close the stream. */
void session_tell_ticket(struct tls_session *t);

/* session_start.c */
enum stream_start session_start(struct stream *s, short what);

/* The stream goes while a signature is awaited: ends the job. */
void session_stop(struct tls_session *t);

/* verify.c, facts.c. facts stays NULL if the arena is full. */
void session_verdict(struct tls_session *t, struct tls_facts *f, X509 *peer);
void session_gather_facts(struct tls_session *t);

/* NULL if the stream speaks no TLS. */
struct tls_session *session_on(const struct stream *s);

#endif
