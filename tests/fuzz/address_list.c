/* Address lists of header fields, and their completion in place. */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/mail/header.h"
#include "common/mail/local_part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	size_t last_end, size;
};

static bool
found(struct span address, size_t end, void *context)
{
	struct seen *seen = context;

	/* Ends only grow and stay in the field: completion in place relies on it. */
	if (address.len == 0 || address.len > ADDRESS_MAX || end <= seen->last_end || end > seen->size)
		abort();
	seen->last_end = end;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new((size + 1) * 40 + 10000);
	struct seen seen = {0, size};
	struct span text = span_make(data, size), rest = text;
	struct header_field field;
	struct error err;

	address_list_walk(a, text, found, &seen, &err);
	header_complete_addresses(a, text, SPAN_LIT("h.test"));
	while (header_next(&rest, &field))
		header_has_addresses(field.name);
	arena_free(&a);
	return 0;
}
