/*
 * directory_owner: what root does with a file in another user's directory is done as that user, who could lead root to
 * other files.
 */
#ifndef POSTERN_TOOLS_DIRECTORY_OWNER_H
#define POSTERN_TOOLS_DIRECTORY_OWNER_H

#include "common/base/error.h"

/*
 * Calls work(context), in a child that became the owner of path's directory where root is asked and that is somebody
 * else. Returns what it returned, which must be an exit status; -1 with err if there could be no such child, or it was killed.
 */
int directory_owner_does(const char *path, int (*work)(void *context), void *context, struct error *err);

#endif
