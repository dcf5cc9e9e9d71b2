/* Stored passwords, which users of a directory may write themselves; those that are cheap are tried too. */
#include <stdint.h>

#include "common/password/password.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything but this would take the fuzzer's time. */
static bool
is_cheap(const struct password_stored *s)
{
	return s->kind == &password_digest || (password_is_scram(s) && s->scram.iterations == 4096);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct password_stored s;
	struct error err;

	if (password_parse(span_make(data, size), &s, &err) == 0 && is_cheap(&s))
		(void)password_verify(&s, SPAN_LIT("password"), &err);
	return 0;
}
