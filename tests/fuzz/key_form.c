/*
 * Texts that are to be signed: none is taken that is a part of another one that is, and nothing but the three forms. The
 * first octet says whose key it is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/keys/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct span text, enum identity_use use)
{
	struct error err = {0};
	enum form_kind form = form_of(text, use, &err);

	if (form == FORM_NONE) {
		if (err.text[0] == '\0')
			abort();
		return;
	}
	if (form == FORM_TLS13 && text.len != 64 + 34 + 32 && text.len != 64 + 34 + 48)
		abort();
	if (form == FORM_TLS12 && use == IDENTITY_SERVER && (text.len > 64 + 4 + 133 || text.ptr[64] != 3))
		abort();
	if (form_of(span_sub(text, 0, text.len - 1), use, &err) != FORM_NONE)
		abort();
	if (form_of(text, use == IDENTITY_SERVER ? IDENTITY_CLIENT : IDENTITY_SERVER, &err) != FORM_NONE)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		check(span_make(data + 1, size - 1), data[0] & 1 ? IDENTITY_CLIENT : IDENTITY_SERVER);
	return 0;
}
