#include "tools/config_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/conf/schema.h"
#include "common/conf/source.h"

/* Writes the new file beside the old one, with its mode and owner, and puts it in its place. */
static int
replace_file(const char *path, const struct stat *old, struct span text, struct error *err)
{
	char temporary[4096], directory[4096], *slash;
	int fd, result = -1;

	if (snprintf(temporary, sizeof(temporary), "%s.%d.new", path, (int)getpid()) >=
	    (int)sizeof(temporary))
		return error_set(err, "%s: the path is too long", path);
	memcpy(directory, temporary, sizeof(directory));
	slash = strrchr(directory, '/');
	slash[1] = '\0';
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "%s", temporary);
	/* The owner before the mode, and both before the bytes. */
	if (fchown(fd, old->st_uid, old->st_gid) < 0 || fchmod(fd, old->st_mode & 07777) < 0 ||
	    io_write_all(fd, text.ptr, text.len) < 0 || fsync(fd) < 0)
		error_errno(err, "%s", temporary);
	else if (rename(temporary, path) < 0)
		error_errno(err, "%s", path);
	else
		result = 0;
	if (io_close(&fd) < 0 && result == 0)
		result = error_errno(err, "%s", path);
	if (result < 0) {
		unlink(temporary);
		return -1;
	}
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		result = error_errno(err, "%s", directory);
	io_close(&fd);
	return result;
}

/* "NAME=VALUE" in its parts, or "NAME". */
static int
split_word(
    const char *word, enum config_change change, struct span *name, struct span *value, struct error *err)
{
	struct span text = span_of(word);
	ptrdiff_t equals = span_find(text, '=');

	if ((equals < 0) != (change != CONFIG_SET))
		return error_set(
		    err, "%.60s: %s is meant", word, change == CONFIG_SET ? "NAME=VALUE" : "NAME");
	*name = span_trim(equals < 0 ? text : span_sub(text, 0, (size_t)equals));
	*value = equals < 0 ? SPAN_LIT("") : span_trim(span_from(text, (size_t)equals + 1));
	if (name->len == 0 || name->len > CONF_NAME_MAX || strpbrk(word, "\n\r") || name->ptr[0] == '[' ||
	    name->ptr[0] == '#' || value->len > CONF_VALUE_MAX)
		return error_set(err, "%.60s: not a name and a value of one line", word);
	for (size_t i = 0; i < name->len; i++) {
		if (name->ptr[i] == ' ' || name->ptr[i] == '\t')
			return error_set(err, "%.60s: a name has no blanks", word);
	}
	/* With such a line the file could not be used any more; taking it out is fine. */
	if (change == CONFIG_SET && !source_name_valid(*name))
		return error_set(err, "%.60s: a name is made of letters, digits, '_', '-' and '.'", word);
	return 0;
}

static int
edit_all(struct tool *tool, enum config_change change, struct buf *text, int count, char **words,
    struct error *err)
{
	for (int i = 0; i < count; i++) {
		struct span name, value;
		struct buf next;

		if (split_word(words[i], change, &name, &value, err) < 0)
			return -1;
		if (change == CONFIG_SET && !param_find(name) && !param_of_transport(name) &&
		    param_nearest(name))
			tool_fail(tool, 0, "warning: %.*s is not a parameter; probably meant: %s",
			    SPAN_ARG(name), param_nearest(name));
		buf_init(&next, SOURCE_FILE_MAX + 1);
		if (config_edit_text(buf_span(text), change, name, value, &next) < 0) {
			buf_free(&next);
			return error_set(err, "the file would be larger than %d octets", SOURCE_FILE_MAX);
		}
		buf_free(text);
		*text = next;
	}
	return 0;
}

/* Edits wait for each other. Who was waited for put another file in the place of the one whose lock came: once more. */
static int
open_locked(const char *path, struct stat *st)
{
	for (;;) {
		struct stat locked;
		int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX) < 0 || fstat(fd, &locked) < 0 || stat(path, st) < 0) {
			io_close(&fd);
			return -1;
		}
		if (locked.st_dev == st->st_dev && locked.st_ino == st->st_ino)
			return fd;
		io_close(&fd);
	}
}

int
config_edit(struct tool *tool, enum config_change change, int count, char **words)
{
	struct error err;
	struct buf text;
	struct stat st;
	char *path, *real;
	int lock, status = EX_CANTCREAT;

	if (asprintf(&path, "%s/postern.conf", tool->confdir) < 0)
		return EX_OSERR;
	/* A link stays one. */
	lock = open_locked(path, &st);
	real = lock < 0 ? NULL : realpath(path, NULL);
	buf_init(&text, SOURCE_FILE_MAX + 1);
	if (!real)
		error_errno(&err, "%s", path);
	else if (source_load(real, &text, &err) == 0 &&
		 edit_all(tool, change, &text, count, words, &err) == 0 &&
		 replace_file(real, &st, buf_span(&text), &err) == 0)
		status = 0;
	if (status != 0)
		tool_fail(tool, status, "%s", err.text);
	buf_free(&text);
	io_close(&lock);
	free(real);
	free(path);
	return status;
}
