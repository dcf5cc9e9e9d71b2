/* Address lists of header fields, and rewriting in place. */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/mail/header_rewrite.h"
#include "common/mail/local_part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	size_t last_end, size;
};

static bool
found(struct span address, size_t start, size_t end, void *context)
{
	struct seen *seen = context;

	/* Places follow each other and stay in the field: rewriting in place relies on it. */
	if (address.len == 0 || address.len > ADDRESS_MAX || start < seen->last_end || end <= start ||
	    end > seen->size)
		abort();
	seen->last_end = end;
	return true;
}

/* Every address becomes a longer one; what is not rewritten stays. */
static void
rewrite(struct span header)
{
	static const struct header_rewrite_rules rules = {.sender = REWRITE_LOCAL_SENDER,
	    .recipient = REWRITE_LOCAL_RECIPIENT,
	    .all_senders = true,
	    .all_recipients = true};
	struct header_rewrite *h = header_rewrite_new(header, &rules);
	enum rewrite_kind kind;
	struct span addresses;
	struct buf answer, out;
	struct error err;

	if (!h)
		return;
	buf_init(&answer, 60000);
	buf_init(&out, header.len * 100 + 10000);
	while (header_rewrite_next(h, &kind, &addresses)) {
		buf_clear(&answer);
		for (size_t i = 0; i < addresses.len; i++)
			if (addresses.ptr[i] == '\0')
				buf_append(&answer, "someone@else.test", sizeof("someone@else.test"));
		if (header_rewrite_answer(h, buf_span(&answer), &err) < 0)
			abort();
	}
	if (header_rewrite_put(h, &out) < 0)
		abort();
	buf_free(&answer);
	buf_free(&out);
	header_rewrite_free(&h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new((size + 1) * 40 + 10000);
	struct seen seen = {0, size};
	struct span text = span_make(data, size);
	struct buf header;
	struct error err;

	address_list_walk(a, text, found, &seen, &err);
	rewrite(text);
	buf_init(&header, size + 10);
	buf_append_text(&header, "To: ");
	buf_append_span(&header, text);
	rewrite(buf_span(&header));
	buf_free(&header);
	arena_free(&a);
	return 0;
}
