#include "delivery/local/list_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/base/mem.h"

enum { TEXT_SIZE = 400, PIECE = 32768, LINE_ARENA = 1 << 20 };

struct list_file {
	int fd;
	bool end; /* of the file */
	struct buf bytes; /* read and not yet taken */
	struct arena *arena; /* of the present line */
	struct span rest; /* of it */
	unsigned line;
	unsigned place; /* among the paths */
	char path[4096];
	char complaint[TEXT_SIZE];
};

/* ---- is it to be believed? ---- */

static void
refuse(enum member_list_status *status, enum member_list_status what, char text[TEXT_SIZE], const char *path,
    const char *why)
{
	*status = what;
	snprintf(text, TEXT_SIZE, "%.250s %.140s", path, why);
}

/* What is wrong with a .forward; NULL: nothing. */
static const char *
forward_fault(const char *path, const struct stat *st, uid_t uid)
{
	char directory[4096];
	struct stat parent;
	const char *slash = strrchr(path, '/');

	if (!S_ISREG(st->st_mode))
		return "is not a regular file";
	if (st->st_uid != 0 && st->st_uid != uid)
		return "belongs to another user";
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return "is writable for others";
	if (st->st_size > LIST_FORWARD_MAX)
		return "is too large";
	snprintf(directory, sizeof(directory), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (stat(directory, &parent) < 0)
		return "lies in a directory that cannot be examined";
	if ((parent.st_mode & S_IWOTH) && !(parent.st_mode & S_ISVTX))
		return "lies in a directory that everybody may write";
	return NULL;
}

static bool
is_missing(int number)
{
	return number == ENOENT || number == ENOTDIR || number == EACCES || number == ELOOP ||
	       number == ENAMETOOLONG;
}

/* Opens one candidate. Returns the descriptor, or -1 with status: LIST_ABSENT if it is not there. */
static int
open_forward(const char *path, uid_t uid, enum member_list_status *status, char text[TEXT_SIZE])
{
	struct stat named, opened;
	const char *fault;
	int fd;

	if (lstat(path, &named) < 0) {
		if (is_missing(errno))
			*status = LIST_ABSENT;
		else
			refuse(status, LIST_TEMPORARY, text, path, strerror(errno));
		return -1;
	}
	fault = forward_fault(path, &named, uid);
	if (fault) {
		refuse(status, LIST_REFUSED, text, path, fault);
		return -1;
	}
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &opened) < 0) {
		refuse(status, errno == EACCES ? LIST_REFUSED : LIST_TEMPORARY, text, path, strerror(errno));
	} else if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino) {
		refuse(status, LIST_TEMPORARY, text, path, "was replaced meanwhile");
	} else {
		*status = LIST_READ;
		return fd;
	}
	io_close(&fd);
	return -1;
}

