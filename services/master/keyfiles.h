/*
 * keyfiles: files of private keys and certificates, which master opens for keys. It reads no byte of them.
 */
#ifndef POSTERN_MASTER_KEYFILES_H
#define POSTERN_MASTER_KEYFILES_H

#include <stdbool.h>

struct master;
struct child;

/* Sends all of them, as the configuration names them now, to keys. watch is told of each path, for its directory. */
void keyfiles_ship(struct master *m, struct child *c, void (*watch)(const char *path));

/* Sends them again if one of them is not what was sent last: another file behind the name, or changed. */
void keyfiles_look(struct master *m, void (*watch)(const char *path));

/* Is name, without a directory, one of theirs, or of what a link among them leads to? */
bool keyfiles_is_named(const char *name);

#endif
