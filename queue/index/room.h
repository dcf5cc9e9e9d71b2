/*
 * room: a file that holds a place on the disk for the index.
 *
 * Berkeley DB cannot open an environment without writing to its log. Where a disk is full to the last octet the index would
 * be taken for a damaged one and made anew; so this file is given up first.
 */
#ifndef POSTERN_QUEUE_ROOM_H
#define POSTERN_QUEUE_ROOM_H

#include <stdbool.h>
#include <stddef.h>

/* Made, or made larger, up to so many octets; less where the disk has less. In the working directory. */
void room_keep(size_t octets);

/* True if there was one. */
bool room_give(void);

#endif
