#include "common/ipc/conversation.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum { FIRST_BUCKETS = 64 };

/* ---- the table by number: numbers count upwards, so their low bits spread them evenly ---- */

static struct conversation **
bucket_of(const struct conversations *all, uint32_t call)
{
	return &all->buckets[call & (all->bucket_count - 1)];
}

static void
grow_buckets(struct conversations *all)
{
	struct conversation **old = all->buckets;
	size_t old_count = all->bucket_count;

	all->bucket_count = old_count ? old_count * 2 : FIRST_BUCKETS;
	all->buckets = mem_alloc_array(all->bucket_count, sizeof(struct conversation *));
	for (size_t i = 0; i < old_count; i++) {
		struct conversation *c = old[i];

		while (c) {
			struct conversation *next = c->next_in_bucket, **to = bucket_of(all, c->call);

			c->next_in_bucket = *to;
			*to = c;
			c = next;
		}
	}
	free(old);
}

struct conversation *
conversation_find(const struct conversations *all, uint32_t call)
{
	struct conversation *c = all->bucket_count ? *bucket_of(all, call) : NULL;

	while (c && c->call != call)
		c = c->next_in_bucket;
	return c;
}

struct conversation *
conversation_any(struct conversations *all)
{
	if (all->count == 0)
		return NULL;
	while (all->buckets[all->scan] == NULL)
		all->scan++;
	return all->buckets[all->scan];
}

bool
conversation_known(const struct conversations *all, uint32_t call)
{
	return call != 0 && (all->wrapped || call <= all->last_call);
}

struct conversation *
conversation_add(struct conversations *all)
{
	struct conversation *c = all->spare, **to;

	if (all->count >= all->bucket_count)
		grow_buckets(all);
	do {
		if (++all->last_call == 0) {
			all->wrapped = true;
			all->last_call = 1;
		}
	} while (all->wrapped && conversation_find(all, all->last_call));
	if (c)
		all->spare = c->next;
	else
		c = mem_alloc(sizeof(*c));
	to = bucket_of(all, all->last_call);
	*c = (struct conversation){.call = all->last_call, .next_in_bucket = *to, .pending = {.small = true}};
	*to = c;
	all->count++;
	all->scan = 0;
	return c;
}

/* ---- the heap of deadlines ---- */

static void
heap_put(struct conversations *all, size_t at, struct conversation *c)
{
	all->heap[at] = c;
	c->heap_at = at + 1;
}

static void
heap_up(struct conversations *all, size_t at, struct conversation *c)
{
	while (at > 0) {
		size_t parent = (at - 1) / 2;

		if (all->heap[parent]->heap_us <= c->heap_us)
			break;
		heap_put(all, at, all->heap[parent]);
		at = parent;
	}
	heap_put(all, at, c);
}

static void
heap_down(struct conversations *all, size_t at, struct conversation *c)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= all->heap_count)
			break;
		if (child + 1 < all->heap_count && all->heap[child + 1]->heap_us < all->heap[child]->heap_us)
			child++;
		if (c->heap_us <= all->heap[child]->heap_us)
			break;
		heap_put(all, at, all->heap[child]);
		at = child;
	}
	heap_put(all, at, c);
}

static void
heap_remove(struct conversations *all, struct conversation *c)
{
	size_t at = c->heap_at - 1;
	struct conversation *last;

	if (c->heap_at == 0)
		return;
	c->heap_at = 0;
	last = all->heap[--all->heap_count];
	if (last == c)
		return;
	if (at > 0 && all->heap[(at - 1) / 2]->heap_us > last->heap_us)
		heap_up(all, at, last);
	else
		heap_down(all, at, last);
}

void
conversation_set_deadline(struct conversations *all, struct conversation *c, int64_t deadline_us)
{
	c->deadline_us = deadline_us;
	if (deadline_us == 0) {
		heap_remove(all, c);
		return;
	}
	if (c->heap_at != 0 && c->heap_us <= deadline_us)
		return;
	heap_remove(all, c);
	c->heap_us = deadline_us;
	if (all->heap_count == all->heap_cap) {
		all->heap_cap = all->heap_cap ? all->heap_cap * 2 : FIRST_BUCKETS;
		all->heap = mem_resize(all->heap, all->heap_cap * sizeof(struct conversation *));
	}
	heap_up(all, all->heap_count++, c);
}

struct conversation *
conversation_overdue(struct conversations *all, int64_t now_us, int64_t *next_us)
{
	*next_us = 0;
	while (all->heap_count > 0) {
		struct conversation *c = all->heap[0];

		if (c->deadline_us > c->heap_us) {
			c->heap_us = c->deadline_us;
			heap_down(all, 0, c);
			continue;
		}
		if (c->heap_us <= now_us)
			return c;
		*next_us = c->heap_us;
		return NULL;
	}
	return NULL;
}

/* ---- waiting for credit ---- */

void
conversation_wait(struct conversations *all, struct conversation *c)
{
	c->waiting = true;
	c->previous = all->last_waiting;
	if (all->last_waiting)
		all->last_waiting->next = c;
	else
		all->first_waiting = c;
	all->last_waiting = c;
}

void
conversation_stop_waiting(struct conversations *all, struct conversation *c)
{
	if (!c->waiting)
		return;
	c->waiting = false;
	if (c->previous)
		c->previous->next = c->next;
	else
		all->first_waiting = c->next;
	if (c->next)
		c->next->previous = c->previous;
	else
		all->last_waiting = c->previous;
	c->next = c->previous = NULL;
	all->waiting_bytes -= outqueue_size(&c->pending);
}

void
conversation_remove(struct conversations *all, struct conversation *c)
{
	struct conversation **at = bucket_of(all, c->call);

	while (*at != c)
		at = &(*at)->next_in_bucket;
	*at = c->next_in_bucket;
	all->count--;
	heap_remove(all, c);
	conversation_stop_waiting(all, c);
	outqueue_clear(&c->pending);
	c->next = all->spare;
	all->spare = c;
}

void
conversations_clear(struct conversations *all)
{
	struct conversation *c;

	while ((c = conversation_any(all)) != NULL)
		conversation_remove(all, c);
	while ((c = all->spare) != NULL) {
		all->spare = c->next;
		free(c);
	}
	free(all->buckets);
	free(all->heap);
	*all = (struct conversations){0};
}
