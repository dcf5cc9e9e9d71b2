/*
 * table_watch: tells as soon as a file behind a table may be another one, so that who builds a table and mails at once
 * meets the new one.
 *
 * The directories of the files are watched (inotify), since tables are replaced by rename. What the kernel does not tell (a
 * directory that is replaced, a link's target, a network's file system, no watch to be had) is seen by lookup's timer.
 */
#ifndef POSTERN_LOOKUP_TABLE_WATCH_H
#define POSTERN_LOOKUP_TABLE_WATCH_H

struct event_base;
struct table_watch;

/* Takes the descriptor, which a sandbox does not give. */
struct table_watch *table_watch_open(void);

/* changed is called with context after files that were added have changed, several at once where they did so together. */
void table_watch_start(
    struct table_watch *w, struct event_base *base, void (*changed)(void *context), void *context);

/* Forgets all names: a new configuration adds its own. */
void table_watch_clear(struct table_watch *w);

/* A path of a file, copied; as many as a configuration names, up to 10,000. */
void table_watch_add(struct table_watch *w, const char *path);

#endif
