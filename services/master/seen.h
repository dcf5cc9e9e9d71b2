/*
 * seen: a file as it was when a child was last told of it, to be told again only if it is another one.
 */
#ifndef POSTERN_MASTER_SEEN_H
#define POSTERN_MASTER_SEEN_H

#include <stdbool.h>
#include <sys/stat.h>

struct seen_file {
	char *path; /* NULL: none */
	char *target; /* where its links lead, NULL if nowhere */
	bool there;
	struct stat st;
};

/* Looks at the file. Before it is opened: what changes in between makes another one of it. path may be f's own. */
void seen_look(struct seen_file *f, const char *path);
void seen_clear(struct seen_file *f);

/* The same file is still behind the name, with the same content and rights. */
bool seen_same(const struct seen_file *f);

/* The last part of its path or of its target is name. */
bool seen_is_named(const struct seen_file *f, const char *name);

#endif
