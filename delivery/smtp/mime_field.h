/*
 * mime_field: the few header fields that say how a MIME part is to be read (RFC 2045, 5 and 6).
 */
#ifndef POSTERN_DELIVERY_SMTP_MIME_FIELD_H
#define POSTERN_DELIVERY_SMTP_MIME_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

/* The first three may be converted. */
enum mime_encoding { MIME_7BIT, MIME_8BIT, MIME_BINARY, MIME_QUOTED, MIME_BASE64, MIME_OTHER };

struct mime_type {
	char mem[200]; /* the words below */
	struct span type;
	struct span subtype;
	char boundary[200];
	size_t boundary_len; /* 0: none, or none that fits */
};

/* Is it the field of that (lower-case) name? body: what follows the colon. */
bool mime_field_is(struct span field, const char *name, struct span *body);

void mime_type_parse(struct mime_type *t, struct span body);
bool mime_type_is(const struct mime_type *t, const char *type, const char *subtype);
enum mime_encoding mime_encoding_parse(struct span body);

#endif
