/*
 * local_part: what the address parsers share.
 */
#ifndef POSTERN_MAIL_LOCAL_PART_H
#define POSTERN_MAIL_LOCAL_PART_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/span.h"
#include "common/mail/address.h"

/* atext of RFC 5322, 3.2.3, with all of UTF-8 above ASCII (RFC 6531, 3.3). */
bool local_part_is_atom_char(char c);

/* "a.b.c": no empty atom. */
bool local_part_is_dot_string(struct span local);

/*
 * Parses one mailbox, "local@domain" and nothing else, into the internal form. flags: ADDRESS_*; without
 * ADDRESS_STRICT a local part may be words and quoted strings joined by dots (RFC 5322, 4.4).
 */
enum address_fault mailbox_parse(struct arena *a, struct span text, unsigned flags, struct span *address);

/*
 * address_list_parse() that also tells where each address stands in the field: the offsets of its first octet and
 * behind its last (of what is inside angle brackets, if it is). found: false ends the walk.
 */
typedef bool address_found(struct span address, size_t start, size_t end, void *context);
int address_list_walk(
    struct arena *a, struct span field_body, address_found *found, void *context, struct error *err);

#endif
