/*
 * sources: which files the configuration names for private keys and certificates.
 *
 * For master, which opens them and reads nothing, for keys, which reads them, and for "postern check". No OpenSSL here.
 */
#ifndef POSTERN_KEYS_SOURCES_H
#define POSTERN_KEYS_SOURCES_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/conf.h"
#include "common/ipc/protocol.h"

/* One certificate with its key, or a list of such: what is to be found in these files, read one after the other. */
struct key_source {
	struct span section; /* the listener; "" for delivery */
	enum identity_use use;
	const char *parameter; /* whose value names the files */
	struct span key_files; /* a list; empty: keys and certificates are in chain_files together */
	struct span chain_files; /* a list */
};

/* Calls visit for each; ends with its first -1. */
typedef int key_source_visit(const struct key_source *source, void *context, struct error *err);
int key_sources_each(const struct conf *conf, key_source_visit *visit, void *context, struct error *err);

/* Calls visit for each table of tls_server_sni_maps of each listener. */
typedef int key_table_visit(struct span section, struct span table, void *context, struct error *err);
int key_tables_each(const struct conf *conf, key_table_visit *visit, void *context, struct error *err);

/*
 * Calls visit for each file that keys is to read, tables and what they name included; a file may be named several times.
 * What cannot be read names none: keys says why.
 */
typedef void key_file_visit(const char *path, void *context);
void key_files_each(const struct conf *conf, key_file_visit *visit, void *context);

/* Is there any, or a table of them? Without one no process for keys is needed. */
bool key_sources_any(const struct conf *conf);

#endif
