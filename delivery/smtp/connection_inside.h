/*
 * connection_inside: what connection.c (life, sending, the stream), connection_hello.c (greeting to ready) and
 * connection_tls.c (STARTTLS, the handshake, what it is worth) share. For these alone.
 */
#ifndef POSTERN_DELIVERY_SMTP_CONNECTION_INSIDE_H
#define POSTERN_DELIVERY_SMTP_CONNECTION_INSIDE_H

#include "delivery/smtp/connection.h"

/* In order. STARTTLS and HANDSHAKE may come between EHLO and another EHLO; with wrapper mode HANDSHAKE comes before GREETING. */
enum stage { CONNECTING, GREETING, EHLO, HELO, STARTTLS, HANDSHAKE, AUTH, READY, QUITTING };

/* Every callback of the stream is between these two: the connection may die in it, and is freed at the end. */
void connection_enter(struct connection *c);
void connection_leave(struct connection *c);
void connection_die(struct connection *c);

/* For a line of the log about this connection. */
struct log connection_log(const struct connection *c);

/* The handshakes have failed: tells the user. */
void connection_fail(struct connection *c, struct verdict *why);
void connection_lose(struct connection *c, enum connection_loss how);

/* connected: greeting and EHLO, or TLS first. */
void connection_begin(struct connection *c);
void connection_hello(struct connection *c, enum stage stage);

/* What the server says, as it is to be taken. behind: more of it has come. */
void connection_take_input(struct connection *c, struct span bytes, bool behind);

/* connection_filter.c: smtp_reply_filter. Input is put into it, and comes back by connection_take_input(). */
bool connection_filter_wanted(const struct connection *c);
void connection_filter_put(struct connection *c, struct span bytes);
/* The server has closed. True: there is something left to look at; the loss is told of after that. */
bool connection_filter_end(struct connection *c);
void connection_filter_stop(struct connection *c);
void connection_filter_free(struct connection *c);

/* A reply at a stage before READY. */
void connection_handle_reply(struct connection *c, const struct reply *r);

/* EHLO is over, and TLS is as the policy wants it: AUTH, if there is a login. */
void connection_welcome(struct connection *c);
void connection_ready(struct connection *c);

/* Whole lines, of which sendmail -v shows others. */
void connection_send_hidden(struct connection *c, struct span lines, struct span shown, int64_t timeout_us);

/* connection_errors.c: lines as they are shown to sendmail -v, passwords left out; replies before their lines. */
void connection_errors_begin(struct connection *c);
void connection_errors_line(struct connection *c, bool sent, struct span line);
void connection_errors_reply(struct connection *c, unsigned code);
void connection_errors_broken(struct connection *c);
void connection_errors_tell(struct connection *c);

/* The server refuses. soften: for now, whatever it says. */
void connection_refused(struct connection *c, const struct reply *r, bool soften);

/*
 * EHLO or HELO was answered. True if the connection is as good as the policy demands; else STARTTLS is on its way, or
 * the connection has failed.
 */
bool connection_tls_suffices(struct connection *c);
void connection_tls_handle_reply(struct connection *c, const struct reply *r);
void connection_tls_start(struct connection *c);

/* Lost during the handshake. */
void connection_tls_lose(struct connection *c, enum connection_loss how);

#endif
