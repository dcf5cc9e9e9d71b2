/*
 * submission: one message on its way to queue, from whatever source.
 *
 * Its recipients are rewritten, expanded and routed by lookup, a few at a time, and go to queue as the answers come;
 * then the content follows under the credit that queue gives. Every submission ends in one call of done(), after which
 * it is gone, or in submission_abort().
 */
#ifndef POSTERN_PICKUP_SUBMISSION_H
#define POSTERN_PICKUP_SUBMISSION_H

#include "common/mail/drop_format.h"
#include "services/pickup/pickup.h"

struct submission;

struct submission_callbacks {
	/* Content may be written: after the recipients were sent, and whenever there is room again. */
	void (*room)(void *context);
	/* text: for the caller, with its enhanced code. */
	void (*done)(void *context, enum submit_status status, struct span text);
	void *context;
};

struct submission_head {
	uint64_t id;
	uint64_t about; /* what it is a notification of, where queue gave the id; else 0 */
	uint32_t flags; /* MAIL_* */
	uint8_t notify;
	struct span sender, envid;
	struct span verp; /* two delimiters, or nothing */
	const struct drop_recipient *recipients;
};

/* The head's texts must live until the end. NULL if queue or lookup are not there: then nothing is called. */
struct submission *submission_new(
    struct pickup *p, const struct submission_head *head, const struct submission_callbacks *callbacks);

/* What a table said of the content (header_checks, body_checks). Empty: nothing of the kind. */
struct submission_change {
	struct span reject; /* all recipients fail with this text: it goes back to the sender */
	struct span redirect; /* one address instead of all recipients */
	struct span filter; /* "transport:destination" for all of them */
	const struct drop_recipient *copies; /* more recipients, nobody is told of their fate */
};

/*
 * The recipients become others; change must live until the end. True: this takes a while, and room() is called when it
 * is done; nothing may be written or closed before.
 */
bool submission_change(struct submission *s, const struct submission_change *change);

/* With @$myorigin where it has no domain, as tables and notifications name it. */
struct span submission_complete(struct arena *a, const struct conf_values *v, struct span address);

/* Octets of content that may be written now: 0 before the first call of room(). */
size_t submission_room(const struct submission *s);
void submission_write(struct submission *s, struct span bytes);
void submission_close(
    struct submission *s, struct span prepend, uint64_t header_len, uint32_t flags, struct span message_id);

/* done() is not called. Clears the caller's pointer, which may be NULL. */
void submission_abort(struct submission **s);

#endif
