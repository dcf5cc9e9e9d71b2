/*
 * drop_file: one file of the drop directory.
 */
#ifndef POSTERN_PICKUP_DROP_FILE_H
#define POSTERN_PICKUP_DROP_FILE_H

#include <sys/types.h>

#include "common/mail/drop_format.h"

struct drop_file {
	int fd;
	uid_t uid;
	struct drop_envelope envelope;
	uint64_t offset; /* of the content that is read next */
	uint64_t left; /* octets of content */
};

enum drop_file_status {
	DROP_FILE_OK,
	DROP_FILE_NOT_READY,
	DROP_FILE_STALE, /* not ready, and nobody has touched it for a day */
	DROP_FILE_BAD /* err says why */
};

/* Opens and reads the envelope into the arena. drop_file_close() is needed only after DROP_FILE_OK. */
enum drop_file_status drop_file_open(
    struct drop_file *f, int directory, const char *name, struct arena *arena, struct error *err);

/* The next octets of the content, at most len. 0 at its end; -1 if the file is shorter than its envelope says. */
ssize_t drop_file_read(struct drop_file *f, char *bytes, size_t len);

void drop_file_close(struct drop_file *f);

#endif
