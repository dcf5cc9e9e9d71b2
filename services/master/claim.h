/*
 * claim: whose queue_directory it is.
 *
 * Each start leaves the directory of its configuration in pid/confdir. Another configuration that names the same
 * queue_directory would take the first one's mail while that is stopped: that is told, for as long as the first one is
 * there and still names it. After a move, or in a restored copy, the new one has it.
 */
#ifndef POSTERN_MASTER_CLAIM_H
#define POSTERN_MASTER_CLAIM_H

#include <stdbool.h>
#include <stddef.h>

/* Below queue_directory, whose descriptor this is. A disk that takes nothing keeps nobody from starting. */
void claim_write(int queue_fd, const char *confdir);

/* The configuration that has queue_directory beside that in confdir. False: there is none, or it cannot be told. */
bool claim_find_other(const char *queue_directory, const char *confdir, char *other, size_t size);

#endif
