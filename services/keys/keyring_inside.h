/*
 * keyring_inside: what the making of keyrings (keyring_read.c) takes from keyring.c.
 */
#ifndef POSTERN_KEYS_KEYRING_INSIDE_H
#define POSTERN_KEYS_KEYRING_INSIDE_H

#include "services/keys/keyring.h"

struct arena;
struct table;

struct keyring {
	struct arena *arena; /* texts and entries */
	struct key_entry **entries;
	size_t count;
	struct table *slots; /* "use section name parameter" to entry */
	struct table *sources; /* source to entry */
	struct table *keys; /* use, section and number of the key to EVP_PKEY */
};

struct keyring *keyring_new(void);

/* A copy of e; the list's reference is taken over. Beyond the bounds of a keyring nothing is added. */
void keyring_add(struct keyring *ring, const struct key_entry *e);

/* NULL if there is none in that place. */
const struct key_entry *keyring_slot(const struct keyring *ring, enum identity_use use, struct span section,
    struct span name, const char *parameter);

#endif
