/*
 * writer: the file formats that a table can be built in. Each writes a file that nobody else sees yet (placing.h).
 */
#ifndef POSTERN_MAP_WRITER_H
#define POSTERN_MAP_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

enum writer_result { WRITER_FAILED = -1, WRITER_DONE, WRITER_EXISTS, WRITER_ABSENT };

struct writer {
	const char *type;
	const char *suffix; /* of the file */
	bool changes; /* entries can be added to a file and taken out of one */
	/* fresh: an empty file becomes one. source_bytes: about how much will be put. NULL with err. */
	void *(*open)(
	    const char *path, const char *type, bool fresh, uint64_t source_bytes, struct error *err);
	enum writer_result (*put)(
	    void *file, struct span key, struct span value, bool replace, struct error *err);
	enum writer_result (*remove)(void *file, struct span key, struct error *err);
	/* Writes what is not written yet (unless abandoned) and closes. */
	int (*close)(void *file, bool abandoned, struct error *err);
};

/* NULL with err if tables of that type cannot be built. */
const struct writer *writer_find(const char *type, struct error *err);

extern const struct writer writer_hash, writer_btree, writer_cdb, writer_lmdb;

#endif
