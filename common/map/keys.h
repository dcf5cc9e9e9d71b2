/*
 * keys: which keys are tried for one question, in which order: access(5), canonical(5), virtual(5), aliases(5),
 * transport(5).
 *
 * An address is given in its external form ("local part"@domain, quoted only where it must be), which is what
 * tables hold; where it is quoted, each key is also tried without the quotes, as in Postfix. Tables of patterns see the
 * whole question only.
 */
#ifndef POSTERN_MAP_KEYS_H
#define POSTERN_MAP_KEYS_H

#include "common/map/maplist.h"

struct map_keys {
	const char *delimiters; /* recipient_delimiter */
	bool split_owners; /* also owner-NAME and NAME-request: not owner_request_special */
	bool parent_matches; /* domain.tld also stands for its subdomains; else .domain.tld does */
	/* LOOKUP_MAIL_ACCESS: the domain of an address that has none ($myorigin). NULL: it stays without. */
	const char *origin;
	/* LOOKUP_MAIL: may user@domain be found as "user"? NULL: never. */
	bool (*is_local)(struct span domain, void *context);
	void *context;
};

/*
 * extension, if not NULL, is set to what was left out of the key that hit ("+ext" with its delimiter), a part of
 * question, or to the empty span.
 */
enum lookup_status map_find(struct maplist *l, enum lookup_form form, struct span question,
    const struct map_keys *how, struct map_found *found, struct span *extension);

#endif
