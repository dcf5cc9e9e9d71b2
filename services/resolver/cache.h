/*
 * cache: answers for as long as their TTL allows, negative ones too (RFC 2308), bounded by entries and octets; what
 * was not used for longest goes first.
 */
#ifndef POSTERN_RESOLVER_CACHE_H
#define POSTERN_RESOLVER_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "services/resolver/wire.h"

struct cache;

struct cache *cache_new(size_t max_entries, size_t max_bytes);
void cache_free(struct cache **c);
void cache_clear(struct cache *c);

/* Keeps a copy for answer->ttl seconds (not at all for 0), instead of an older one. */
void cache_put(struct cache *c, struct span key, const struct answer *answer, int64_t now_us);

/* NULL if there is none. ttl of what is returned is what is left of it; it lives until the cache is next changed. */
const struct answer *cache_get(struct cache *c, struct span key, int64_t now_us);

size_t cache_count(const struct cache *c);
size_t cache_bytes(const struct cache *c);

#endif
