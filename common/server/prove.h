/*
 * prove: shows what a role's own sandbox refuses; see prove.c.
 */
#ifndef POSTERN_SERVER_PROVE_H
#define POSTERN_SERVER_PROVE_H

#include "common/server/server.h"

/* What automake's tests take for "skipped": a build whose sandbox is relaxed proves nothing. */
enum { PROVE_SKIPPED = 77 };

/* Returns an exit status: 0 if everything that the role has no need for was refused. */
int prove_sandbox(const struct server_program *program, const char *queue_directory);

#endif
