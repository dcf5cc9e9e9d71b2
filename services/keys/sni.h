/*
 * sni: tables of tls_server_sni_maps: certificates by the server name that a client asks for.
 *
 * As Postfix has them. A value names files, as smtpd_tls_chain_files does: so it stands in texthash and inline tables. In
 * a table that was built ("postern map -F") the value is the files' content in base64: the private keys are in the table,
 * which root alone may read. Keys are host names, or ".domain" for all below it.
 */
#ifndef POSTERN_KEYS_SNI_H
#define POSTERN_KEYS_SNI_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/span.h"

enum { SNI_NAMES_MAX = 10000, SNI_NAME_LEN_MAX = 255, SNI_PATH_MAX = 4000, SNI_TEXT_MAX = 4 << 20 };

struct map_kind;

struct sni_table {
	char text[SNI_PATH_MAX + 16]; /* "hash:/etc/postern/sni" */
	const char *name; /* what stands behind "type:" */
	const struct map_kind *kind; /* NULL: texthash and lmdb have readers of their own here */
	char path[SNI_PATH_MAX]; /* of the file that is read; "" for an inline table */
	bool built; /* values are base64; otherwise lists of files */
};

/* word: of tls_server_sni_maps. -1 with err if it can be no such table. */
int sni_table_parse(struct span word, struct sni_table *table, struct error *err);

/* Ends with the first -1. */
typedef int sni_visit(struct span name, struct span value, void *context, struct error *err);

/* fd: the table's file, -1 for an inline one; it stays the caller's. -1 with err: damaged, too large, or visit said so. */
int sni_table_each(const struct sni_table *table, int fd, sni_visit *visit, void *context, struct error *err);

#endif
