/*
 * tls_listener: what a listener's parameters say of TLS, as common/tls wants it.
 */
#ifndef POSTERN_SMTPD_TLS_LISTENER_H
#define POSTERN_SMTPD_TLS_LISTENER_H

#include "common/base/error.h"

struct conf_section;
struct tls_authorities;
struct tls_context;
struct tls_keys;

/* NULL with err if a parameter makes no sense: such a listener has no TLS. */
struct tls_context *tls_listener_context(const struct conf_section *section, struct tls_keys *keys,
    const struct tls_authorities *authorities, struct error *err);

#endif
