/*
 * peername: the name of a client's address, believed only if it leads back to the address.
 */
#ifndef POSTERN_RESOLVER_PEERNAME_H
#define POSTERN_RESOLVER_PEERNAME_H

#include <stdint.h>

#include "common/ipc/protocol.h"
#include "services/resolver/engine.h"

struct peername {
	enum name_status status;
	char name[NAME_SIZE]; /* "" unless confirmed */
	char reverse_name[NAME_SIZE]; /* what the address leads to, "" if nothing */
	char reason[200];
};

/* result is lent. */
typedef void peername_done(void *context, const struct peername *result);

/* Several PTR records: the first few are tried. */
enum { PEERNAME_TRIES = 4 };

/* address: as inet_ntop writes it. done is called exactly once, perhaps before this returns. */
void peername_ask(struct engine *e, struct span address, uint64_t asker, peername_done *done, void *context);

#endif
