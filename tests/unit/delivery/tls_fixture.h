/*
 * tls_fixture: what the tests of TLS in delivery have in common: an authority, certificates, servers that show them, and
 * the next hop far.test, whose exchanger is mx.far.test at 127.0.0.1.
 */
#ifndef POSTERN_TESTS_UNIT_DELIVERY_TLS_FIXTURE_H
#define POSTERN_TESTS_UNIT_DELIVERY_TLS_FIXTURE_H

#include <openssl/ssl.h>

#include "tests/unit/delivery/peer.h"
#include "tests/unit/delivery/world.h"
#include "tests/unit/tls/certificates.h"

#define CONTENT SPAN_LIT("Subject: x\r\n\r\nbody\r\n")

enum { DAY = 86400 };

enum certificate {
	GOOD,
	SELF_SIGNED,
	EXPIRED,
	NOT_YET,
	WRONG_NAME,
	PARENT_NAME,
	ADDRESS,
	WILDCARD,
	CERTIFICATES
};

extern struct party authority;
extern char ca_file[]; /* with its certificate */
extern char good_fingerprint[3 * 32 + 1], good_key_fingerprint[3 * 32 + 1];

/* Of the group: all is made once. */
int make_certificates(void **state);
int drop_certificates(void **state);

/* version: the only one; 0: any. */
SSL_CTX *server_with(enum certificate which, int version);

/* Believes the authority; settings come on top. */
struct world *world_for(const char *settings);

/* "far.test:PORT", until the next call. */
const char *to_peer(const struct peer *p);

#endif
