/* Replies of servers, whole and octet by octet: the same result, and never a text that could end a line elsewhere. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/smtp/hello.h"
#include "delivery/smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const struct reply *r)
{
	struct capabilities c;
	struct span domain;
	char line[500];

	if (r->len > REPLY_TEXT_MAX || r->code < 200 || r->code > 599 || strlen(r->text) != r->len)
		abort();
	for (size_t i = 0; i < r->len; i++)
		if ((unsigned char)r->text[i] < ' ' && r->text[i] != '\n')
			abort();
	reply_one_line(r, line, sizeof(line));
	if (strchr(line, '\n'))
		abort();
	capabilities_parse(&c, r, SPAN_LIT("SIZE"), &domain);
}

/* The sum over all replies. */
static uint64_t
run(struct span bytes, size_t step)
{
	struct reply *r = calloc(1, sizeof(*r));
	uint64_t sum = 0;
	int status = 0;

	while (bytes.len > 0 && status >= 0) {
		size_t used;
		struct span part = span_sub(bytes, 0, step);

		status = reply_feed(r, part, &used);
		if (used == 0 || used > part.len)
			abort();
		bytes = span_from(bytes, used);
		if (status == 1) {
			check_text(r);
			sum = sum * 31 + r->code + r->len;
		}
	}
	free(r);
	return status < 0 ? ~sum : sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = span_make(data, size);

	if (run(bytes, size + 1) != run(bytes, 1))
		abort();
	return 0;
}
