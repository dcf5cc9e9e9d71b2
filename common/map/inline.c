/*
 * inline:{key=value, {key = value with, blanks}}: a table in the configuration itself.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/map/kinds.h"
#include "common/map/lines.h"

enum { ENTRIES_MAX = 10000 };

struct entry {
	size_t len;
	char value[];
};

static int
add_pair(struct table *t, struct span pair, bool octets, struct error *err)
{
	char folded[MAP_KEY_MAX];

	ptrdiff_t equals = span_find(pair, '=');
	if (equals < 0)
		return error_set(err,
		    "missing '=' after attribute name: \"%.*s\"; need \"inline:{name=value...}\"",
		    SPAN_ARG(pair));
	struct span key = span_trim(span_sub(pair, 0, (size_t)equals));
	struct span value = span_trim(span_from(pair, (size_t)equals + 1));
	if (key.len == 0 || key.len > MAP_KEY_MAX)
		return error_set(
		    err, "no attribute name in \"%.*s\"; need \"inline:{name=value...}\"", SPAN_ARG(pair));
	if ((!octets && !utf8_valid(pair)) || !map_key_fold(key, octets, folded, &key))
		return error_set(err, "not UTF-8, or too long: \"%.*s\"", SPAN_ARG(pair));
	struct entry *e = mem_alloc(sizeof(*e) + value.len);
	e->len = value.len;
	memcpy(e->value, value.ptr, value.len);
	if (table_put(t, key, e) < 0) {
		free(e);
		return error_set(err, "more than %d entries in an inline table", ENTRIES_MAX);
	}
	return 0;
}

/* Takes the next pair: a word, or what stands between braces. Returns 1, 0 at the end, -1 on error. */
static int
next_pair(struct span *rest, struct span *pair, struct error *err)
{
	lines_skip_separators(rest);
	if (rest->len == 0)
		return 0;
	if (rest->ptr[0] != '{')
		return lines_word(rest, pair);
	ptrdiff_t end = lines_brace_end(*rest);
	if (end < 0)
		return error_set(err, "missing '}' in \"%.*s\"", SPAN_ARG(*rest));
	*pair = span_sub(*rest, 1, (size_t)end - 1);
	*rest = span_from(*rest, (size_t)end + 1);
	if (rest->len > 0 && !lines_separator(rest->ptr[0]))
		return error_set(err, "syntax error after '}': \"%.*s\"; need \"inline:{name=value...}\"",
		    SPAN_ARG(*rest));
	return 1;
}

static void *
inline_open(const struct map_input *in, struct error *err)
{
	struct span text = span_trim(span_of(in->name)), pair;
	int got;

	ptrdiff_t end = text.len > 0 && text.ptr[0] == '{' ? lines_brace_end(text) : -1;
	if (end < 0 || (size_t)end + 1 != text.len) {
		error_set(err, "bad syntax: \"inline:%s\"; need \"inline:{name=value...}\"", in->name);
		return NULL;
	}
	text = span_sub(text, 1, (size_t)end - 1);
	struct table *t = table_new(ENTRIES_MAX, free);
	while ((got = next_pair(&text, &pair, err)) > 0)
		if ((got = add_pair(t, pair, in->octets, err)) < 0)
			break;
	if (got == 0 && table_count(t) == 0)
		got = error_set(err, "empty table: \"inline:%s\"; need \"inline:{name=value...}\"", in->name);
	if (got < 0)
		table_free(&t);
	return t;
}

static enum lookup_status
inline_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	(void)err;
	const struct entry *e = table_get(table, key);
	if (e == NULL)
		return LOOKUP_NOT_FOUND;
	(void)buf_append(hit->value, e->value, e->len);
	return LOOKUP_FOUND;
}

static void
inline_close(void *table)
{
	struct table *t = table;
	table_free(&t);
}

static int
inline_each(void *table, map_visit *visit, void *context, struct error *err)
{
	size_t position = 0;
	struct span key;
	const struct entry *e;

	(void)err;
	while ((e = table_next(table, &position, &key)) != NULL)
		if (!visit(key, span_make(e->value, e->len), context))
			break;
	return 0;
}

const struct map_kind map_kind_inline = {
    .name = "inline",
    .open = inline_open,
    .lookup = inline_lookup,
    .close = inline_close,
    .each = inline_each,
};