static int
open_include(const char *path, enum member_list_status *status, char text[TEXT_SIZE])
{
	int fd = -1;
	struct stat st;

	if (path[0] != '/')
		refuse(status, LIST_TEMPORARY, text, path, "is no absolute path");
	else if ((fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) < 0 || fstat(fd, &st) < 0)
		refuse(status, LIST_TEMPORARY, text, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		refuse(status, LIST_TEMPORARY, text, path, "is not a regular file");
	else if (st.st_mode & S_IWOTH)
		refuse(status, LIST_TEMPORARY, text, path, "is writable for everybody");
	else if (st.st_size > LIST_INCLUDE_MAX)
		refuse(status, LIST_TEMPORARY, text, path, "is too large");
	else
		*status = LIST_READ;
	if (*status != LIST_READ)
		io_close(&fd);
	return fd;
}

/* A home on a server that is away hides a .forward: mail that was to go on must wait. */
static bool
home_is_there(const char *home, enum member_list_status *status, char text[TEXT_SIZE])
{
	struct stat st;

	if (home[0] == '\0' || (stat(home, &st) == 0 && S_ISDIR(st.st_mode)))
		return true;
	refuse(status, LIST_TEMPORARY, text, home, "is the user's home and is not there");
	return false;
}

/* ---- reading ---- */

/* Brings more bytes. 1, 0 at the end, -1. */
static int
fill(struct list_file *f)
{
	char *room = f->end ? NULL : buf_reserve(&f->bytes, PIECE);
	ssize_t n;

	if (!room)
		return 0;
	n = io_read_all(f->fd, room, PIECE);
	if (n < 0)
		return -1;
	buf_added(&f->bytes, (size_t)n);
	f->end = n < PIECE;
	return n > 0;
}

struct list_file *
list_file_open(
    const struct list_request *request, enum member_list_status *status, char path[4096], char text[400])
{
	struct span rest = request->paths, line;
	struct list_file *f;
	unsigned place = 0;
	int fd = -1;

	*status = LIST_ABSENT;
	path[0] = text[0] = '\0';
	if (request->kind == LIST_FORWARD && !home_is_there(request->home, status, text))
		return NULL;
	for (; fd < 0 && *status == LIST_ABSENT && span_next_line(&rest, &line); place++) {
		if (!span_copy(line, path, 4096) || path[0] == '\0')
			continue;
		fd = request->kind == LIST_FORWARD ? open_forward(path, request->uid, status, text)
						   : open_include(path, status, text);
	}
	if (fd < 0)
		return NULL;
	f = mem_alloc(sizeof(*f));
	f->fd = fd;
	f->place = place - 1;
	snprintf(f->path, sizeof(f->path), "%s", path);
	buf_init(&f->bytes, request->kind == LIST_FORWARD ? LIST_FORWARD_MAX + PIECE : LIST_LINE_MAX + PIECE);
	while (request->kind == LIST_FORWARD && fill(f) > 0)
		;
	if (request->kind == LIST_FORWARD && (!f->end || span_find(buf_span(&f->bytes), '\0') >= 0)) {
		refuse(status, LIST_REFUSED, text, path, "has a NUL in it, or changes while it is read");
		list_file_close(&f);
	}
	return f;
}

void
list_file_close(struct list_file **f)
{
	if (!*f)
		return;
	io_close(&(*f)->fd);
	buf_free(&(*f)->bytes);
	arena_free(&(*f)->arena);
	free(*f);
	*f = NULL;
}

unsigned
list_file_place(const struct list_file *f)
{
	return f->place;
}

/* The next line that says something. 1, 0 at the end, -1 where it cannot be read, or is too long. */
static int
next_line(struct list_file *f)
{
	for (;;) {
		struct span bytes = buf_span(&f->bytes), line;
		ptrdiff_t end = span_find(bytes, '\n');
		int more;

		if (end < 0 && (more = fill(f)) != 0) {
			if (more < 0)
				return -1;
			continue;
		}
		if (end < 0 && !f->end)
			return -1;
		if (end < 0 && bytes.len == 0)
			return 0;
		f->line++;
		arena_free(&f->arena);
		f->arena = arena_new(LINE_ARENA);
		line = arena_copy_span(
		    f->arena, span_trim(span_sub(bytes, 0, end < 0 ? bytes.len : (size_t)end)));
		buf_consume(&f->bytes, end < 0 ? bytes.len : (size_t)end + 1);
		f->rest = line;
		if (line.len > 0 && line.ptr[0] != '#')
			return 1;
		f->rest = span_make("", 0);
	}
}

int
list_file_next(struct list_file *f, enum alias_member *kind, struct span *member, char text[400])
{
	int got;

	while (!f->arena || !alias_next_member(f->arena, &f->rest, kind, member)) {
		got = next_line(f);
		if (got < 0)
			snprintf(text, TEXT_SIZE, "%.250s, line %u: cannot be read, or is too long", f->path,
			    f->line + 1);
		if (got <= 0)
			return got;
	}
	if (*kind == ALIAS_MALFORMED || member->len > LIST_MEMBER_MAX || span_find(*member, '\0') >= 0) {
		*kind = ALIAS_MALFORMED;
		snprintf(
		    f->complaint, sizeof(f->complaint), "%.250s, line %u: not an address", f->path, f->line);
		*member = span_of(f->complaint);
	}
	return 1;
}
