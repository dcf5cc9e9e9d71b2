/*
 * auth_offer: which mechanisms a session may use now, and what they may know of its connection.
 */
#ifndef POSTERN_SMTPD_AUTH_OFFER_H
#define POSTERN_SMTPD_AUTH_OFFER_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/sasl/server.h"
#include "common/tls/facts.h"

struct session;

/* AUTH is there for this client: perhaps not before TLS. */
bool auth_is_enabled(const struct session *s);

/* smtpd_tls_auth_only, and no TLS. */
bool auth_needs_tls(const struct session *s);

/* EHLO lists AUTH. */
bool auth_is_offered(const struct session *s);

/* " PLAIN LOGIN": each with a blank in front. */
void auth_list(const struct session *s, struct buf *out);

enum auth_offer {
	AUTH_OFFERED,
	AUTH_OFFERED_WITH_TLS, /* smtpd_sasl_security_options exclude it, smtpd_sasl_tls_security_options do not */
	AUTH_NOT_OFFERED
};
enum auth_offer auth_offers(const struct session *s, struct span mechanism);

/* The client's name by its certificate, if that is believed; NULL: none. */
const char *auth_certificate_user(const struct session *s);

/* Facts of the session, in room. */
struct auth_channel {
	unsigned char exporter[TLS_BINDING_MAX], unique[TLS_BINDING_MAX], end_point[TLS_BINDING_MAX];
};
void auth_facts(const struct session *s, struct auth_channel *room, struct sasl_facts *facts);

#endif
