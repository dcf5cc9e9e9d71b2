/*
 * list_file: a .forward or an :include: file, read by a process that is the user, member by member.
 *
 * A .forward is believed only if it is a plain file of the user's own (or root's), writable for nobody else, in a
 * directory that not everybody may write; what is wrong with it is said, and mail goes on as if it were not there. It
 * is read whole, and is empty to its readers if it holds a NUL. An :include: file is read piece by piece, however long.
 */
#ifndef POSTERN_LOCAL_LIST_FILE_H
#define POSTERN_LOCAL_LIST_FILE_H

#include <sys/types.h>

#include "common/base/span.h"
#include "common/ipc/protocol.h"
#include "delivery/local/alias_value.h"

enum {
	LIST_FORWARD_MAX = 4 << 20,
	LIST_INCLUDE_MAX = 64 << 20,
	LIST_LINE_MAX = 64 << 10,
	LIST_MEMBER_MAX = 4000
};

struct list_file;

struct list_request {
	enum member_list_kind kind;
	struct span paths; /* one a line: the first that is there counts */
	const char *home; /* of a .forward: must be there; "" if that does not matter */
	uid_t uid; /* who, next to root, may own a .forward */
};

/* What came of opening: the file with LIST_READ, NULL with all else. path and text are filled as far as they are known. */
struct list_file *list_file_open(
    const struct list_request *request, enum member_list_status *status, char path[4096], char text[400]);
void list_file_close(struct list_file **f);

/* Which of the paths it is, from 0. */
unsigned list_file_place(const struct list_file *f);

/* The next member, valid until the next call. 1, 0 at the end, -1 with text where the file cannot be read on. */
int list_file_next(struct list_file *f, enum alias_member *kind, struct span *member, char text[400]);

#endif
