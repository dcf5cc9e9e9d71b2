/*
 * library: OpenSSL as Postern uses it.
 *
 * No configuration file of it is read. Beside its own provider stands one whose private keys are references to
 * those in the keys process (provider.h).
 */
#ifndef POSTERN_TLS_LIBRARY_H
#define POSTERN_TLS_LIBRARY_H

#include "common/base/error.h"

/* Once, before the sandbox closes. */
int tls_library_open(struct error *err);

/* The reason of OpenSSL's latest error, "unknown" if it left none; its queue of errors is empty afterwards. Static. */
const char *tls_library_error(void);

/* Puts ": " and that reason behind the text. Returns -1. */
int tls_error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
