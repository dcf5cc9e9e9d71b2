/*
 * Fuzz target of what a Dovecot auth socket says: lines, each parsed by itself. What is taken can go to a client and into
 * a header as it is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/sasl/dovecot.h"
#include "common/sasl/mechanism.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_printable(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_make(data, size), line;
	static char room[DOVECOT_LINE_MAX];

	while (span_next_line(&rest, &line)) {
		struct dovecot_reply reply;

		if (dovecot_parse(line, &reply, room) < 0)
			continue;
		must_be_printable(reply.user);
		must_be_printable(reply.challenge);
		if (reply.user.len > SASL_USER_MAX || !utf8_valid(reply.user))
			abort();
		if (reply.kind == DOVECOT_MECHANISM && !sasl_mechanism_name_valid(reply.mechanism))
			abort();
		if (memchr(reply.reason.ptr ? reply.reason.ptr : "", '\0', reply.reason.len))
			abort();
	}
	return 0;
}
