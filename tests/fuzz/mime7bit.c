/* Conversion to 7 bits, in pieces of several sizes: the same result, without 8-bit data in any body, or a refusal. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/smtp/mime7bit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
run(struct span bytes, size_t step, struct buf *out)
{
	struct mime7bit *m = mime7bit_new();
	int status = 0;

	buf_init(out, 64 * (bytes.len + 1000));
	while (bytes.len > 0 && status == 0) {
		struct span part = span_sub(bytes, 0, step);

		status = mime7bit_feed(m, part, out);
		bytes = span_from(bytes, part.len);
	}
	if (status == 0)
		status = mime7bit_finish(m, out);
	mime7bit_free(&m);
	if (out->full)
		abort();
	return status;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;
	int status = run(span_make(data, size), size + 1, &whole);

	if (run(span_make(data, size), 1, &pieces) != status)
		abort();
	if (status == 0 && !span_equal(buf_span(&whole), buf_span(&pieces)))
		abort();
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
