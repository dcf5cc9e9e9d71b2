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

enum line_kind { LINE_COMMENT, LINE_CONTINUATION, LINE_SECTION, LINE_SETTING };

static enum line_kind
kind_of(struct span line, struct span *name)
{
	struct span trimmed = span_trim(line);
	ptrdiff_t equals;

	if (trimmed.len == 0 || trimmed.ptr[0] == '#')
		return LINE_COMMENT;
	if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
		return LINE_CONTINUATION;
	if (line.ptr[0] == '[')
		return LINE_SECTION;
	equals = span_find(line, '=');
	*name = span_trim(equals < 0 ? line : span_sub(line, 0, (size_t)equals));
	return LINE_SETTING;
}

/* Where the global part ends: behind its last setting, so that comments in front of a section stay there. */
static size_t
end_of_global(struct span text)
{
	size_t position = 0, end = 0, last_comment = 0;
	bool has_section = false;

	while (position < text.len && !has_section) {
		struct span rest = span_from(text, position), name;
		ptrdiff_t newline = span_find(rest, '\n');
		size_t len = newline < 0 ? rest.len : (size_t)newline + 1;

		switch (kind_of(span_sub(rest, 0, newline < 0 ? rest.len : (size_t)newline), &name)) {
		case LINE_SECTION:
			has_section = true;
			break;
		case LINE_COMMENT:
			last_comment = position + len;
			break;
		case LINE_CONTINUATION:
		case LINE_SETTING:
			end = position + len;
			break;
		}
		position += len;
	}
	return has_section ? end : last_comment > end ? last_comment : end;
}

static int
append_setting(struct buf *out, struct span name, struct span value)
{
	if (out->len > 0 && buf_ptr(out)[out->len - 1] != '\n')
		buf_append_text(out, "\n");
	return buf_printf(out, "%.*s = %.*s\n", SPAN_ARG(name), SPAN_ARG(value));
}

int
config_edit_text(struct span text, struct span name, struct span value, struct buf *out)
{
	size_t end = end_of_global(text), position = 0;
	bool written = false, dropping = false;

	while (position < end) {
		struct span rest = span_from(text, position), here;
		ptrdiff_t newline = span_find(rest, '\n');
		struct span line = span_sub(rest, 0, newline < 0 ? rest.len : (size_t)newline);
		size_t len = newline < 0 ? rest.len : (size_t)newline + 1;
		enum line_kind kind = kind_of(line, &here);

		if (kind == LINE_SETTING)
			dropping = span_equal(here, name);
		if (kind == LINE_COMMENT || !dropping) {
			buf_append_span(out, span_sub(rest, 0, len));
		} else if (!written) {
			append_setting(out, name, value);
			written = true;
		}
		position += len;
	}
	if (!written)
		append_setting(out, name, value);
	buf_append_span(out, span_from(text, end));
	return out->full ? -1 : 0;
}

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

/* "NAME=VALUE" in its parts. */
static int
split_word(const char *word, struct span *name, struct span *value, struct error *err)
{
	struct span text = span_of(word);
	ptrdiff_t equals = span_find(text, '=');

	if (equals < 0)
		return error_set(err, "%s: NAME=VALUE is meant", word);
	*name = span_trim(span_sub(text, 0, (size_t)equals));
	*value = span_trim(span_from(text, (size_t)equals + 1));
	if (name->len == 0 || name->len > CONF_NAME_MAX || strpbrk(word, "\n\r") || name->ptr[0] == '[' ||
	    name->ptr[0] == '#' || value->len > CONF_VALUE_MAX)
		return error_set(err, "%.60s: not a name and a value of one line", word);
	for (size_t i = 0; i < name->len; i++) {
		if (name->ptr[i] == ' ' || name->ptr[i] == '\t')
			return error_set(err, "%.60s: a name has no blanks", word);
	}
	return 0;
}

static int
edit_all(struct tool *tool, struct buf *text, int count, char **words, struct error *err)
{
	for (int i = 0; i < count; i++) {
		struct span name, value;
		struct buf next;

		if (split_word(words[i], &name, &value, err) < 0)
			return -1;
		if (!param_find(name) && !param_of_transport(name) && param_nearest(name))
			tool_fail(tool, 0, "warning: %.*s is not a parameter; probably meant: %s",
			    SPAN_ARG(name), param_nearest(name));
		buf_init(&next, SOURCE_FILE_MAX + 1);
		if (config_edit_text(buf_span(text), name, value, &next) < 0) {
			buf_free(&next);
			return error_set(err, "the file would be larger than %d octets", SOURCE_FILE_MAX);
		}
		buf_free(text);
		*text = next;
	}
	return 0;
}

int
config_edit(struct tool *tool, int count, char **words)
{
	struct error err;
	struct buf text;
	struct stat st;
	char *path, *real;
	int lock, status = EX_CANTCREAT;

	if (asprintf(&path, "%s/postern.conf", tool->confdir) < 0)
		return EX_OSERR;
	/* Two at once wait for each other; a link stays one. */
	lock = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
	real = lock < 0 ? NULL : realpath(path, NULL);
	buf_init(&text, SOURCE_FILE_MAX + 1);
	if (!real || flock(lock, LOCK_EX) < 0 || stat(real, &st) < 0)
		error_errno(&err, "%s", path);
	else if (source_load(real, &text, &err) == 0 && edit_all(tool, &text, count, words, &err) == 0 &&
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
