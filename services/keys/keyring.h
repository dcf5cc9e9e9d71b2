/*
 * keyring: all identities that the configuration names, read in one go.
 *
 * What cannot be read now keeps what an older keyring had in its place, so that a pair of files that is being replaced,
 * one after the other, costs nobody a handshake.
 */
#ifndef POSTERN_KEYS_KEYRING_H
#define POSTERN_KEYS_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/base/span.h"
#include "common/conf/conf.h"
#include "common/ipc/protocol.h"
#include "services/keys/identity.h"

enum { KEYRING_ENTRIES_MAX = 65536 };

/* What one source gave: identities of one name that differ by algorithm. */
struct key_entry {
	const char *section;
	const char *name; /* "": the default */
	enum identity_use use;
	const char *parameter;
	const char *source; /* what names the files */
	bool kept; /* from the older keyring: what is there now is no good */
	bool shared; /* the list is that of an entry before it */
	struct identity_list *list;
};

struct keyring;

/* A descriptor of the file, which stays with whoever gives it; -1 with the error in *number. */
typedef int keyring_file(const char *path, int *number, void *context);

/* Told of each source that is no good; kept: an older one goes on in its place. */
typedef void keyring_trouble(const char *text, bool kept, void *context);

/* older may be NULL. */
struct keyring *keyring_read(const struct conf *conf, keyring_file *file, keyring_trouble *trouble,
    void *context, const struct keyring *older);
void keyring_free(struct keyring **ring);

/* In the order of the configuration. */
size_t keyring_count(const struct keyring *ring);
const struct key_entry *keyring_at(const struct keyring *ring, size_t i);

/* NULL: that section has no such key for that use. */
EVP_PKEY *keyring_find(
    const struct keyring *ring, enum identity_use use, struct span section, struct span id);

/* Is what peers are told of both the same? */
bool keyring_equal(const struct keyring *a, const struct keyring *b);

#endif
