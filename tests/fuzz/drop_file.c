/* Envelopes of the drop directory: what is accepted can be written again. */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/drop_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1 << 20);
	struct span rest = span_make(data, size), line;
	struct drop_envelope e;
	struct error err;
	struct buf out;
	int result = 0;

	drop_envelope_init(&e, a);
	buf_init(&out, 1 << 20);
	while (result == 0 && span_next_line(&rest, &line))
		result = drop_envelope_line(&e, line, &err);
	if (result == 1 && (e.recipients == 0 || drop_envelope_format(&e, &out, &err) < 0))
		abort();
	buf_free(&out);
	arena_free(&a);
	return 0;
}
