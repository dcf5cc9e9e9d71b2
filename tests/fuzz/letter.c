/* A message's content on its way into a mailbox: no line of it may pass for a separator, and it never grows but by quoting. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/io.h"
#include "delivery/local/letter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct span text, bool quoted)
{
	for (size_t i = 0; i < text.len; i++) {
		struct span rest = span_from(text, i);

		if (quoted && (i == 0 || text.ptr[i - 1] == '\n') && span_starts(rest, "From "))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct letter l = {.recipient = SPAN_LIT("u@x"), .fd = -1, .content_len = size, .header_len = size};
	static char text[1 << 20];
	uint64_t written;
	struct error err;

	if (size > sizeof(text) / 2)
		return 0;
	buf_init(&l.content, size + 1);
	buf_append(&l.content, data, size);
	for (unsigned flags = 0; flags <= LETTER_QUOTE_FROM; flags++) {
		int fd = memfd_create("letter", 0);
		ssize_t n;

		written = 0;
		if (letter_write(&l, fd, flags, &written, &err) < 0)
			abort();
		n = io_pread_all(fd, text, sizeof(text), 0);
		if (n < 0 || (uint64_t)n != written || (flags == 0 && written > size))
			abort();
		check(span_make(text, (size_t)n), flags != 0);
		io_close(&fd);
	}
	if (letter_was_delivered(&l, &err) < 0)
		abort();
	buf_free(&l.content);
	return 0;
}
