/*
 * tls_client: what one process has for its TLS connections: trust anchors, contexts and sessions to be resumed.
 *
 * Authorities are read once, before the sandbox closes. Contexts are made when a policy first needs one and kept; their
 * number is bounded, as that of remembered sessions is. A session is remembered by server (address, port, the name it
 * greeted with), policy and SNI, so that none that was made under one policy is taken up under another.
 */
#ifndef POSTERN_DELIVERY_SMTP_TLS_CLIENT_H
#define POSTERN_DELIVERY_SMTP_TLS_CLIENT_H

#include <stdbool.h>

#include "common/conf/conf.h"
#include "common/tls/session.h"
#include "delivery/smtp/tls_policy.h"

enum { TLS_CLIENT_CONTEXTS = 100, TLS_CLIENT_SESSIONS = 2000, TLS_CLIENT_SESSION_MAX = 16 * 1024 };

struct tls_client;

/* keys: of our own certificates, may be NULL. */
struct tls_client *tls_client_new(struct tls_keys *keys);
void tls_client_free(struct tls_client **t);

/* Reads the files and directories of authorities that the configuration names. What cannot be read is logged: those are not believed. */
void tls_client_load(struct tls_client *t, const struct conf *conf);

/* True if the configuration names authorities that were not read: that takes a process that is not shut in yet. */
bool tls_client_lacks(struct tls_client *t, const struct conf *conf);

/* A new configuration: contexts are made anew. */
void tls_client_configured(struct tls_client *t);

/* A CA file changed; fd stays the caller's. */
void tls_client_file_changed(struct tls_client *t, const char *path, int fd);

/* The context of a policy, the caller's to keep. NULL with err: what the policy names makes no sense to the TLS library. */
struct tls_context *tls_client_context(
    struct tls_client *t, const struct conf *conf, const struct tls_policy *p, struct error *err);

/* A remembered session, empty if there is none; it lives until the next call. */
struct span tls_client_session(struct tls_client *t, struct span key);
void tls_client_remember(struct tls_client *t, struct span key, struct span session, int64_t lifetime_us);
void tls_client_forget(struct tls_client *t, struct span key);

#endif
