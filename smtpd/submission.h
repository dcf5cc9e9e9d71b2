/*
 * submission: the conversation with queue about one message: envelope, content within the window, answer.
 */
#ifndef POSTERN_SMTPD_SUBMISSION_H
#define POSTERN_SMTPD_SUBMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"

struct session;

enum submission_state {
	SUBMISSION_NONE,
	SUBMISSION_OPEN,
	SUBMISSION_CLOSED, /* the answer is awaited */
	SUBMISSION_UNSURE, /* queue died before it answered: it is asked when it is back */
	SUBMISSION_OVER /* answered, failed or given up */
};

struct submission {
	enum submission_state state;
	bool failed; /* queue refused it or went away before the close */
	uint32_t call;
	int64_t window; /* octets that may still be sent; a header that goes at once may overdraw it */
	struct buf gathered; /* small pieces on their way */
	struct fate *fate; /* SUBMISSION_UNSURE */
	uint8_t refused_as; /* enum submit_status of an answer that came before the close */
};

/* Sends the envelope. Returns -1 if queue is away. */
int submission_open(struct session *s);

/* Octets of content. Within the window that submission_room() told. */
void submission_put(struct session *s, struct span bytes);

/* The envelope is another one: queue forgets the recipients that it was told, and is told those of now. */
void submission_resend_recipients(struct session *s);

/* How many octets of input may be fed so that the content fits, however it grows; 0: wait for queue. */
size_t submission_room(const struct session *s);

/* It is not this message's window but the channel to queue that is full. */
bool submission_is_stalled(const struct session *s);

/* Commits: the session waits; the reply is given when queue has answered. */
void submission_close(struct session *s);
void submission_abort(struct session *s);

#endif
