/*
 * name: domain names as text, and what can be told from them alone.
 */
#ifndef POSTERN_RESOLVER_NAME_H
#define POSTERN_RESOLVER_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

/* RFC 1035, 2.3.4: 255 octets on the wire are 253 characters; with room for the NUL. */
enum { NAME_SIZE = 256, NAME_TEXT_MAX = 253, NAME_LABEL_MAX = 63 };

/*
 * Writes the name that is asked for: lower case, no dot at the end, UTF-8 as A-labels (RFC 5891, 4). Returns false
 * if it cannot be a name: label or whole too long, empty labels, characters no question should carry, or an
 * IPv4 address. No search domain is ever added.
 */
bool name_clean(struct span text, char name[NAME_SIZE]);

/* True for what may stand as a host's name in an answer: letters, digits, '-' and '_', not only digits. */
bool name_is_host(struct span name);

/* "localhost" and all below it (RFC 6761, 6.3). */
bool name_is_localhost(struct span name);

/*
 * The part of a name whose servers answer or are silent together, as well as that can be guessed: two labels,
 * three below a short second level (co.uk), a /24 of in-addr.arpa and a /48 of ip6.arpa.
 */
struct span name_zone(struct span name);

/*
 * The name that holds the PTR record of an address (RFC 1035, 3.5; RFC 3596, 2.5). octets: 4 or 16 of them. */
void name_reverse(const uint8_t *octets, size_t len, char name[NAME_SIZE]);

#endif
