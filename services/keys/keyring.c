#include "services/keys/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "services/keys/keyring_inside.h"

enum { TEXTS_MAX = 64 << 20, ID_KEY_MAX = 2 + 64 + KEY_ID_LEN };

struct keyring *
keyring_new(void)
{
	struct keyring *ring = mem_alloc(sizeof(*ring));

	ring->arena = arena_new(TEXTS_MAX);
	ring->entries = mem_alloc_array(KEYRING_ENTRIES_MAX, sizeof(struct key_entry *));
	ring->slots = table_new(KEYRING_ENTRIES_MAX, NULL);
	ring->sources = table_new(KEYRING_ENTRIES_MAX, NULL);
	ring->keys = table_new((size_t)KEYRING_ENTRIES_MAX * 2, NULL);
	return ring;
}

size_t
keyring_count(const struct keyring *ring)
{
	return ring->count;
}

const struct key_entry *
keyring_at(const struct keyring *ring, size_t i)
{
	return ring->entries[i];
}

/* ---- finding ---- */

const struct key_entry *
keyring_slot(const struct keyring *ring, enum identity_use use, struct span section, struct span name,
    const char *parameter)
{
	char key[600];
	int len = snprintf(
	    key, sizeof(key), "%u %.*s %.*s %s", (unsigned)use, SPAN_ARG(section), SPAN_ARG(name), parameter);

	return table_get(ring->slots, span_make(key, (size_t)len));
}

static struct span
id_key(char key[ID_KEY_MAX], enum identity_use use, struct span section, struct span id)
{
	key[0] = (char)use;
	key[1] = (char)section.len;
	memcpy(key + 2, section.ptr, section.len);
	memcpy(key + 2 + section.len, id.ptr, id.len);
	return span_make(key, 2 + section.len + id.len);
}

EVP_PKEY *
keyring_find(const struct keyring *ring, enum identity_use use, struct span section, struct span id)
{
	char key[ID_KEY_MAX];

	if (id.len != KEY_ID_LEN || section.len > 64)
		return NULL;
	return table_get(ring->keys, id_key(key, use, section, id));
}

/* ---- making ---- */

static void
entry_index(struct keyring *ring, struct key_entry *e)
{
	char key[600], number[ID_KEY_MAX];
	int len =
	    snprintf(key, sizeof(key), "%u %s %s %s", (unsigned)e->use, e->section, e->name, e->parameter);

	(void)table_put(ring->slots, span_make(key, (size_t)len), e);
	(void)table_put(ring->sources, span_of(e->source), e);
	for (size_t i = 0; i < e->list->count; i++) {
		const struct identity *identity = &e->list->items[i];
		struct span id = span_make((const char *)identity->id, KEY_ID_LEN);

		(void)table_put(ring->keys, id_key(number, e->use, span_of(e->section), id), identity->key);
	}
}

/* Takes the reference over. */
void
keyring_add(struct keyring *ring, const struct key_entry *made)
{
	struct identity_list *list = made->list;
	struct key_entry *e = ring->count < KEYRING_ENTRIES_MAX ? arena_alloc(ring->arena, sizeof(*e)) : NULL;

	if (e == NULL) {
		identity_list_free(&list);
		return;
	}
	*e = *made;
	e->section = arena_strdup(ring->arena, made->section);
	e->name = arena_strdup(ring->arena, made->name);
	e->parameter = arena_strdup(ring->arena, made->parameter);
	e->source = arena_strdup(ring->arena, made->source);
	if (!e->section || !e->name || !e->parameter || !e->source) {
		identity_list_free(&list);
		return;
	}
	ring->entries[ring->count++] = e;
	entry_index(ring, e);
}

void
keyring_free(struct keyring **ring)
{
	struct keyring *k = *ring;

	*ring = NULL;
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->count; i++)
		identity_list_free(&(struct identity_list *){k->entries[i]->list});
	table_free(&k->slots);
	table_free(&k->sources);
	table_free(&k->keys);
	free(k->entries);
	arena_free(&k->arena);
	free(k);
}

static bool
lists_equal(const struct identity_list *a, const struct identity_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct identity *x = &a->items[i], *y = &b->items[i];

		if (x->certificate_count != y->certificate_count || memcmp(x->id, y->id, KEY_ID_LEN) != 0)
			return false;
		for (size_t k = 0; k < x->certificate_count; k++) {
			if (X509_cmp(x->certificates[k], y->certificates[k]) != 0)
				return false;
		}
	}
	return true;
}

bool
keyring_equal(const struct keyring *a, const struct keyring *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct key_entry *x = a->entries[i], *y = b->entries[i];

		if (x->use != y->use || strcmp(x->section, y->section) != 0 ||
		    strcmp(x->name, y->name) != 0 || (x->list != y->list && !lists_equal(x->list, y->list)))
			return false;
	}
	return true;
}
