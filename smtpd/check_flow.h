/*
 * check_flow: header_checks, body_checks and their kin on a message that comes in (common/mail/content_checks.h): lookup
 * is asked, actions take effect, and what the envelope has to do with them is done before the message is closed.
 */
#ifndef POSTERN_SMTPD_CHECK_FLOW_H
#define POSTERN_SMTPD_CHECK_FLOW_H

#include <stdbool.h>

#include "common/base/span.h"

struct conf_values;
struct session;

/* The classes that have tables: 1 << enum check_class. */
unsigned check_flow_classes(const struct conf_values *v);

/* The transaction's content passes through checks from now on, if there are any. */
void check_flow_begin(struct session *s);

/* Content on its way to queue. */
void check_flow_put(struct session *s, struct span bytes);
/* A header line without its CRLF that did not come along: no table is asked about it. */
void check_flow_add_field(struct session *s, struct span line);

/*
 * Asks lookup if it is time to. True: go on; false: the session waits, and goes on by itself, also to flow_finished()
 * where the transaction is 'finishing'.
 */
bool check_flow_run(struct session *s);

/* All content has come: true when everything is settled. False as above. */
bool check_flow_finish(struct session *s);

/* REJECT's reply to the whole message: "550 5.7.1 text", or NULL. */
const char *check_flow_refusal(const struct session *s);

#endif
