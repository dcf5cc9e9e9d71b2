/*
 * trust: certificates of authorities that are believed.
 *
 * Files and directories are read before the sandbox closes, or come as descriptors later; what is read stays. Trust
 * is counted by reference, since contexts share it: a changed CA file makes a new one.
 */
#ifndef POSTERN_TLS_TRUST_H
#define POSTERN_TLS_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/base/span.h"

struct tls_trust;

/* At first nobody is believed. */
struct tls_trust *tls_trust_new(void);
struct tls_trust *tls_trust_ref(struct tls_trust *t);
void tls_trust_free(struct tls_trust **t);

/*
 * All certificates of a CAfile, as text or from a descriptor (which stays the caller's and is read from its start).
 * file: its name for the error. None in it, or a malformed one, is an error.
 */
int tls_trust_add_text(struct tls_trust *t, struct span pem, const char *file, struct error *err);
int tls_trust_add_fd(struct tls_trust *t, int fd, const char *file, struct error *err);

/* What master gathered of a CApath (services/master/folders.c): a NUL behind each file. Otherwise as the directory itself. */
int tls_trust_add_gathered(struct tls_trust *t, int fd, const char *path, struct error *err);

/* All that other has. */
void tls_trust_add_all(struct tls_trust *t, const struct tls_trust *other);

/* A CApath: every file of certificates in the directory, whatever its name. Files with none are passed over. */
int tls_trust_add_directory(struct tls_trust *t, const char *path, struct error *err);

/* The system's authorities, where OpenSSL looks for them (SSL_CERT_FILE and SSL_CERT_DIR do not count). */
int tls_trust_add_system(struct tls_trust *t, struct error *err);

/* The same of their file, that master has sent; is_system says whether path is its name. */
bool tls_trust_is_system(const char *path);
int tls_trust_add_system_fd(struct tls_trust *t, int fd, struct error *err);

/* Also a certificate that others issued is an end of chains: smtp_tls_trust_anchor_file. */
void tls_trust_partial_chains(struct tls_trust *t);

size_t tls_trust_count(const struct tls_trust *t);

#endif
