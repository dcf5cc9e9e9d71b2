/*
 * domains: a list of domain names in the configuration (mydestination, relay_domains): names, !names, /files with
 * names, tables. Compiled once; the first element that matches decides.
 */
#ifndef POSTERN_ENGINE_DOMAINS_H
#define POSTERN_ENGINE_DOMAINS_H

#include "common/map/maplist.h"

enum domains_parents {
	DOMAINS_EXACT, /* mydestination, virtual_..._domains */
	DOMAINS_PARENTS, /* domain.tld stands for its subdomains: parent_domain_matches_subdomains */
	DOMAINS_DOT_PARENTS /* .domain.tld does */
};

struct domains_item;

struct domains {
	const char *parameter;
	enum domains_parents parents;
	struct domains_item *items;
	size_t count;
	struct error trouble; /* a file that could not be read: every question is temporary */
};

void domains_init(struct domains *d, const char *parameter, const char *text, enum domains_parents parents,
    struct map_set *maps);
void domains_fini(struct domains *d);

/* domain is in lower case, with A-labels. found->table tells the table, or the parameter. */
enum lookup_status domains_match(const struct domains *d, struct span domain, struct map_found *found);

#endif
