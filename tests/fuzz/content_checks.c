/*
 * header_checks and body_checks, with a table that has an action for lines with certain letters: any cut of the input
 * gives the same output, and without a hit or a refusal that output is the input.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/content_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put(void *context, struct span bytes)
{
	buf_append_span(context, bytes);
}

/* By a limit, such as that of nesting: what follows does not come out. */
static bool refused;

static void
acted(void *context, const struct check_action *action, enum check_class class, struct span text)
{
	(void)context;
	refused = true;
	if (action->verb >= CHECK_VERB_COUNT || class >= CHECK_CLASS_COUNT || text.len > 200)
		abort();
}

static size_t header_ends;

static void
field(void *context, struct span text)
{
	(void)context;
	if (header_ends > 0 || text.len == 0)
		abort();
}

static void
header_end(void *context)
{
	(void)context;
	if (header_ends++ > 0)
		abort();
}

static void
complain(void *context, struct span value, const char *why)
{
	(void)context;
	(void)value;
	(void)why;
}

static struct span
table(struct span text)
{
	static const struct {
		char letter;
		const char *value;
	} rows[] = {{'R', "REPLACE X: replaced"}, {'P', "PREPEND X: put in front"}, {'I', "IGNORE"},
	    {'J', "REJECT no"}, {'S', "STRIP it"}, {'Q', "NONSENSE"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (span_find(text, rows[i].letter) >= 0)
			return span_of(rows[i].value);
	return (struct span){0};
}

static void
ask(struct content_checks *c, bool silent)
{
	enum check_class class;
	struct span text;
	size_t position = 0;

	while (content_checks_next(c, &position, &class, &text)) {
		struct span value = silent ? (struct span){0} : table(text);
		if (value.len > 0)
			content_checks_found(c, position - 1, value);
	}
	content_checks_settle(c);
}

static void
run(struct span bytes, size_t step, bool silent, struct buf *out)
{
	const struct content_checks_rules rules = {.classes = 15,
	    .field_limit = 200,
	    .line_limit = 64,
	    .body_limit = 500,
	    .mime = {.nesting = 5, .boundary = 40}};
	const struct content_checks_sink sink = {put, acted, complain, out};
	struct content_checks *c = content_checks_new(&rules, &sink);

	header_ends = 0;
	content_checks_watch_header(c, &(struct content_checks_header){field, header_end});

	buf_init(out, 64 << 20);
	while (bytes.len > 0) {
		struct span part = span_sub(bytes, 0, step);
		content_checks_put(c, part);
		if (content_checks_asks(c))
			ask(c, silent);
		bytes = span_from(bytes, part.len);
	}
	content_checks_finish(c);
	if (content_checks_asks(c))
		ask(c, silent);
	if (content_checks_header_octets(c) > out->len || out->full)
		abort();
	content_checks_free(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces, silent;

	run(span_make(data, size), size + 1, false, &whole);
	run(span_make(data, size), 1, false, &pieces);
	refused = false;
	run(span_make(data, size), 7, true, &silent);
	if (!span_equal(buf_span(&whole), buf_span(&pieces)))
		abort();
	if (!refused && !span_equal(buf_span(&silent), span_make(data, size)))
		abort();
	buf_free(&whole);
	buf_free(&pieces);
	buf_free(&silent);
	return 0;
}
