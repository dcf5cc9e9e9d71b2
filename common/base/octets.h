/*
 * octets: numbers as formats on disk and between processes have them, the lowest octet first, whatever the host's order.
 */
#ifndef POSTERN_OCTETS_H
#define POSTERN_OCTETS_H

#include <stddef.h>
#include <stdint.h>

/* len: 1 to 8 octets. */
static inline void
octets_store(void *at, uint64_t value, size_t len)
{
	uint8_t *p = at;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t
octets_load(const void *at, size_t len)
{
	const uint8_t *p = at;
	uint64_t value = 0;

	for (size_t i = len; i-- > 0;)
		value = value << 8 | p[i];
	return value;
}

#endif
