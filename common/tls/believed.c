#include "common/tls/believed.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/tls/trust_inside.h"

struct tls_believed {
	bool partial_chains;
	struct tls_trust *parts[TLS_PLACES]; /* NULL: nothing from there */
	struct tls_trust *all;
};

static void
unite(struct tls_believed *b)
{
	tls_trust_free(&b->all);
	b->all = tls_trust_new();
	if (b->partial_chains)
		tls_trust_partial_chains(b->all);
	for (unsigned i = 0; i < TLS_PLACES; i++) {
		if (b->parts[i])
			tls_trust_add_all(b->all, b->parts[i]);
	}
}

struct tls_believed *
tls_believed_new(bool partial_chains)
{
	struct tls_believed *b = mem_alloc(sizeof(*b));

	b->partial_chains = partial_chains;
	unite(b);
	return b;
}

void
tls_believed_free(struct tls_believed **believed)
{
	struct tls_believed *b = *believed;

	*believed = NULL;
	if (!b)
		return;
	for (unsigned i = 0; i < TLS_PLACES; i++)
		tls_trust_free(&b->parts[i]);
	tls_trust_free(&b->all);
	free(b);
}

bool
tls_believed_put(struct tls_believed *b, enum tls_place place, struct tls_trust *part)
{
	struct tls_trust *old = b->parts[place];

	if (old && old->count == part->count && memcmp(old->sum, part->sum, sizeof(old->sum)) == 0) {
		tls_trust_free(&part);
		return false;
	}
	tls_trust_free(&b->parts[place]);
	b->parts[place] = part;
	unite(b);
	return true;
}

struct tls_trust *
tls_believed_trust(const struct tls_believed *b)
{
	return b->all;
}
