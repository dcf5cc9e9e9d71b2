/*
 * verdict: why one attempt ended as it did for a recipient, in the words that Postfix uses: they go to the log,
 * to the queue's reason and into the report to the sender.
 */
#ifndef POSTERN_DELIVERY_SMTP_VERDICT_H
#define POSTERN_DELIVERY_SMTP_VERDICT_H

#include <stdint.h>

#include "common/mail/outcome.h"

struct reply;

enum { VERDICT_TEXT_SIZE = 1200, VERDICT_RELAY_SIZE = 340 };

struct verdict {
	enum outcome_class class;
	uint32_t flags; /* OUTCOME_* */
	bool loops; /* this host is the best exchanger: best_mx_transport may have it */
	bool final; /* no other host will say better: not tried */
	char code[12];
	char relay[VERDICT_RELAY_SIZE]; /* "mx.example[192.0.2.1]:25"; "" is none */
	char tls[24]; /* the level that TLS was held to; "" in plain text */
	char remote[256]; /* the peer's name if the peer said it, else "" */
	char text[VERDICT_TEXT_SIZE];
	char diagnostic[VERDICT_TEXT_SIZE]; /* the peer's words, "" if it said nothing */
};

/* Nobody was asked or nobody answered. code: "4.4.1"; its first digit makes the class. */
void verdict_set(struct verdict *v, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The peer's reply is the reason: class and code come from it. format: what stands in the log. */
void verdict_of_reply(struct verdict *v, const struct reply *r, const char *remote, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A failure that may pass (as 4xx) although its code says 5: class deferred and code 4.x.y. */
void verdict_soften(struct verdict *v);

#endif
