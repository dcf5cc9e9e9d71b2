#include "tools/spooled.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/io.h"

void
spooled_init(struct spooled *s, uint64_t limit)
{
	*s = (struct spooled){.fd = -1, .limit = limit};
	buf_init(&s->memory, SPOOLED_MEMORY);
}

void
spooled_free(struct spooled *s)
{
	buf_free(&s->memory);
	io_close(&s->fd);
}

static int
open_nameless(struct error *err)
{
	const char *folder = getenv("TMPDIR");
	int fd = -1;

	if (folder != NULL && folder[0] == '/')
		fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		error_errno(err, "/tmp: no room for a large message");
	return fd;
}

int
spooled_add(struct spooled *s, struct span bytes, struct error *err)
{
	size_t room = SPOOLED_MEMORY - s->memory.len;
	struct span head = span_sub(bytes, 0, room), tail = span_from(bytes, head.len);

	if (s->limit > 0 && bytes.len > s->limit - s->size) {
		s->over = true;
		return error_set(err, "message is larger than message_size_limit");
	}
	s->size += bytes.len;
	buf_append_span(&s->memory, head);
	if (tail.len == 0)
		return 0;
	if (s->fd < 0 && (s->fd = open_nameless(err)) < 0)
		return -1;
	if (io_write_all(s->fd, tail.ptr, tail.len) < 0)
		return error_errno(err, "writing a large message to a temporary file");
	return 0;
}

int
spooled_read(const struct spooled *s, uint64_t offset, char *bytes, size_t len, struct error *err)
{
	ssize_t n;

	if (offset < s->memory.len) {
		struct span part = span_sub(buf_span(&s->memory), (size_t)offset, len);
		memcpy(bytes, part.ptr, part.len);
		return (int)part.len;
	}
	if (s->fd < 0)
		return 0;
	n = io_pread_all(s->fd, bytes, len, (off_t)(offset - s->memory.len));
	if (n < 0)
		return error_errno(err, "reading a temporary file");
	return (int)n;
}
