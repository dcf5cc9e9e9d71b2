/*
 * A name server in the test's own event loop, on UDP and TCP of one loopback port. What it does is told by the first
 * label of the name that is asked for: see the table in fake_server.c.
 */
#ifndef POSTERN_TESTS_FAKE_SERVER_H
#define POSTERN_TESTS_FAKE_SERVER_H

#include <stdint.h>

struct event_base;
struct fake_server;

struct fake_server *fake_server_new(struct event_base *base, uint16_t port);
void fake_server_free(struct fake_server *f);

/* Questions that came, TCP included. */
unsigned fake_server_questions(const struct fake_server *f);
unsigned fake_server_tcp_questions(const struct fake_server *f);

#endif
