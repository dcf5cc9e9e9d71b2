/*
 * places: destinations of a world (world.h) that answer, fail or say nothing, counted; the clock is the test's to move.
 *
 * clock_mono_us() and clock_wall_us() are this file's.
 */
#ifndef POSTERN_TESTS_UNIT_QUEUE_PLACES_H
#define POSTERN_TESTS_UNIT_QUEUE_PLACES_H

#include <time.h>

#include "queue/scheduler/hop.h"
#include "tests/unit/queue/world.h"

enum kind { LIVE, DEAD, SILENT };

struct place {
	char name[40];
	enum kind kind;
	unsigned active, most_active, jobs, recipients;
	int64_t last_us, least_gap_us; /* between the ends of jobs and the next beginnings */
	uint32_t waiting[WORLD_JOBS_MAX]; /* calls without an answer */
};

enum { PLACES = 4000 };

extern struct place *places; /* room for PLACES, which main() makes */
extern size_t place_count;
extern unsigned places_answered; /* submissions with a 250 */
extern unsigned places_submit_flags; /* of what is submitted from now on */
extern bool places_say_where; /* the worker knows of its jobs */

/* A world without places, and its end. */
struct world *places_begin(const char *settings);
void places_end(struct world **w);

struct place *place_new(const char *name, enum kind kind);
struct hop *hop_of(struct world *w, const struct place *p);

/* It answers a call: that it took it, or, where it is not LIVE, that it cannot be reached. */
void place_answer(struct world *w, struct place *p, uint32_t call);

/* The time-out of all that it was asked. */
void places_give_up(struct world *w, struct place *p);

/* One message to so many of its recipients; the 250 comes later. The other waits for them. */
void places_submit(struct world *w, const struct place *p, unsigned recipients);
void places_submit_many(struct world *w, const struct place *p, unsigned messages);

/* The clock moves, and whatever has a timer looks at it. */
void places_advance(struct world *w, int64_t us);

/* What the clock would say. */
int64_t real_us(clockid_t clock);

#endif
