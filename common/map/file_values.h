/*
 * file_values: values that stand for the content of files, as postmap -F makes them: base64 of one file behind the other.
 *
 * For tls_server_sni_maps: what is in such a table are private keys.
 */
#ifndef POSTERN_MAP_FILE_VALUES_H
#define POSTERN_MAP_FILE_VALUES_H

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

/* files: a list of paths. Appends the value. -1 with err that names the file. */
int file_value_encode(struct span files, struct buf *out, struct error *err);

/* Appends the content. -1 if the value is not base64. */
int file_value_decode(struct span value, struct buf *out);

#endif
