/*
 * layout: the users of Postern and the directories of an instance, for setup, which makes them, and check.
 */
#ifndef POSTERN_TOOLS_LAYOUT_H
#define POSTERN_TOOLS_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/conf/conf.h"

extern const char *const layout_users[];
extern const size_t layout_user_count;

struct layout_directory {
	const char *parameter; /* whose value it lies below */
	const char *name; /* "" is the directory itself */
	const char *user; /* its group has the same name */
	mode_t mode;
};

extern const struct layout_directory layout_directories[];
extern const size_t layout_directory_count;

/* In an ordinary user's instance nobody else has anything to write. */
mode_t layout_mode(const struct layout_directory *d, bool as_root);

int layout_path(const struct layout_directory *d, const struct conf_values *v, char *path, size_t size,
    struct error *err);

#endif
