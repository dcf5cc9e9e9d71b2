/*
 * Rows of the index as a damaged file would bring them: summaries, and templates with variables that do not belong to
 * them. The first octet is the length of the first part.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/filter.h"
#include "queue/index/mask.h"
#include "queue/index/summary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
as_summary(const uint8_t *data, size_t size)
{
	static const char key[SUMMARY_KEY_SIZE] = {1};
	char *exact = mem_strndup((const char *)data, size);
	struct summary s;
	struct summary_recipient r;

	if (summary_decode(span_make(key, sizeof(key)), span_make(exact, size), &s) == 0)
		while (summary_next(&s, &r) > 0)
			if (r.variables.len > 0 && memchr(r.variables.ptr, 'x', r.variables.len) == exact)
				abort();
	free(exact);
}

/* What was split and joined is the text again. */
static void
as_text(struct span text)
{
	struct buf template, variables, again;

	buf_init(&template, 1 << 20);
	buf_init(&variables, 1 << 20);
	buf_init(&again, 1 << 20);
	mask_split(text, &template, &variables);
	mask_join(buf_span(&template), buf_span(&variables), &again);
	if (!span_equal(buf_span(&again), text))
		abort();
	buf_free(&template);
	buf_free(&variables);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t first;

	if (size == 0)
		return 0;
	as_summary(data, size);
	first = data[0] < size ? data[0] : size - 1;
	mask_match(span_make(data + 1, first), span_make(data + 1 + first, size - 1 - first), "1.x");
	/* Texts of the log have no NUL. */
	if (size < 4096 && !memchr(data + 1, 0, size - 1))
		as_text(span_make(data + 1, size - 1));
	return 0;
}
