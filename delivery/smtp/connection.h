/*
 * connection: one connection to one host, from connect() over the greeting, EHLO (RFC 5321, 3.1, 3.2), STARTTLS
 * (RFC 3207) and AUTH (RFC 4954) to QUIT. It becomes ready only when it is what its TLS policy demands, and when the
 * server has let us in, if there is a login for it.
 *
 * It belongs to one user at a time: an attempt that waits for it, a transaction, the set of idle ones, or itself
 * while it says QUIT. The user hears of replies and of the end. A connection that ends tells its user once and is
 * gone when that call returns; connection_quit() and connection_close() tell nobody.
 */
#ifndef POSTERN_DELIVERY_SMTP_CONNECTION_H
#define POSTERN_DELIVERY_SMTP_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/span.h"
#include "common/mail/transcript.h"
#include "delivery/smtp/agent.h"
#include "delivery/smtp/hello.h"
#include "delivery/smtp/hosts.h"
#include "delivery/smtp/itinerary.h"
#include "delivery/smtp/reply.h"
#include "delivery/smtp/tls_policy.h"
#include "delivery/smtp/verdict.h"

struct connection;

enum connection_loss {
	LOSS_CLOSED,
	LOSS_TIMEOUT,
	LOSS_GARBAGE,
	LOSS_LOCAL /* of what this host needs to know */
};

struct connection_user {
	/* The handshake went well. */
	void (*ready)(struct connection *c, void *context);
	/* It did not. */
	void (*failed)(struct connection *c, const struct verdict *why, void *context);
	/* After ready: a whole reply. */
	void (*reply)(struct connection *c, const struct reply *r, void *context);
	/* After ready: the connection ended. */
	void (*lost)(struct connection *c, enum connection_loss how, void *context);
	/* The timeout passed; NULL: that is a loss. */
	void (*timeout)(struct connection *c, void *context);
	/* All that was sent has left (asked for with connection_want_written). */
	void (*written)(struct connection *c, void *context);
};

/* A line of the conversation, for sendmail -v. sent: ours. */
typedef void connection_trace(void *context, bool sent, struct span line);

struct connection_plan {
	struct agent *agent;
	const struct conf *conf;
	const struct host *host;
	struct span nexthop; /* that it is for, as it was written */
	const char *destination; /* the key under which it may be kept (itinerary.h) */
	struct span sender; /* of the mail: its login may be another one's */
	int socket_fd; /* of a UNIX socket, connected, which is taken over; for others it does not count */
	bool lmtp;
	bool detect_loop; /* a host that calls itself by our name is ourselves */
	struct tls_policy *policy; /* never one that is invalid */
	bool
	    plain; /* TLS was tried with this host, and broke: without it now, as the policy allows (level may) */
	connection_trace *trace; /* NULL: none */
	void *trace_context;
};

struct connection {
	struct connection_plan plan; /* conf is referenced, host and destination are copies */
	struct conf *conf;
	struct host host;
	char nexthop[512];
	char destination[ITINERARY_KEY_SIZE];
	char *sender;
	char name[VERDICT_RELAY_SIZE]; /* "mx.example[192.0.2.1]" */
	char relay[VERDICT_RELAY_SIZE]; /* the same with ":25" */
	struct tls_policy *policy;
	bool tls_on; /* its handshake went well */
	bool
	    tls_broke; /* TLS failed, or the connection did before it was ready: another one without it may do better */
	bool tls_given_up; /* plain text, since TLS broke or the server refused to start it (level may) */
	bool login_of_sender; /* what authentication failed with is the sender's, not the host's */
	struct capabilities capabilities;
	struct reply reply;
	int64_t opened_us; /* monotonic */
	unsigned uses; /* transactions begun */
	TAILQ_ENTRY(connection) idle_link;

	/* For connection.c alone. */
	struct stream *stream;
	struct connection_filter *filter; /* NULL: replies are taken as they come */
	struct connection_auth *auth; /* while AUTH is under way */
	const struct connection_user *user;
	void *context;
	unsigned stage;
	bool input_behind; /* more had come behind the reply that is being handled */
	char greeted_as[HOST_NAME_SIZE]; /* the server's own name */
	uint32_t discard_call; /* smtp_discard_ehlo_keyword_address_maps are being asked */
	char *discard; /* what they said; NULL: smtp_discard_ehlo_keywords counts */
	unsigned entered; /* callbacks under way */
	bool tells_errors; /* class protocol of notify_classes */
	struct transcript transcript; /* then */
	bool dead;
};

/* NULL with why when not even the attempt can be made. */
struct connection *connection_open(const struct connection_plan *plan, const struct connection_user *user,
    void *context, struct verdict *why);

void connection_set_user(struct connection *c, const struct connection_user *user, void *context);

/* Whole command lines; the reply is due within timeout_us of now. */
void connection_send(struct connection *c, struct span lines, int64_t timeout_us);

/* Content: not traced. more: something follows in this turn, or when this is written. */
void connection_send_content(struct connection *c, struct span bytes, bool more, int64_t timeout_us);
void connection_set_timeout(struct connection *c, int64_t timeout_us);

/* Until it is ready: what we are doing, "performing the EHLO handshake". */
const char *connection_doing(const struct connection *c);

/* When patience with what it waits for ends: microseconds of clock_mono_us(), 0: never. */
int64_t connection_deadline(const struct connection *c);
void connection_want_written(struct connection *c);

/* Says QUIT and leaves: whatever the peer does then concerns nobody (test catalogue J05). */
void connection_quit(struct connection *c);

/* The same for a traced conversation: user->lost is called when the peer has answered or gone. */
void connection_quit_traced(struct connection *c, const struct connection_user *user, void *context);

/* Who it was, and how TLS stood: for the log line of a recipient. */
void connection_sign(const struct connection *c, struct verdict *v);

/* Leaves without a word. */
void connection_close(struct connection *c);

/* What to write of a loss: "lost connection with NAME while DOING" and its like, 4.4.2. */
void verdict_of_loss(
    struct verdict *v, const struct connection *c, enum connection_loss how, const char *doing);

#endif
