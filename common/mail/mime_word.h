/*
 * mime_word: display names for header fields, quoted or as encoded words (RFC 2047) where they must be.
 */
#ifndef POSTERN_MAIL_MIME_WORD_H
#define POSTERN_MAIL_MIME_WORD_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/span.h"

/* Appends name as a phrase (RFC 5322, 3.2.5). Control characters become blanks. */
int mime_word_phrase(struct buf *out, struct span name);

/*
 * Appends a mailbox: "name <address>" (RFC 5322, 3.4), or obsolete "address (name)" (RFC 822, 3.4.3); the address alone where there is
 * no name.
 */
int mime_word_mailbox(struct buf *out, struct span name, struct span address, bool obsolete);

#endif
