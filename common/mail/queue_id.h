/*
 * queue_id: the name of a message for ever.
 *
 * A 64-bit number, printed as 16 upper-case hexadecimal digits, so that names sort by arrival and every log tool
 * takes them: microseconds since 1970 (52 bits, until 2112), the number of the process that gave it (8 bits), the
 * number of the queue (4 bits). Each giver never goes back: its next id has max(now, last + 1), also when the clock
 * stepped back; queue tells each giver at connection which ids were used (ID_FLOOR), from the high-water mark of its
 * log.
 */
#ifndef POSTERN_MAIL_QUEUE_ID_H
#define POSTERN_MAIL_QUEUE_ID_H

#include <stdint.h>

#include "common/base/span.h"

/* The latest time that an id or the spool's clock is begun with: 2100. A clock that is set wrong makes none that cannot be. */
#define QUEUE_ID_CLOCK_MAX_US ((int64_t)130 * 31557600 * 1000000)

enum { QUEUE_ID_LEN = 16, QUEUE_ID_SIZE = QUEUE_ID_LEN + 1 };

/* Numbers of givers: smtpd workers have their index; others these. */
enum { QUEUE_ID_GIVER_PICKUP = 250, QUEUE_ID_GIVER_QUEUE = 251 };

struct queue_id_giver {
	uint64_t last_us;
	uint8_t giver;
	uint8_t queue;
};

/* Ids up to floor count as used. */
void queue_id_raise_floor(struct queue_id_giver *g, uint64_t floor);
uint64_t queue_id_next(struct queue_id_giver *g);

/* Microseconds since 1970 that the id carries. */
int64_t queue_id_time_us(uint64_t id);

/* The number of the process that gave it: a worker's index or QUEUE_ID_GIVER_*. */
uint8_t queue_id_giver(uint64_t id);

/* Returns text. */
char *queue_id_format(uint64_t id, char text[QUEUE_ID_SIZE]);

/* Returns -1 if it is none. */
int queue_id_parse(struct span text, uint64_t *id);

#endif
