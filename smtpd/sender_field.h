/*
 * sender_field: Sender (RFC 6409, 8.1). Who authenticated and does not own an address in From is named in Sender, in the
 * place of what the client wrote there.
 *
 * An address is the user's own if it is the login itself (a login without a domain: at myorigin), if
 * smtpd_sender_login_maps say so, or if it belongs to this host and its local part is the login; extensions do not count.
 * The login is no use as a Sender where it makes no address, or one that this host knows not to exist.
 */
#ifndef POSTERN_SMTPD_SENDER_FIELD_H
#define POSTERN_SMTPD_SENDER_FIELD_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/span.h"

struct session;
struct sender_field;

/* The address that the login stands for; empty: none. */
struct span sender_field_login(const struct session *s, struct arena *a);

/* The session's transaction needs its whole header looked at. */
bool sender_field_wanted(const struct session *s);

/* header: whole fields, which must stay where they are. The memory is the transaction's. NULL: nothing is to be done. */
struct sender_field *sender_field_new(struct session *s, struct span header);

enum sender_step { SENDER_ASKED, SENDER_SETTLED, SENDER_TROUBLE };

/* Goes on as far as it can. SENDER_ASKED: the session waits, and flow_resume() follows. */
enum sender_step sender_field_run(struct sender_field *f);

/* Settled: appends the header as it is to be. */
void sender_field_put(const struct sender_field *f, struct buf *out);

/* What sender_field_put() may add. */
enum { SENDER_FIELD_MAX = 1200 };

#endif
