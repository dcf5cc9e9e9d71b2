/*
 * tls_authorities: whose signatures on client certificates count: smtpd_tls_CAfile, smtpd_tls_CApath.
 *
 * They are read once for each set of parameters, while files may still be opened. A reload that names others finds
 * the sandbox closed; what it names is then read at the next start, and until then nobody is believed by it.
 */
#ifndef POSTERN_SMTPD_TLS_AUTHORITIES_H
#define POSTERN_SMTPD_TLS_AUTHORITIES_H

struct conf;
struct conf_values;
struct tls_authorities;
struct tls_trust;

struct tls_authorities *tls_authorities_new(void);
void tls_authorities_free(struct tls_authorities **a);

/* Reads what the sections of conf name. What cannot be read is logged. */
void tls_authorities_read(struct tls_authorities *a, const struct conf *conf);

/* Borrowed. NULL where the listener asks for no certificate, where none are configured, and where they were not read. */
struct tls_trust *tls_authorities_of(const struct tls_authorities *a, const struct conf_values *v);

#endif
