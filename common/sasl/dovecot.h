/*
 * dovecot: the lines of Dovecot's authentication protocol, as its client sees them (version 1 of it, Dovecot 2).
 *
 * Server: VERSION, MECH..., SPID, CUID, COOKIE, DONE; then OK, CONT and FAIL with the number of a request. Client: VERSION,
 * CPID; then AUTH, CONT and CANCEL. Words are parted by tabs; what may hold one is escaped with \001.
 */
#ifndef POSTERN_SASL_DOVECOT_H
#define POSTERN_SASL_DOVECOT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"

enum { DOVECOT_LINE_MAX = 16384, DOVECOT_MECHANISMS_MAX = 32 };

enum dovecot_kind {
	DOVECOT_VERSION,
	DOVECOT_MECHANISM,
	DOVECOT_READY, /* DONE: requests may be sent */
	DOVECOT_OK,
	DOVECOT_CONTINUE,
	DOVECOT_FAIL,
	DOVECOT_OTHER /* of no interest here, or of a later version */
};

/* Texts point into the line or the room that was given. */
struct dovecot_reply {
	enum dovecot_kind kind;
	unsigned major; /* VERSION */
	struct span mechanism;
	unsigned properties; /* MECH: SASL_PLAINTEXT and so on */
	uint32_t id;
	struct span challenge; /* CONT: as it goes to the client */
	struct span user; /* OK, FAIL; empty: not told */
	struct span reason; /* FAIL; empty: not told */
	bool temporary; /* FAIL: not the client's fault */
};

/* line: without its end. room: at least as long as the line. Returns -1 if it is malformed: the server is not to be believed. */
int dovecot_parse(struct span line, struct dovecot_reply *reply, char *room);

struct dovecot_client {
	const char *service;
	const char *local_address, *remote_address; /* NULL: none */
	unsigned local_port, remote_port;
	bool secured; /* TLS */
	const char *certificate_user; /* of a client certificate that was verified; NULL: none */
	const char *server_name; /* SNI; NULL: none */
};

/*
 * Append a line. initial: base64 as it came, a ptr of NULL for none. Return -1, with out as it was, if it would be longer
 * than DOVECOT_LINE_MAX.
 */
int dovecot_append_auth(struct buf *out, uint32_t id, struct span mechanism,
    const struct dovecot_client *client, struct span initial);
int dovecot_append_response(struct buf *out, uint32_t id, struct span response);

#endif
