/*
 * reply: the one place that answers the client: enhanced codes, soft_bounce, error counts and the tarpit.
 */
#ifndef POSTERN_SMTPD_REPLY_H
#define POSTERN_SMTPD_REPLY_H

#include "common/base/span.h"

struct session;

/* "code enhanced text". enhanced is "" for greetings and HELO (RFC 2034, 4). Ends the present command. */
void reply(struct session *s, unsigned code, const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A whole "code enhanced text" that came from elsewhere. */
void reply_text(struct session *s, struct span text);

/* 354: the command goes on. */
void reply_go_ahead(struct session *s);

/* 334 and a challenge in base64: likewise (RFC 4954, 4). */
void reply_challenge(struct session *s, struct span base64);

/* A reply of the lines of a text, without an enhanced code: EHLO's, which every session has. */
void reply_lines(struct session *s, unsigned code, struct span lines);

/* One line of several; the last one is a reply(). */
void reply_more(struct session *s, unsigned code, const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The reply that ends the session, and its end. how: see session_end(). */
void reply_goodbye(struct session *s, const char *how, unsigned code, const char *enhanced,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* WAIT_TARPIT is over. */
void reply_release(struct session *s);

/*
 * "NOQUEUE: reject: RCPT from C: text; from=<s> to=<r> proto=ESMTP helo=<h>". action: "reject", "reject_warning",
 * "hold", "discard", ... where: "CONNECT", "RCPT", "END-OF-MESSAGE", ...
 */
void log_action(
    struct session *s, const char *action, const char *where, struct span recipient, struct span text);

#endif
