/*
 * texthash: the text that postmap(1) would build a table from, read whole into memory. For small tables.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/map/entries.h"
#include "common/map/kinds.h"
#include "common/map/lines.h"

enum { ENTRIES_MAX = 4000000 };

struct entry {
	unsigned line;
	bool broken; /* its value is not there: temporary, for nobody becomes unknown by that */
	size_t len;
	char value[];
};

static void
add_line(struct table *t, const struct map_input *in, struct span line, unsigned number)
{
	struct span key, value;
	char folded[MAP_KEY_MAX], text[MAP_KEY_MAX + 100];

	const char *wrong = map_line_wrong(line, in->octets);
	if (wrong == NULL)
		wrong = entry_parse_map(line, &key, &value);
	if (wrong != NULL)
		in->complain(in->path, number, wrong, in->context);
	if (wrong == entry_value_too_long)
		value.len = 0;
	else if (wrong != NULL)
		return;
	if (!map_key_fold(key, in->octets, folded, &key)) {
		in->complain(in->path, number, entry_key_too_long, in->context);
		return;
	}
	if (key.ptr[key.len - 1] == ':')
		in->complain(in->path, number, "record is in \"key: value\" format; is this an alias file?",
		    in->context);
	if (table_get(t, key) != NULL) {
		(void)snprintf(text, sizeof(text), "duplicate entry: \"%.*s\"", SPAN_ARG(key));
		in->complain(in->path, number, text, in->context);
		return;
	}
	struct entry *e = mem_alloc(sizeof(*e) + value.len);
	e->line = number;
	e->broken = wrong != NULL;
	e->len = value.len;
	memcpy(e->value, value.ptr, value.len);
	if (table_put(t, key, e) < 0)
		free(e);
}

static void *
texthash_open(const struct map_input *in, struct error *err)
{
	size_t len;
	struct lines lines;
	struct span line;

	char *bytes = lines_load(in->path, LINES_FILE_MAX, &len, err);
	if (bytes == NULL)
		return NULL;
	struct table *t = table_new(ENTRIES_MAX, free);
	lines_begin(&lines, span_make(bytes, len));
	while (lines_next(&lines, &line))
		add_line(t, in, line, lines.first);
	lines_end(&lines);
	free(bytes);
	return t;
}

static enum lookup_status
texthash_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	const struct entry *e = table_get(table, key);
	if (e == NULL)
		return LOOKUP_NOT_FOUND;
	if (e->broken) {
		error_set(err, "line %u: %s", e->line, entry_value_too_long);
		return LOOKUP_TEMPORARY;
	}
	(void)buf_append(hit->value, e->value, e->len);
	hit->line = e->line;
	return LOOKUP_FOUND;
}

static void
texthash_close(void *table)
{
	struct table *t = table;
	table_free(&t);
}

static int
texthash_each(void *table, map_visit *visit, void *context, struct error *err)
{
	size_t position = 0;
	struct span key;
	const struct entry *e;

	(void)err;
	while ((e = table_next(table, &position, &key)) != NULL)
		if (!e->broken && !visit(key, span_make(e->value, e->len), context))
			break;
	return 0;
}

const struct map_kind map_kind_texthash = {
    .name = "texthash",
    .suffix = "",
    .text = true,
    .open = texthash_open,
    .lookup = texthash_lookup,
    .close = texthash_close,
    .each = texthash_each,
};
