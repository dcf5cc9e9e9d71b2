#include "services/resolver/cache.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"

struct entry {
	TAILQ_ENTRY(entry) link;
	struct answer answer;
	int64_t expires_us;
	size_t bytes;
	char *key;
};

TAILQ_HEAD(entry_list, entry);

struct cache {
	struct table *table;
	struct entry_list used; /* the one used last at the end */
	size_t bytes;
	size_t max_bytes;
	size_t max_entries;
};

struct cache *
cache_new(size_t max_entries, size_t max_bytes)
{
	struct cache *c = mem_alloc(sizeof(*c));

	c->table = table_new(max_entries, NULL);
	c->max_entries = max_entries;
	c->max_bytes = max_bytes;
	TAILQ_INIT(&c->used);
	return c;
}

static void
drop(struct cache *c, struct entry *e)
{
	table_take(c->table, span_of(e->key));
	TAILQ_REMOVE(&c->used, e, link);
	c->bytes -= e->bytes;
	answer_free(&e->answer);
	free(e->key);
	free(e);
}

void
cache_clear(struct cache *c)
{
	while (!TAILQ_EMPTY(&c->used))
		drop(c, TAILQ_FIRST(&c->used));
}

void
cache_free(struct cache **c)
{
	if (!*c)
		return;
	cache_clear(*c);
	table_free(&(*c)->table);
	free(*c);
	*c = NULL;
}

void
cache_put(struct cache *c, struct span key, const struct answer *answer, int64_t now_us)
{
	struct entry *e = table_get(c->table, key);
	size_t bytes = sizeof(*e) + 2 * key.len + 64 + answer->records.len;

	if (e)
		drop(c, e);
	if (answer->ttl == 0 || bytes > c->max_bytes)
		return;
	while (table_count(c->table) >= c->max_entries || c->bytes + bytes > c->max_bytes)
		drop(c, TAILQ_FIRST(&c->used));
	e = mem_alloc(sizeof(*e));
	answer_copy(&e->answer, answer);
	e->key = mem_strndup(key.ptr, key.len);
	e->bytes = bytes;
	e->expires_us = now_us + answer->ttl * US_PER_SECOND;
	table_put(c->table, key, e);
	TAILQ_INSERT_TAIL(&c->used, e, link);
	c->bytes += bytes;
}

const struct answer *
cache_get(struct cache *c, struct span key, int64_t now_us)
{
	struct entry *e = table_get(c->table, key);

	if (!e)
		return NULL;
	if (e->expires_us <= now_us) {
		drop(c, e);
		return NULL;
	}
	TAILQ_REMOVE(&c->used, e, link);
	TAILQ_INSERT_TAIL(&c->used, e, link);
	e->answer.ttl = (uint32_t)((e->expires_us - now_us) / US_PER_SECOND);
	return &e->answer;
}

size_t
cache_count(const struct cache *c)
{
	return table_count(c->table);
}

size_t
cache_bytes(const struct cache *c)
{
	return c->bytes;
}
