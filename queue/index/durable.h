/*
 * durable: the names of Berkeley DB's files outlive a power cut.
 *
 * It syncs its files, but not the directory that names them. A log file or table of which only the name was lost would leave
 * an index that opens well and lacks rows that its position says it has: mail would be forgotten. So whatever makes
 * or renames one of them syncs the directory before anything is written under the new name.
 */
#ifndef POSTERN_QUEUE_INDEX_DURABLE_H
#define POSTERN_QUEUE_INDEX_DURABLE_H

/* For all environments of this process, from the next one that is opened. */
void index_durable_names(void);

#endif
