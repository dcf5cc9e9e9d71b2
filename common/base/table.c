#include "common/base/table.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/mem.h"

struct entry {
	struct entry *next;
	void *value;
	uint64_t hash;
	size_t key_len;
	char key[];
};

struct table {
	struct entry **slots;
	size_t slot_count; /* a power of two */
	size_t count;
	size_t max;
	void (*free_value)(void *value);
};

static uint64_t
rotate_left(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static uint64_t
load_le64(const uint8_t *p)
{
	uint64_t x;

	/* One load: gcc does not make one of a loop over octets, and every octet of mail passes here. */
	memcpy(&x, p, sizeof(x));
	return le64toh(x);
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate_left(s->v1, 13) ^ s->v0;
	s->v0 = rotate_left(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate_left(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate_left(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate_left(s->v1, 17) ^ s->v2;
	s->v2 = rotate_left(s->v2, 32);
}

static inline void
sip_take(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */
uint64_t
siphash(const uint8_t key[16], const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t k0 = load_le64(key), k1 = load_le64(key + 8), last = (uint64_t)len << 56;
	struct sip s = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
	    k1 ^ 0x7465646279746573u};
	size_t left = len;

	for (; left >= 8; p += 8, left -= 8)
		sip_take(&s, load_le64(p));
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	sip_take(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t
hash_bytes(const void *bytes, size_t len)
{
	static uint8_t key[16];
	static bool drawn;

	if (!drawn) {
		if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
			panic("getrandom failed");
		drawn = true;
	}
	return siphash(key, bytes, len);
}

struct table *
table_new(size_t max_entries, void (*free_value)(void *value))
{
	struct table *t = mem_alloc(sizeof(*t));

	t->slot_count = 16;
	t->slots = mem_alloc_array(t->slot_count, sizeof(*t->slots));
	t->max = max_entries;
	t->free_value = free_value;
	return t;
}

void
table_free(struct table **tp)
{
	struct table *t = *tp;

	if (t == NULL)
		return;
	for (size_t i = 0; i < t->slot_count; i++) {
		while (t->slots[i] != NULL) {
			struct entry *e = t->slots[i];

			t->slots[i] = e->next;
			if (t->free_value)
				t->free_value(e->value);
			free(e);
		}
	}
	free(t->slots);
	free(t);
	*tp = NULL;
}

/* The link that points to the entry of key, or to the NULL where it would be. */
static struct entry **
find(const struct table *t, struct span key, uint64_t hash)
{
	struct entry **link = &t->slots[hash & (t->slot_count - 1)];

	while (*link != NULL) {
		struct entry *e = *link;

		if (e->hash == hash && span_equal(span_make(e->key, e->key_len), key))
			break;
		link = &e->next;
	}
	return link;
}

static void
grow(struct table *t)
{
	size_t count = t->slot_count * 2;
	struct entry **slots = mem_alloc_array(count, sizeof(*slots));

	for (size_t i = 0; i < t->slot_count; i++) {
		while (t->slots[i] != NULL) {
			struct entry *e = t->slots[i];

			t->slots[i] = e->next;
			e->next = slots[e->hash & (count - 1)];
			slots[e->hash & (count - 1)] = e;
		}
	}
	free(t->slots);
	t->slots = slots;
	t->slot_count = count;
}

void *
table_get(const struct table *t, struct span key)
{
	struct entry *e = *find(t, key, hash_bytes(key.ptr, key.len));

	return e ? e->value : NULL;
}

int
table_put(struct table *t, struct span key, void *value)
{
	uint64_t hash = hash_bytes(key.ptr, key.len);
	struct entry **link = find(t, key, hash), *e = *link;

	if (e != NULL) {
		if (t->free_value && e->value != value)
			t->free_value(e->value);
		e->value = value;
		return 0;
	}
	if (t->count >= t->max)
		return -1;
	e = mem_alloc(sizeof(*e) + key.len);
	e->hash = hash;
	e->value = value;
	e->key_len = key.len;
	if (key.len > 0)
		memcpy(e->key, key.ptr, key.len);
	*link = e;
	if (++t->count > t->slot_count)
		grow(t);
	return 0;
}

void *
table_take(struct table *t, struct span key)
{
	struct entry **link = find(t, key, hash_bytes(key.ptr, key.len)), *e = *link;
	void *value;

	if (e == NULL)
		return NULL;
	value = e->value;
	*link = e->next;
	free(e);
	t->count--;
	return value;
}

size_t
table_count(const struct table *t)
{
	return t->count;
}

/* *position holds the slot in its upper part and the number of entries of it already seen in its lower 16 bits. */
void *
table_next(const struct table *t, size_t *position, struct span *key)
{
	size_t slot = *position >> 16, seen = *position & 0xffff;

	for (; slot < t->slot_count; slot++, seen = 0) {
		struct entry *e = t->slots[slot];

		for (size_t i = 0; e != NULL && i < seen; i++)
			e = e->next;
		if (e == NULL)
			continue;
		*position = slot << 16 | (seen + 1);
		if (key)
			*key = span_make(e->key, e->key_len);
		return e->value;
	}
	return NULL;
}
