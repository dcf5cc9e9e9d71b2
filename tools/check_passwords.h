/*
 * check_passwords: tables of passwords (smtpd_sasl_type = table, smtp_sasl_password_maps): who may read them, and what they
 * store; the service of PAM.
 */
#ifndef POSTERN_TOOLS_CHECK_PASSWORDS_H
#define POSTERN_TOOLS_CHECK_PASSWORDS_H

#include "common/conf/conf.h"
#include "common/map/map.h"

/* Prints "FILE:LINE: text" for each mistake, and warnings. Returns the number of mistakes. table: "type:name". */
size_t check_passwords(struct map *map, const char *table);

/* Logins at other hosts (smtp_sasl_password_maps): a warning where everybody may read them. */
void check_password_readers(struct map *map, const char *table);

/* smtpd_sasl_type = pam: is it built in, and is there a file for the service? */
size_t check_pam(const struct conf *c);

#endif
