#include "services/master/seen.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void
seen_look(struct seen_file *f, const char *path)
{
	char *copy = mem_strdup(path);

	seen_clear(f);
	f->path = copy;
	f->target = realpath(copy, NULL);
	f->there = stat(copy, &f->st) == 0;
}

void
seen_clear(struct seen_file *f)
{
	free(f->path);
	free(f->target);
	*f = (struct seen_file){.path = NULL};
}

/* The time of the status: that of the content can be set, and rights that kept it from being read are part of it. */
bool
seen_same(const struct seen_file *f)
{
	const struct stat *seen = &f->st;
	struct stat now;

	if (stat(f->path, &now) < 0)
		return !f->there;
	return f->there && now.st_dev == seen->st_dev && now.st_ino == seen->st_ino &&
	       now.st_size == seen->st_size && now.st_ctim.tv_sec == seen->st_ctim.tv_sec &&
	       now.st_ctim.tv_nsec == seen->st_ctim.tv_nsec;
}

static bool
ends_in(const char *path, const char *name)
{
	return path && strcmp(strrchr(path, '/') + 1, name) == 0;
}

bool
seen_is_named(const struct seen_file *f, const char *name)
{
	return ends_in(f->path, name) || ends_in(f->target, name);
}
