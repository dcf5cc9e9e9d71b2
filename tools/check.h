/*
 * check: its parts. Each prints one line for each mistake and returns how many there were.
 */
#ifndef POSTERN_TOOLS_CHECK_H
#define POSTERN_TOOLS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/base/span.h"
#include "common/conf/conf.h"
#include "common/map/map.h"

/* For tables that are looked at once more: whether they can be opened is told elsewhere (check_tables.c). */
extern const struct map_options check_silent;

/* In postern.conf, whose text this is: where the parameter is set last, wherever; 0 if it is not. */
unsigned check_line_of(struct span text, const char *parameter);

/* The same, in that section; "": in front of all of them. */
unsigned check_line_in(struct span text, const char *section, const char *parameter);

/* Where its value has that text, wherever; else, since a $name stands for it or the text is "", in front of the sections. */
unsigned check_line_naming(struct span text, const char *parameter, const char *word);

/* Private keys and certificates; what is no mistake begins with "warning:" behind the file. */
size_t check_certificates(const struct conf *c, const char *confdir);

/*
 * What this host must have for it: addresses to listen on, name servers, the log's folder, the file of bounce_template_file,
 * the user of default_privs, and what pipe transports run.
 */
size_t check_host(const struct conf *c, const char *confdir, bool as_root);

/* Texts of notifications, authorities, programs and mailboxes' folders that are not there. */
size_t check_named_files(const struct conf *c, const char *confdir);

size_t check_tables(const struct conf *c, const char *confdir);

/* Lists of ciphers, curves and options that OpenSSL does not know. */
size_t check_tls_texts(const struct conf *c, const char *confdir);

/* Only whether the kinds of all tables are there. Each line begins with prefix. */
size_t check_table_kinds(const struct conf *c, const char *confdir, FILE *out, const char *prefix);

#endif
