/*
 * message_set: all messages that are in memory, by id.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "queue/message.h"

enum { FIRST_SLOTS = 1024 };

void
message_set_init(struct message_set *set)
{
	set->slot_count = FIRST_SLOTS;
	set->slots = mem_alloc_array(set->slot_count, sizeof(struct message *));
	set->count = 0;
}

void
message_set_fini(struct message_set *set)
{
	for (size_t i = 0; i < set->slot_count; i++)
		while (set->slots[i]) {
			struct message *m = set->slots[i];

			set->slots[i] = m->hash_next;
			message_free(&m);
		}
	free(set->slots);
	set->slots = NULL;
	set->count = set->slot_count = 0;
}

static struct message **
slot_of(const struct message_set *set, uint64_t id)
{
	return &set->slots[(id * 0x9e3779b97f4a7c15u >> 20) & (set->slot_count - 1)];
}

struct message *
message_find(const struct message_set *set, uint64_t id)
{
	struct message *m = *slot_of(set, id);

	while (m && m->id != id)
		m = m->hash_next;
	return m;
}

static void
grow(struct message_set *set)
{
	struct message_set bigger = {.slot_count = set->slot_count * 2, .count = set->count};

	bigger.slots = mem_alloc_array(bigger.slot_count, sizeof(struct message *));
	for (size_t i = 0; i < set->slot_count; i++)
		while (set->slots[i]) {
			struct message *m = set->slots[i];
			struct message **slot = slot_of(&bigger, m->id);

			set->slots[i] = m->hash_next;
			m->hash_next = *slot;
			*slot = m;
		}
	free(set->slots);
	*set = bigger;
}

void
message_add(struct message_set *set, struct message *m)
{
	struct message **slot;

	if (set->count >= set->slot_count)
		grow(set);
	slot = slot_of(set, m->id);
	m->hash_next = *slot;
	*slot = m;
	set->count++;
}

void
message_take_out(struct message_set *set, struct message *m)
{
	struct message **slot = slot_of(set, m->id);

	while (*slot && *slot != m)
		slot = &(*slot)->hash_next;
	if (*slot) {
		*slot = m->hash_next;
		set->count--;
	}
}

static int
compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t *
message_ids(const struct message_set *set, size_t *count)
{
	uint64_t *ids = mem_alloc_array(set->count + 1, sizeof(*ids));

	*count = 0;
	for (size_t i = 0; i < set->slot_count; i++)
		for (const struct message *m = set->slots[i]; m; m = m->hash_next)
			ids[(*count)++] = m->id;
	qsort(ids, *count, sizeof(*ids), compare_ids);
	return ids;
}
