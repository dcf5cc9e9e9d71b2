/*
 * transaction_state: what transaction.c (sending, the beginning and the end) and transaction_reply.c (what replies
 * mean) share. For these two alone.
 */
#ifndef POSTERN_DELIVERY_SMTP_TRANSACTION_STATE_H
#define POSTERN_DELIVERY_SMTP_TRANSACTION_STATE_H

#include "common/base/buf.h"
#include "delivery/smtp/content.h"
#include "delivery/smtp/timeouts.h"
#include "delivery/smtp/transaction.h"

enum step_kind { STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_DOT, STEP_RSET };

struct transaction {
	struct job *job;
	struct connection *c;
	transaction_done *done;
	void *context;
	struct recipient **list; /* those that take part */
	size_t count;
	size_t sent; /* steps sent */
	size_t got; /* steps answered */
	size_t accepted;
	size_t dot_at; /* LMTP: whose reply is next */
	bool pipelined;
	bool to_7bit;
	bool mail_failed;
	bool too_many; /* some were put off with 452 */
	bool any_reply;
	bool sending; /* content is on its way */
	bool dot_sent;
	bool resetting;
	bool empty; /* the dot ends nothing: all recipients were refused */
	bool leaving; /* LMTP: 421 was the answer for one recipient, and others have theirs to come */
	bool taken; /* the peer has the message for some recipient */
	int64_t data_left_us; /* smtp_per_request_deadline: of the time for content, at data_since_us */
	int64_t data_since_us; /* monotonic; 0: it has not begun */
	size_t data_octets; /* that were sent since then */
	struct content content;
	struct buf out;
};

/* What a step is called when it fails ("in reply to", "while"). */
struct transaction_step {
	const char *command;
	const char *doing;
	enum timeout_kind timeout;
};

extern const struct transaction_step transaction_steps[];

enum step_kind transaction_step_kind(const struct transaction *t, size_t step);
int64_t transaction_step_timeout(const struct transaction *t, enum step_kind kind);

void transaction_send_next(struct transaction *t);

/* Goes on with the content, and the dot behind it. The transaction may be gone. */
void transaction_send_content(struct transaction *t);

/* The connection is to be used again although MAIL stands there: RFC 5321, 4.1.1.5. */
void transaction_reset(struct transaction *t);

/* Calls done; t is gone. */
void transaction_end(struct transaction *t, enum transaction_end end);

/* The verdict on all (accepted) recipients that this transaction has not ruled on yet. */
void transaction_rule_all(struct transaction *t, struct verdict *v, bool accepted_only);

/* A reply to the step that is next to be answered. */
void transaction_answered(struct transaction *t, enum step_kind kind, const struct reply *r);

/* 421 in the middle: the rest of the steps will have no replies. */
void transaction_goodbye(struct transaction *t, enum step_kind kind, const struct reply *r);

#endif
