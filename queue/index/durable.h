/*
 * durable: what of Berkeley DB's files outlives a power cut.
 *
 * It syncs its files, but not the directory that names them. A log file or table of which only the name was lost would leave
 * an index that opens well and lacks rows that its position says it has: mail would be forgotten. So whatever makes
 * or renames one of them syncs the directory before anything is written under the new name.
 */
#ifndef POSTERN_QUEUE_INDEX_DURABLE_H
#define POSTERN_QUEUE_INDEX_DURABLE_H

#include "common/base/error.h"

/*
 * Before an environment is opened: what a killed process wrote and did not sync is on the disk now. Recovery finds its pages up to
 * date, so it neither writes nor syncs them, and the checkpoint at its end says that they are durable: a power cut would then
 * bring back old pages for good, under a position that is newer.
 */
int index_durable_content(const char *dir, struct error *err);

/* For all environments of this process, from the next one that is opened. */
void index_durable_names(void);

#endif
