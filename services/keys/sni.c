#include "services/keys/sni.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/entries.h"
#include "common/map/kinds.h"
#include "common/map/lines.h"
#include "common/map/lmdbfile.h"

static const struct {
	const char *name, *suffix; /* suffix NULL: it is no file */
	const struct map_kind *kind; /* that reads it; NULL: there are words for it below */
	bool built;
} usable[] = {
    {"hash", ".db", &map_kind_hash, true},
    {"btree", ".db", &map_kind_btree, true},
    {"cdb", ".cdb", &map_kind_cdb, true},
    {"lmdb", ".lmdb", NULL, true},
    {"texthash", "", NULL, false},
    {"inline", NULL, &map_kind_inline, false},
};

int
sni_table_parse(struct span word, struct sni_table *table, struct error *err)
{
	ptrdiff_t colon = span_find(word, ':');
	struct span type = span_sub(word, 0, colon > 0 ? (size_t)colon : 0);
	const char *suffix = NULL;
	bool known = false;

	*table = (struct sni_table){.kind = NULL};
	if (!span_copy(word, table->text, sizeof(table->text)) || colon <= 0)
		return error_set(err, "%.200s: no table \"type:name\"", table->text);
	table->name = table->text + colon + 1;
	for (size_t i = 0; i < sizeof(usable) / sizeof(usable[0]); i++) {
		if (span_is(type, usable[i].name)) {
			known = true;
			suffix = usable[i].suffix;
			table->kind = usable[i].kind;
			table->built = usable[i].built;
		}
	}
	if (!known)
		return error_set(err,
		    "%.200s: tables of certificates are of the kinds hash, btree, cdb, lmdb (made by "
		    "postern map -F), texthash or inline",
		    table->text);
	if (suffix != NULL && snprintf(table->path, sizeof(table->path), "%s%s", table->name, suffix) >=
				  (int)sizeof(table->path))
		return error_set(err, "%.200s: the name is too long", table->text);
	if (suffix != NULL && table->path[0] != '/')
		return error_set(err, "%.200s: an absolute path is needed", table->text);
	return 0;
}

/* ---- walking ---- */

struct walk {
	sni_visit *visit;
	void *context;
	struct error *err;
	size_t count;
	int result;
};

static bool
visit_entry(struct span key, struct span value, void *context)
{
	struct walk *w = context;

	if (w->count++ == SNI_NAMES_MAX)
		w->result = error_set(w->err, "more than %d names", SNI_NAMES_MAX);
	else if (key.len > SNI_NAME_LEN_MAX)
		w->result = error_set(w->err, "a name of %zu octets", key.len);
	else
		w->result = w->visit(key, value, w->context, w->err);
	return w->result == 0;
}

static int
walk_kind(const struct sni_table *table, int fd, struct walk *w, struct error *err)
{
	const struct map_input in = {.name = table->name,
	    .path = table->path,
	    .complain = map_complain_to_nobody,
	    .fd = fd >= 0 ? &fd : NULL};
	void *opened = table->kind->open(&in, err);
	int result;

	if (opened == NULL)
		return -1;
	result = table->kind->each(opened, visit_entry, w, err);
	table->kind->close(opened);
	return result < 0 ? -1 : w->result;
}

/* The text that postmap(1) would build a table from. */
static int
walk_text(const char *path, struct span text, struct walk *w, struct error *err)
{
	struct span line, key, value;
	struct lines lines;
	const char *wrong;

	lines_begin(&lines, text);
	while (w->result == 0 && lines_next(&lines, &line)) {
		wrong = entry_parse_map(line, &key, &value);
		if (wrong != NULL)
			w->result = error_set(err, "%s:%u: %s", path, lines.first, wrong);
		else
			visit_entry(key, value, w);
	}
	lines_end(&lines);
	return w->result;
}

static int
walk_text_file(const struct sni_table *table, int fd, struct walk *w, struct error *err)
{
	char *text = mem_alloc(SNI_TEXT_MAX + 1);
	ssize_t len = io_pread_all(fd, text, SNI_TEXT_MAX + 1, 0);
	int result;

	if (len < 0)
		result = error_errno(err, "read %s", table->path);
	else if (len > SNI_TEXT_MAX)
		result = error_set(err, "%s: longer than %d octets", table->path, SNI_TEXT_MAX);
	else
		result = walk_text(table->path, span_make(text, (size_t)len), w, err);
	free(text);
	return result;
}

int
sni_table_each(const struct sni_table *table, int fd, sni_visit *visit, void *context, struct error *err)
{
	struct walk w = {.visit = visit, .context = context, .err = err};

	if (table->kind)
		return walk_kind(table, fd, &w, err);
	if (!table->built)
		return walk_text_file(table, fd, &w, err);
	/* The library would open the file by its name. */
	return lmdbfile_each(fd, table->path, visit_entry, &w, err) < 0 ? -1 : w.result;
}
