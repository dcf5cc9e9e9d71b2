/*
 * certificate: the few things about one that administrators are told.
 */
#ifndef POSTERN_KEYS_CERTIFICATE_H
#define POSTERN_KEYS_CERTIFICATE_H

#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

enum { CERTIFICATE_LABEL_SIZE = 128, CERTIFICATE_DATE_SIZE = 16 };

/* Its first DNS name, else its common name, else "without a name"; printable. Returns label. */
const char *certificate_label(const X509 *certificate, char label[CERTIFICATE_LABEL_SIZE]);

/* Seconds since 1970; 0 if the certificate's own word for it cannot be read. */
int64_t certificate_begins(const X509 *certificate);
int64_t certificate_ends(const X509 *certificate);

/* "2026-11-22" of UTC. Returns date. */
const char *certificate_date(int64_t seconds, char date[CERTIFICATE_DATE_SIZE]);

#endif
