/*
 * disk_states: what a disk may hold after a cut of the power, out of what a recorder saw.
 *
 * What POSIX promises and no more: octets that a sync of their file covered are there; of later ones each sector of
 * 512 octets holds what it held at that sync or what any later write put there. A name is as its directory's last sync
 * left it, or as any later operation on that name left it; a file's own sync says nothing about its name. Lengths go with
 * the names: the one at the last sync, or any later one. While a rename is not synced its directory's operations
 * keep their order, as every journal does.
 */
#ifndef POSTERN_TESTS_CRASH_DISK_STATES_H
#define POSTERN_TESTS_CRASH_DISK_STATES_H

#include <stdint.h>

#include "tests/crash/recorder.h"

enum disk_policy {
	DISK_NOTHING, /* all that was not synced is lost */
	DISK_ALL, /* nothing is lost: as after kill -9 */
	DISK_NAMES, /* data is lost, names are kept */
	DISK_DATA, /* names are lost, data is kept */
	DISK_WRITES, /* each write and each name by the dice */
	DISK_SECTORS, /* each sector and each name by the dice */
	DISK_TORN, /* all but the last write of each file is kept, that one sector by sector */
	DISK_POLICIES
};

struct disk_model;

struct disk_model *disk_model_new(void);
void disk_model_free(struct disk_model **d);

/* One operation later. */
void disk_model_apply(struct disk_model *d, const struct operation *o);

/* Writes not covered by a sync, and names. */
unsigned disk_model_pending(const struct disk_model *d);

/*
 * Builds a state below 'path', an empty directory. seed: of the dice. choice: instead of the dice, bit i says whether the
 * i-th pending write or name is kept, in DISK_WRITES; -1: the dice.
 */
void disk_model_build(
    struct disk_model *d, const char *path, enum disk_policy policy, uint64_t seed, int64_t choice);

#endif
