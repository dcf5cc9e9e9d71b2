/*
 * check_access: what lets a process read a file that it may not read now.
 */
#ifndef POSTERN_TOOLS_CHECK_ACCESS_H
#define POSTERN_TOOLS_CHECK_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * As the user that asks: the command for the first folder above path that lets nobody through, or for the file itself, which
 * its group gets to read and nobody else. False if nothing stands in the way, or path is not absolute.
 */
bool check_access_remedy(const char *path, char *out, size_t size);

#endif
