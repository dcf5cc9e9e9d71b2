#include "common/mail/remembered.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/table.h"

enum { KEY_SIZE = 2200 };

struct remembered {
	struct table *by_key;
	char *keys[REMEMBERED_MAX]; /* in the order in which they came; NULL: none */
	size_t next;
};

static struct span
make_key(char text[KEY_SIZE], const struct remembered_key *key)
{
	int len = snprintf(text, KEY_SIZE, "%016" PRIx64 "/%" PRIu32 "/%.*s/%.*s", key->id, key->attempt,
	    SPAN_ARG(key->recipient), SPAN_ARG(key->orig_to));

	return span_make(text, len < KEY_SIZE ? (size_t)len : KEY_SIZE - 1);
}

static uint64_t
hash_of(struct span name)
{
	/* The same in all processes; a hash that is met by chance chooses a worker, and no more. */
	static const uint8_t key[16];

	return siphash(key, name.ptr, name.len);
}

uint64_t
remembered_hash(const struct remembered_key *key)
{
	char text[KEY_SIZE];

	return hash_of(make_key(text, key));
}

size_t
remembered_hashes(const struct remembered *r, uint64_t hashes[REMEMBERED_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < REMEMBERED_MAX; i++)
		if (r->keys[i] && table_get(r->by_key, span_of(r->keys[i])))
			hashes[count++] = hash_of(span_of(r->keys[i]));
	return count;
}

struct remembered *
remembered_new(void)
{
	struct remembered *r = mem_alloc(sizeof *r);

	r->by_key = table_new(REMEMBERED_MAX, free);
	return r;
}

void
remembered_free(struct remembered **r)
{
	if (!*r)
		return;
	table_free(&(*r)->by_key);
	for (size_t i = 0; i < REMEMBERED_MAX; i++)
		free((*r)->keys[i]);
	free(*r);
	*r = NULL;
}

void
remembered_put(struct remembered *r, const struct remembered_key *key, const void *outcome, size_t size)
{
	char text[KEY_SIZE], **oldest = &r->keys[r->next];
	struct span name = make_key(text, key);
	void *copy = mem_alloc(size);

	memcpy(copy, outcome, size);
	if (*oldest)
		free(table_take(r->by_key, span_of(*oldest)));
	free(*oldest);
	*oldest = mem_strndup(name.ptr, name.len);
	r->next = (r->next + 1) % REMEMBERED_MAX;
	if (table_put(r->by_key, name, copy) < 0)
		free(copy);
}

void *
remembered_take(struct remembered *r, const struct remembered_key *key)
{
	char text[KEY_SIZE];

	if (table_count(r->by_key) == 0)
		return NULL;
	return table_take(r->by_key, make_key(text, key));
}
