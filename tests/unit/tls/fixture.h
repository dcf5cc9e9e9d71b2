/*
 * fixture: the parties that the tests of sessions know, and a world in which keys has the server's certificates.
 */
#ifndef POSTERN_TEST_TLS_FIXTURE_H
#define POSTERN_TEST_TLS_FIXTURE_H

#include "tests/unit/tls/world.h"

/* All but the stranger are issued by the authority. */
extern struct party authority, server_ec, server_rsa, server_ed, server_ed448, server_pss, client_ec,
    stranger;

/* The authority alone, or another party. The caller's reference. */
struct tls_trust *fixture_trust(void);
struct tls_trust *fixture_trust_in(const struct party *party);

/* Believes party too. */
void fixture_trust_also(struct tls_trust *t, const struct party *party);

int fixture_set_up(void **state);
int fixture_tear_down(void **state);

#endif
