/*
 * drop_dir: messages that wait in the drop directory, because the daemon was not there when they were written.
 *
 * A file counts once its ready bit (x for its owner) is set; it is opened without following links, must be a regular
 * file with one name, and belongs to whom fstat says. It is removed after queue has it. New files are told of by
 * inotify. A file that makes no message is renamed to bad-NAME and named in the log; one that was never finished is
 * removed after a day.
 */
#ifndef POSTERN_PICKUP_DROP_DIR_H
#define POSTERN_PICKUP_DROP_DIR_H

#include "services/pickup/pickup.h"

/* While files may still be opened freely. */
struct drop_dir *drop_dir_open(struct pickup *p, struct error *err);

/*
 * Looks for messages now (at the start, and when queue or lookup is there again) and from now on: also for those that were
 * tried in vain, which otherwise wait and let the others pass.
 */
void drop_dir_scan(struct drop_dir *d);
void drop_dir_stop(struct drop_dir *d);

#endif
