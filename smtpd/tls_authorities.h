/*
 * tls_authorities: whose signatures on client certificates count: smtpd_tls_CAfile, smtpd_tls_CApath.
 *
 * They are read once for each set of parameters, while files may still be opened. Later the sandbox is closed: master
 * opens a CAfile that is changed or named by a reload, gathers a CApath, and opens the file of the system's authorities.
 */
#ifndef POSTERN_SMTPD_TLS_AUTHORITIES_H
#define POSTERN_SMTPD_TLS_AUTHORITIES_H

#include <stdbool.h>

struct conf;
struct conf_values;
struct tls_authorities;
struct tls_trust;

struct tls_authorities *tls_authorities_new(void);

/* Reads what the sections of conf name. What cannot be read is logged. */
void tls_authorities_read(struct tls_authorities *a, const struct conf *conf);

/*
 * The same of one of these, whose descriptor master has sent after the start: conf is the present configuration.
 * Returns true if a listener believes others now. What cannot be read is logged, and the former ones go on.
 */
bool tls_authorities_renew(struct tls_authorities *a, const struct conf *conf, const char *path, int fd);

/* Borrowed. NULL where the listener asks for no certificate, where none are configured, and where they were not read. */
struct tls_trust *tls_authorities_of(const struct tls_authorities *a, const struct conf_values *v);

#endif
