/*
 * context_inside: what sessions take from their context.
 */
#ifndef POSTERN_TLS_CONTEXT_INSIDE_H
#define POSTERN_TLS_CONTEXT_INSIDE_H

#include <openssl/ssl.h>

#include "common/tls/context.h"

struct tls_context {
	unsigned references;
	enum tls_side side;
	SSL_CTX *ssl;
	struct tls_keys *keys; /* may be NULL */
	struct tls_trust *trust; /* may be NULL */
	char *section;
	const EVP_MD *digest;
	bool tickets;
	bool client_identity;
};

/* context.c calls these of session.c for what OpenSSL tells per session. */
struct tls_session;
struct tls_session *session_of(const SSL *ssl);
void session_name_known(struct tls_session *t);
void session_name_asked(struct tls_session *t, struct span name); /* by a client with a ticket; empty: none */
bool session_is_name_asked(const struct tls_session *t, struct span name);
void session_untrusted(struct tls_session *t, int reason, int depth, X509 *certificate);
void session_ticket_came(struct tls_session *t, SSL_SESSION *session);

/* context_tickets.c */
void context_use_tickets(struct tls_context *c);

#endif
