#include "queue/index/number_map.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { FIRST_SLOTS = 64, DENSE_MAX = 1 << 18 };

void
number_map_free(struct number_map *m)
{
	free(m->dense);
	free(m->slots);
	memset(m, 0, sizeof(*m));
}

static struct number_slot *
slot_of(const struct number_map *m, uint64_t key)
{
	size_t at = (size_t)(key * 0x9e3779b97f4a7c15u >> 32) & (m->slot_count - 1);

	while (m->slots[at].value != 0 && m->slots[at].key != key)
		at = (at + 1) & (m->slot_count - 1);
	return &m->slots[at];
}

uint32_t
number_map_find(const struct number_map *m, uint64_t key)
{
	return m->slot_count ? slot_of(m, key)->value : 0;
}

static void
grow(struct number_map *m)
{
	struct number_map bigger = *m;

	bigger.slot_count = m->slot_count ? m->slot_count * 2 : FIRST_SLOTS;
	bigger.slots = mem_alloc_array(bigger.slot_count, sizeof(*bigger.slots));
	for (size_t i = 0; i < m->slot_count; i++)
		if (m->slots[i].value != 0)
			*slot_of(&bigger, m->slots[i].key) = m->slots[i];
	free(m->slots);
	*m = bigger;
}

static void
put_dense(struct number_map *m, uint64_t key, uint32_t value)
{
	size_t count = m->dense_count ? m->dense_count : FIRST_SLOTS;

	while (count <= key)
		count *= 2;
	if (count != m->dense_count) {
		m->dense = mem_resize(m->dense, count * sizeof(*m->dense));
		memset(m->dense + m->dense_count, 0, (count - m->dense_count) * sizeof(*m->dense));
		m->dense_count = count;
	}
	m->dense[key] = value;
}

void
number_map_put(struct number_map *m, uint64_t key, uint32_t value)
{
	struct number_slot *slot;

	if (key < DENSE_MAX) {
		put_dense(m, key, value);
		return;
	}
	if (m->count * 2 >= m->slot_count)
		grow(m);
	slot = slot_of(m, key);
	if (slot->value == 0)
		m->count++;
	slot->key = key;
	slot->value = value;
}
