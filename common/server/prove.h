/*
 * prove: shows what a role's own sandbox refuses; see prove.c.
 */
#ifndef POSTERN_SERVER_PROVE_H
#define POSTERN_SERVER_PROVE_H

#include "common/server/server.h"

/* Returns an exit status: 0 if everything that the role has no need for was refused. */
int prove_sandbox(const struct server_program *program, const char *queue_directory);

#endif
