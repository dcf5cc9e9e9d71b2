/*
 * Paths of MAIL FROM and RCPT TO with all combinations of flags. What is accepted is accepted again as it was given; strictly, but
 * for the dot of "a@host.", which lookup takes away.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned flags = 0; flags < 16; flags++) {
		struct arena *a = arena_new(1 << 20);
		struct span address, rest, again, local, domain, text;
		char path[ADDRESS_MAX + 3];

		if (address_parse_path(a, span_make(data, size), flags, &address, &rest) == ADDRESS_OK) {
			if (address.len > ADDRESS_MAX)
				abort();
			bool dot = address.len > 0 && address.ptr[address.len - 1] == '.';
			unsigned strict = dot ? flags : flags | ADDRESS_STRICT;

			if (dot && (flags & ADDRESS_STRICT))
				abort();
			snprintf(path, sizeof(path), "<%.*s>", SPAN_ARG(address));
			text = span_of(path);
			if (address_parse_path(a, text, strict, &again, &rest) != ADDRESS_OK ||
			    !span_equal(again, address))
				abort();
			address_split(address, &local, &domain);
			if (address.len > 0 &&
			    !span_equal(address_join(a, address_unquote_local(a, local), domain), address))
				abort();
		}
		arena_free(&a);
	}
	return 0;
}
