/*
 * session: one client's conversation, from accept to close.
 *
 * The session is a state machine. Its state is not stored but follows from what it has (session_state()): a helo, a
 * transaction, recipients. A transaction ends by being freed, so no state can outlive it.
 * While it waits for an answer (from another process or a timer) it holds that wait in itself and reads nothing; an
 * answer for a session that is gone was cancelled with it.
 */
#ifndef POSTERN_SMTPD_SESSION_H
#define POSTERN_SMTPD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/mail/transcript.h"
#include "common/net/address.h"
#include "common/net/stream.h"
#include "smtpd/command.h"
#include "smtpd/settings.h"
#include "smtpd/smtpd.h"

enum { SESSION_INPUT_MAX = 64 * 1024, REQUEST_MEMORY = 2 * 1024 * 1024, REPLY_TEXT_MAX = 900 };

enum session_input {
	INPUT_COMMANDS,
	INPUT_AUTH, /* after 334 */
	INPUT_CONTENT, /* after 354 */
	INPUT_CHUNK, /* the octets that BDAT announced */
	INPUT_SWALLOW, /* the same, of a BDAT that was refused */
	INPUT_NOTHING /* the session ends */
};

enum session_wait {
	WAIT_NONE,
	WAIT_ANSWER, /* of the conversation (wait_role, wait_call) */
	WAIT_WINDOW, /* queue lets no more content through for now */
	WAIT_HANDSHAKE, /* of TLS */
	WAIT_AUTH, /* Dovecot's answer */
	WAIT_TARPIT /* a reply is held back until the deadline */
};

struct ahead;
struct auth;
struct transaction;
struct check;
struct tls_facts;

struct session {
	TAILQ_ENTRY(session) link;
	TAILQ_ENTRY(session) stalled_link;
	struct smtpd *smtpd;
	struct settings *settings;
	struct stream *stream;
	uint64_t number; /* for resolver's shares */

	/* The client: what XCLIENT or PROXY would replace. The socket's own address is asked of the socket. */
	struct net_address client;
	char client_address[NET_ADDRESS_SIZE];
	char *client_name; /* "unknown" unless confirmed */
	char *reverse_name; /* unconfirmed; "unknown" if there is none */
	uint8_t name_status; /* enum name_status */
	bool in_mynetworks;
	bool counted; /* policy counts this connection */
	char *sasl_method, *sasl_username; /* who it is, by AUTH; NULL before that */
	struct auth *auth; /* an exchange under way */

	const struct tls_facts *tls; /* NULL without TLS; the stream's */
	void (*handshake_done)(struct session *s); /* WAIT_HANDSHAKE */
	const char *tls_refusal; /* smtpd_tls_req_ccert: what the next reply says */

	char *helo; /* NULL before HELO */
	bool esmtp;
	struct transaction *transaction;

	enum session_input input;
	uint64_t chunk_size;
	uint64_t chunk_left; /* INPUT_CHUNK, INPUT_SWALLOW */
	int64_t chunk_since_us;
	char *swallow_reply; /* what is answered when they are through */
	bool last_chunk;

	enum session_wait waiting;
	enum role wait_role;
	uint32_t wait_call;
	struct buf held; /* WAIT_TARPIT */
	struct arena *request; /* of the command that waits */
	struct check *check; /* restrictions under way, in 'request' */
	char *client_deferral, *helo_deferral, *sender_deferral; /* check_inherit(); NULL: none */
	struct span behind; /* what has come behind the present command; while that is run first */
	struct ahead *ahead; /* resolution.c: recipients that were asked about before their turn */

	int64_t delay_us; /* of the next reply: it tells of a failed AUTH */
	uint16_t errors;
	uint16_t junk;
	uint8_t command; /* the present or last one: index for the counts below */
	bool answered; /* the present command has its final reply */
	uint16_t total[COMMAND_COUNT];
	uint16_t good[COMMAND_COUNT];
	uint64_t discarding; /* octets of a line that is too long */
	bool lf_exempt; /* smtpd_forbid_bare_newline_exclusions */
	bool told_pipelining;
	bool pipelined; /* input was there behind the present command line */
	bool seen_crlf;
	bool stalled;
	bool ending;
	bool denied; /* greeted with a refusal: all but QUIT is refused */
	bool greeted; /* 220 was sent */
	bool quit;
	bool after_message; /* the present command is DATA or the last BDAT, and its content has come whole */
	int64_t idle_since_us;
	struct transcript transcript; /* session_errors.c */
};

/* Takes fd over, which is connected; peer is the client's address. Begins with its name. */
struct session *session_new(
    struct smtpd *d, struct settings *settings, int fd, const struct net_address *peer);

enum session_state session_state(const struct session *s);

/* "name[address]", as all log lines have it; text of at least CLIENT_LABEL_SIZE. */
enum { CLIENT_LABEL_SIZE = 400 };
const char *session_label(const struct session *s, char text[CLIENT_LABEL_SIZE]);

/* The client's address is the one that it connected to. */
bool session_is_own_host(const struct session *s);

/*
 * What the log says of the session: session_log() with the queue id of its transaction if it has one, session_own_log() never:
 * fail2ban and its like look for what a client did behind the process id.
 */
struct log session_log(const struct session *s);
struct log session_own_log(const struct session *s);

/* Says in the log that the present command (MAIL, RCPT, VRFY, EXPN) has no address in what stands behind its word. */
void session_log_bad_address(const struct session *s, struct span arguments);

/* The arena of the present command. */
struct arena *session_request(struct session *s);

/*
 * Asks another process and makes the session wait. on_answer gets context, and must call session_answered() first.
 * Returns -1 if the other one is away.
 */
int session_ask(struct session *s, enum role role, enum ipc_type type, const void *message,
    ipc_answer *on_answer, void *context);
void session_answered(struct session *s);

/* Waits for a conversation that was begun before; the same holds for its answer. */
void session_wait_answer(struct session *s, enum role role, uint32_t call);
void session_wait(struct session *s, enum session_wait waiting);

/* The command is done: the request's memory is freed and, if it had waited, reading goes on. */
void session_continue(struct session *s);

/* WAIT_WINDOW is over. */
void session_unstall(struct session *s);

/*
 * The deadline while octets of a message come: smtpd_timeout since the last ones, and as much since begun_us plus what
 * smtpd_min_data_rate allows for.
 */
void session_data_deadline(struct session *s, int64_t begun_us, uint64_t octets);

/* The deadline was set a second ago or more: it is not set anew for each packet. */
bool session_deadline_is_old(const struct session *s);

/* Ends it. how: "lost connection", "timeout", "too many errors": logged as "HOW after COMMAND from CLIENT"; NULL: not. */
void session_end(struct session *s, const char *how);

/* Frees what is left. For smtpd_reap(). */
void session_free(struct session *s);

#endif
