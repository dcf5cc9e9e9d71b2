/*
 * peername: who is at the other end, and the greeting.
 */
#ifndef POSTERN_SMTPD_PEERNAME_H
#define POSTERN_SMTPD_PEERNAME_H

struct session;

/* Asks resolver for the client's name, policy for its counts, and greets. */
void peername_find(struct session *s);

#endif
