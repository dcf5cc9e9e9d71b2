/*
 * folders: directories of authorities (smtp_tls_CApath and its kin).
 *
 * Who believes them reads them once, before the sandbox closes. When one changes, and at each reload, master gathers its files
 * in one without a name (the kernel copies: master reads no byte) and passes that on under the folder's name.
 */
#ifndef POSTERN_MASTER_FOLDERS_H
#define POSTERN_MASTER_FOLDERS_H

#include <stdbool.h>

struct child;
struct inotify_event;
struct master;

/* Watches those that the configuration names, also ones that are there only now. */
void folders_watch(struct master *m, int inotify_fd);

/* Something in one of them changed. */
bool folders_concern(const struct inotify_event *e);

/* Tells those who believe what changed since the last time. */
void folders_tell(struct master *m);

/* At a reload: all that the child believes. */
void folders_ship(struct master *m, struct child *c);

#endif
