/* Messages of local programs: whatever comes in, lines that go out end in CRLF and the header ends in an empty line. */
#include <stdint.h>
#include <stdlib.h>

#include "services/pickup/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run(const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	const struct content_setup setup = {
	    .field_limit = 300,
	    .drop_headers = "bcc, return-path",
	    .from = SPAN_LIT("joe@h.test"),
	    .full_name = SPAN_LIT("J\xc3\xb6"),
	    .date = "D",
	    .message_id = "<1@h.test>",
	    .undisclosed = "To: undisclosed-recipients:;",
	};
	struct content c;

	content_init(&c, &setup);
	buf_init(out, content_room(&c, size));
	for (size_t i = 0; i < size; i += step)
		if (content_write(&c, span_make(data + i, size - i < step ? size - i : step), out) < 0)
			abort();
	if (content_finish(&c, out) < 0 || c.header_len > out->len || c.header_len < 2)
		abort();
	if (!span_ends_nocase(span_sub(buf_span(out), 0, c.header_len), "\r\n") ||
	    !span_ends_nocase(buf_span(out), "\r\n"))
		abort();
	content_free(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;

	run(data, size, size + 1, &whole);
	run(data, size, 1, &pieces);
	if (!span_equal(buf_span(&whole), buf_span(&pieces)))
		abort();
	for (size_t i = 0; i < whole.len; i++) {
		char c = buf_ptr(&whole)[i];
		if (c == '\n' && (i == 0 || buf_ptr(&whole)[i - 1] != '\r'))
			abort();
		if (c == '\r' && (i + 1 == whole.len || buf_ptr(&whole)[i + 1] != '\n'))
			abort();
	}
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
