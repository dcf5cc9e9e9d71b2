#include "queue/log/changes.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { FIRST_SLOTS = 1024, OUTCOMES_KEPT = 8, ENTRIES_MAX = UINT32_MAX - 1 };

static size_t
spot(uint64_t id, size_t slot_count)
{
	return (size_t)(id * 0x9e3779b97f4a7c15u >> 20) & (slot_count - 1);
}

/* ---- ids ---- */

void
id_set_free(struct id_set *set)
{
	free(set->slots);
	memset(set, 0, sizeof(*set));
}

static size_t
id_at(const struct id_set *set, uint64_t id)
{
	size_t at = spot(id, set->slot_count);

	while (set->slots[at] != 0 && set->slots[at] != id)
		at = (at + 1) & (set->slot_count - 1);
	return at;
}

bool
id_set_has(const struct id_set *set, uint64_t id)
{
	return set->count > 0 && set->slots[id_at(set, id)] == id;
}

static void
id_set_grow(struct id_set *set)
{
	struct id_set bigger = {.slot_count = set->slot_count ? set->slot_count * 2 : FIRST_SLOTS};

	bigger.slots = mem_alloc_array(bigger.slot_count, sizeof(uint64_t));
	for (size_t i = 0; i < set->slot_count; i++)
		if (set->slots[i] != 0)
			bigger.slots[id_at(&bigger, set->slots[i])] = set->slots[i];
	bigger.count = set->count;
	free(set->slots);
	*set = bigger;
}

void
id_set_add(struct id_set *set, uint64_t id)
{
	size_t at;

	if (set->count + set->count / 8 >= set->slot_count)
		id_set_grow(set);
	at = id_at(set, id);
	if (set->slots[at] == id)
		return;
	set->slots[at] = id;
	set->count++;
}

/* What comes behind moves up, so that no search ends early. */
void
id_set_take(struct id_set *set, uint64_t id)
{
	size_t mask = set->slot_count - 1, hole, at;

	if (!id_set_has(set, id))
		return;
	hole = id_at(set, id);
	for (at = (hole + 1) & mask; set->slots[at] != 0; at = (at + 1) & mask) {
		size_t home = spot(set->slots[at], set->slot_count);

		if (((at - home) & mask) >= ((at - hole) & mask)) {
			set->slots[hole] = set->slots[at];
			hole = at;
		}
	}
	set->slots[hole] = 0;
	set->count--;
}

uint64_t
id_set_next(const struct id_set *set, size_t *cursor)
{
	while (*cursor < set->slot_count)
		if (set->slots[(*cursor)++] != 0)
			return set->slots[*cursor - 1];
	return 0;
}

void
id_set_add_all(struct id_set *set, struct id_set *from)
{
	size_t cursor = 0;
	uint64_t id;

	while ((id = id_set_next(from, &cursor)) != 0)
		id_set_add(set, id);
	if (from->count > 0)
		memset(from->slots, 0, from->slot_count * sizeof(uint64_t));
	from->count = 0;
}

/* ---- changes ---- */

void
changes_free(struct changes *c)
{
	free(c->slots);
	free(c->entries);
	memset(c, 0, sizeof(*c));
}

static size_t
slot_at(const struct change_slot *slots, size_t slot_count, uint64_t id)
{
	size_t at = spot(id, slot_count);

	while (slots[at].id != 0 && slots[at].id != id)
		at = (at + 1) & (slot_count - 1);
	return at;
}

static void
grow(struct changes *c)
{
	size_t slot_count = c->slot_count ? c->slot_count * 2 : FIRST_SLOTS;
	struct change_slot *slots = mem_alloc_array(slot_count, sizeof(*slots));

	for (size_t i = 0; i < c->slot_count; i++)
		if (c->slots[i].id != 0)
			slots[slot_at(slots, slot_count, c->slots[i].id)] = c->slots[i];
	free(c->slots);
	c->slots = slots;
	c->slot_count = slot_count;
}

static uint32_t
entry_new(struct changes *c)
{
	uint32_t entry = c->unused;

	if (entry != 0) {
		c->unused = c->entries[entry - 1].next;
		return entry;
	}
	if (c->entry_count >= ENTRIES_MAX)
		panic("the log has more changes than can be counted");
	if (c->entry_count == c->entry_cap) {
		c->entry_cap = c->entry_cap ? c->entry_cap + c->entry_cap / 2 : FIRST_SLOTS;
		c->entries = mem_resize(c->entries, c->entry_cap * sizeof(*c->entries));
	}
	return (uint32_t)++c->entry_count;
}

/* Of a recipient that was tried very often only the last outcomes are kept. */
static bool
replaces(struct changes *c, const struct change_slot *slot, uint64_t position, uint32_t outcome_of)
{
	struct change *oldest = NULL;
	uint32_t at = slot->first;

	if (outcome_of == CHANGE_OTHER)
		return false;
	for (unsigned i = 0; i < OUTCOMES_KEPT; i++, at = c->entries[at - 1].next) {
		if (at == 0 || c->entries[at - 1].outcome_of != outcome_of)
			return false;
		if (!oldest || c->entries[at - 1].position < oldest->position)
			oldest = &c->entries[at - 1];
	}
	if (oldest->position < position)
		oldest->position = position;
	return true;
}

void
changes_add(struct changes *c, uint64_t id, uint64_t position, uint32_t outcome_of)
{
	struct change_slot *slot;
	uint32_t entry;

	if (c->count + c->count / 4 >= c->slot_count)
		grow(c);
	slot = &c->slots[slot_at(c->slots, c->slot_count, id)];
	if (slot->id == 0)
		c->count++;
	else if (replaces(c, slot, position, outcome_of))
		return;
	slot->id = id;
	entry = entry_new(c);
	c->entries[entry - 1] =
	    (struct change){.position = position, .next = slot->first, .outcome_of = outcome_of};
	slot->first = entry;
}

static void
slot_free(struct changes *c, size_t hole)
{
	size_t mask = c->slot_count - 1, at;

	for (at = (hole + 1) & mask; c->slots[at].id != 0; at = (at + 1) & mask) {
		size_t home = spot(c->slots[at].id, c->slot_count);

		if (((at - home) & mask) >= ((at - hole) & mask)) {
			c->slots[hole] = c->slots[at];
			hole = at;
		}
	}
	memset(&c->slots[hole], 0, sizeof(c->slots[hole]));
	c->count--;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t *
changes_take(struct changes *c, uint64_t id, size_t *count)
{
	uint64_t *positions = NULL;
	size_t at, cap = 0;
	uint32_t entry, next;

	*count = 0;
	if (c->count == 0)
		return NULL;
	at = slot_at(c->slots, c->slot_count, id);
	if (c->slots[at].id != id)
		return NULL;
	for (entry = c->slots[at].first; entry != 0; entry = next) {
		struct change *e = &c->entries[entry - 1];

		if (*count == cap) {
			cap = cap ? cap * 2 : 4;
			positions = mem_resize(positions, cap * sizeof(*positions));
		}
		positions[(*count)++] = e->position;
		next = e->next;
		e->next = c->unused;
		c->unused = entry;
	}
	slot_free(c, at);
	qsort(positions, *count, sizeof(*positions), compare);
	return positions;
}

uint64_t
changes_any(const struct changes *c, size_t *cursor)
{
	if (c->count == 0)
		return 0;
	for (size_t i = 0; i < c->slot_count; i++) {
		size_t at = (*cursor + i) & (c->slot_count - 1);

		if (c->slots[at].id != 0) {
			*cursor = at;
			return c->slots[at].id;
		}
	}
	return 0;
}
