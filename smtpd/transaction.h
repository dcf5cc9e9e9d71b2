/*
 * transaction: from an accepted MAIL to its end, whichever way that comes. Freeing it is the reset.
 */
#ifndef POSTERN_SMTPD_TRANSACTION_H
#define POSTERN_SMTPD_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/span.h"
#include "common/base/table.h"
#include "common/mail/queue_id.h"
#include "smtpd/content.h"
#include "smtpd/submission.h"

struct header_rewrite;
struct resolution;
struct sender_field;
struct session;

enum { TRANSACTION_MEMORY = 16 * 1024 * 1024 };

/* One final recipient: what RCPT became through lookup. Strings are the transaction's. */
struct recipient {
	struct recipient *next;
	struct span address;
	struct span original; /* as it was given in RCPT; empty if the same */
	struct span orcpt;
	struct span transport;
	struct span nexthop;
	uint64_t generation;
	uint8_t notify;
	uint8_t flags; /* ROUTE_* */
};

/* A line that an access table prepends. */
struct prepended {
	struct prepended *next;
	struct span line;
};

struct transaction {
	struct arena *arena;
	struct span sender; /* as given */
	struct span rewritten_sender;
	struct span envid;
	struct span verp; /* two delimiters, or nothing */
	struct span sasl_sender; /* AUTH= of MAIL (RFC 4954, 5); empty: not given */
	uint64_t declared_size;
	unsigned flags; /* MAIL_* */
	unsigned accepted; /* RCPTs */
	unsigned refused;
	unsigned over; /* RCPTs beyond smtpd_recipient_limit */
	unsigned finals;
	bool smtputf8;
	bool discarded; /* DISCARD of access(5): what follows is claimed to have succeeded */
	uint64_t id; /* with the first accepted RCPT; else 0 */
	char id_text[QUEUE_ID_SIZE];
	struct span first_recipient;
	struct recipient *recipients, **recipients_end;
	struct recipient *copies, **copies_end; /* of always_bcc and sender_bcc_maps */
	struct table *seen; /* of final recipients: each but once */
	bool keep_originals; /* ...but once for each original one (enable_original_recipient) */
	struct prepended *prepended, **prepended_end;
	struct span hold_reason;
	struct span filter; /* FILTER, content_filter: "transport:destination" of all recipients; empty: no */
	struct content_checks *checks; /* NULL: none are configured */
	const char *check_refusal; /* REJECT: the reply */
	bool checks_finished, envelope_settled, message_id_logged;
	/* What access(5) and checks of content want of the envelope: envelope_change.h. */
	struct prepended *copies_due; /* BCC: one more recipient each */
	unsigned copies_wanted;
	struct span redirect; /* all recipients are replaced by this address; empty: no */
	bool redirect_due, recipients_changed;
	void (*changed)(struct session *s, const char *refusal);
	void (*prepared)(struct session *s, const char *refusal); /* content_flow.c */
	bool local_client; /* local_client.h */
	void (*client_known)(struct session *s, const char *refusal);
	void (*user_counted)(struct session *s, const char *refusal);
	bool chunking; /* BDAT began */
	bool content_begun;
	int64_t begun_us; /* clock_mono_us(), later by what WAIT_WINDOW took */
	int64_t waiting_since_us; /* WAIT_WINDOW */
	struct content content;
	bool holds_header; /* header_flow.c: it goes on once it is whole */
	bool header_whole;
	struct buf held, behind; /* the header, and what has come behind it */
	struct header_rewrite *rewriting; /* of what is held: that is whole */
	struct sender_field *naming; /* the same, behind it */
	int64_t header_grown; /* by both */
	bool finishing; /* all content has come */
	struct submission submission;
};

struct transaction *transaction_new(struct session *s);

/* Gives up what was submitted but not closed, and clears session->transaction. */
void transaction_free(struct session *s);

/* All that lookup made of one address. like: its DSN parameters and how it was given (empty: as lookup completed it), or NULL. */
int transaction_add_resolved(
    struct transaction *t, const struct resolution *res, const struct recipient *like);
/* A row that lookup gave for the sender; it becomes a recipient with transaction_add_copies(), once there are others. */
struct msg_resolve_rcpt;
void transaction_keep_copy(struct transaction *t, const struct msg_resolve_rcpt *row);
void transaction_add_copies(struct transaction *t);

/* BCC of a table: envelope_change() resolves it. So many addresses of a message at most; the log tells of more. */
enum { COPIES_MAX = 100 };
void transaction_want_copy(struct transaction *t, struct span address);
void transaction_forget_recipients(struct transaction *t);

int transaction_prepend(struct transaction *t, struct span line);

/* Gives the queue id and logs "client=". */
void transaction_name(struct session *s);

#endif
