#include "common/map/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/text.h"

char *
lines_load(const char *path, size_t max, size_t *len, struct error *err)
{
	struct stat st;
	char *bytes = NULL;

	/* O_NONBLOCK: a FIFO in the place of a table does not hold us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		error_errno(err, "open %s", path);
		return NULL;
	}
	if (fstat(fd, &st) < 0) {
		error_errno(err, "fstat %s", path);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(err, "%s is not a regular file", path);
		goto out;
	}
	if ((uintmax_t)st.st_size > max) {
		error_set(err, "%s is larger than %zu octets%s", path, max,
		    max == LINES_FILE_MAX ? ": use hash or btree" : "");
		goto out;
	}
	bytes = mem_alloc((size_t)st.st_size + 1);
	ssize_t got = io_read_all(fd, bytes, (size_t)st.st_size);
	if (got < 0) {
		error_errno(err, "read %s", path);
		free(bytes);
		bytes = NULL;
		goto out;
	}
	*len = (size_t)got;
out:
	(void)io_close(&fd);
	return bytes;
}

void
lines_begin(struct lines *l, struct span text)
{
	*l = (struct lines){.rest = span_from(text, span_starts(text, "\xef\xbb\xbf") ? 3 : 0)};
	buf_init(&l->logical, LINES_LINE_MAX);
}

void
lines_end(struct lines *l)
{
	buf_free(&l->logical);
}

static bool
is_comment(struct span line)
{
	line = text_trim(line);
	return line.len == 0 || line.ptr[0] == '#';
}

static struct span
trim_right(struct span line)
{
	while (line.len > 0 && ascii_is_space(line.ptr[line.len - 1]))
		line.len--;
	return line;
}

/* What is too long stays so: with a part left out and a later one taken it might be a value of good length. */
static void
append_part(struct lines *l, struct span part)
{
	if (buf_append_span(&l->logical, part) == 0)
		return;
	l->cut = true;
	(void)buf_append_span(&l->logical, span_sub(part, 0, LINES_LINE_MAX - l->logical.len));
}

bool
lines_next(struct lines *l, struct span *line)
{
	struct span physical;
	bool begun = false;

	buf_clear(&l->logical);
	l->cut = false;
	for (;;) {
		struct span before = l->rest;
		if (!span_next_line(&l->rest, &physical))
			break;
		if (is_comment(physical)) {
			l->physical++;
			continue;
		}
		if (begun && !ascii_is_space(physical.ptr[0])) {
			l->rest = before;
			break;
		}
		l->physical++;
		if (!begun)
			l->first = l->physical;
		begun = true;
		append_part(l, physical);
	}
	*line = trim_right(buf_span(&l->logical));
	return begun;
}

ptrdiff_t
lines_brace_end(struct span text)
{
	int depth = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '{')
			depth++;
		else if (text.ptr[i] == '}' && --depth == 0)
			return (ptrdiff_t)i;
	}
	return -1;
}

bool
lines_separator(char c)
{
	return c == ',' || ascii_is_space(c);
}

void
lines_skip_separators(struct span *rest)
{
	while (rest->len > 0 && lines_separator(rest->ptr[0]))
		*rest = span_from(*rest, 1);
}

bool
lines_word(struct span *rest, struct span *word)
{
	size_t len = 0;

	lines_skip_separators(rest);
	while (len < rest->len && !lines_separator(rest->ptr[len])) {
		ptrdiff_t end = rest->ptr[len] == '{' ? lines_brace_end(span_from(*rest, len)) : -1;
		len += end > 0 ? (size_t)end + 1 : 1;
	}
	*word = span_sub(*rest, 0, len);
	*rest = span_from(*rest, len);
	return len > 0;
}

int
lines_inline(struct span name, struct buf *out, struct error *err)
{
	struct span rest = span_trim(name);
	ptrdiff_t end = lines_brace_end(rest);

	if (end < 0 || (size_t)end + 1 != rest.len)
		return error_set(err, "missing '}' in \"%.*s\"", SPAN_ARG(name));
	rest = span_sub(rest, 1, (size_t)end - 1);
	for (;;) {
		lines_skip_separators(&rest);
		if (rest.len == 0)
			return 0;
		end = rest.ptr[0] == '{' ? lines_brace_end(rest) : -1;
		if (end < 0)
			return error_set(
			    err, "bad syntax: \"%.*s\"; need \"{ {rule} {rule}... }\"", SPAN_ARG(name));
		(void)buf_append_span(out, span_trim(span_sub(rest, 1, (size_t)end - 1)));
		(void)buf_append_text(out, "\n");
		rest = span_from(rest, (size_t)end + 1);
		if (rest.len > 0 && !lines_separator(rest.ptr[0]))
			return error_set(err, "syntax error after '}' in \"%.*s\"", SPAN_ARG(name));
	}
}
