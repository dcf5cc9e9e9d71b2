/*
 * Command lines: colons, paths and ESMTP parameters of MAIL and RCPT.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/address.h"
#include "smtpd/command.h"
#include "smtpd/parameters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] == '\0' || text.ptr[i] == '\r' || text.ptr[i] == '\n')
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1 << 20);
	struct span line = span_make(data, size), path, rest;
	struct parameters p;

	if (size == 0 || !span_next_line(&line, &path)) {
		arena_free(&a);
		return 0;
	}
	line = path;
	if (!command_take_colon(&line, "FROM"))
		(void)command_take_colon(&line, "TO");
	if (address_parse_path(
		a, line, ADDRESS_NULL_OK | ADDRESS_NO_DOMAIN_OK | ADDRESS_UTF8, &path, &rest) != ADDRESS_OK)
		rest = line;
	else
		check_text(path);
	if (parameters_of_mail(a, rest, &p).code == 0)
		check_text(p.envid);
	if (parameters_of_rcpt(a, rest, &p).code == 0)
		check_text(p.orcpt);
	arena_free(&a);
	return 0;
}
