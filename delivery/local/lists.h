/*
 * lists: a .forward or :include: file, read by a helper as its user, as the root part sees it.
 *
 * Members come one by one, and no more than are taken: a list may be as long as it likes.
 */
#ifndef POSTERN_LOCAL_LISTS_H
#define POSTERN_LOCAL_LISTS_H

#include "delivery/local/alias_value.h"
#include "delivery/local/pool.h"

struct list_read;

enum { LIST_WINDOW = 128 /* so many members come before one of them is taken */ };

/* Neither is called before list_read_start() returns. Texts come from a process that is not trusted. */
struct list_reader {
	/* place: of the file among the paths, from 0. */
	void (*member)(void *context, unsigned place, enum alias_member kind, struct span text);
	/* The end; the list is gone. path: the file that was found. */
	void (*done)(void *context, enum member_list_status status, struct span path, struct span text);
};

struct list_source {
	enum member_list_kind kind;
	const struct target *user; /* copied; its kind is MAILBOX_HELPER */
	struct span paths; /* one a line: the first that is there counts */
	const char *home;
	uid_t owner; /* who, next to root, may own a .forward */
};

struct list_read *list_read_start(struct pool *pool, const struct conf_values *v,
    const struct list_source *source, const struct list_reader *reader, void *context);

/* So many members were dealt with. */
void list_read_taken(struct list_read *l, unsigned members);

/* Nobody wants to hear of it any more. */
void list_read_cancel(struct list_read *l);

#endif
