/*
 * spooled: a message that is read whole before anybody is asked to take it, in memory up to a bound and then in a
 * file without a name.
 */
#ifndef POSTERN_TOOLS_SPOOLED_H
#define POSTERN_TOOLS_SPOOLED_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

enum { SPOOLED_MEMORY = 1 << 20 };

struct spooled {
	struct buf memory; /* the first octets */
	int fd; /* what goes beyond them, -1 if nothing does */
	uint64_t size; /* all of it */
	uint64_t limit; /* 0: none */
	bool over; /* the limit was passed */
};

void spooled_init(struct spooled *s, uint64_t limit);
void spooled_free(struct spooled *s);
int spooled_add(struct spooled *s, struct span bytes, struct error *err);

/* Reads from offset into bytes. Returns how many, 0 at the end. */
int spooled_read(const struct spooled *s, uint64_t offset, char *bytes, size_t len, struct error *err);

#endif
