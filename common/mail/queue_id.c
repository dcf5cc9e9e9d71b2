#include "common/mail/queue_id.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/text.h"

enum { GIVER_BITS = 8, QUEUE_BITS = 4, LOW_BITS = GIVER_BITS + QUEUE_BITS };

void
queue_id_raise_floor(struct queue_id_giver *g, uint64_t floor)
{
	if (floor >> LOW_BITS > g->last_us)
		g->last_us = floor >> LOW_BITS;
}

uint64_t
queue_id_next(struct queue_id_giver *g)
{
	int64_t now_us = clock_wall_us();
	uint64_t now = now_us < 0 ? 0 : (uint64_t)now_us;

	if (now_us > QUEUE_ID_CLOCK_MAX_US)
		now = QUEUE_ID_CLOCK_MAX_US;
	g->last_us = now > g->last_us ? now : g->last_us + 1;
	return g->last_us << LOW_BITS | (uint64_t)g->giver << QUEUE_BITS | (g->queue & 15u);
}

int64_t
queue_id_time_us(uint64_t id)
{
	return (int64_t)(id >> LOW_BITS);
}

uint8_t
queue_id_giver(uint64_t id)
{
	return (uint8_t)(id >> QUEUE_BITS);
}

char *
queue_id_format(uint64_t id, char text[QUEUE_ID_SIZE])
{
	snprintf(text, QUEUE_ID_SIZE, "%016llX", (unsigned long long)id);
	return text;
}

int
queue_id_parse(struct span text, uint64_t *id)
{
	uint64_t value = 0;

	if (text.len != QUEUE_ID_LEN)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		int digit = hex_digit(text.ptr[i]);

		if (digit < 0)
			return -1;
		value = value << 4 | (unsigned)digit;
	}
	*id = value;
	return 0;
}
