#include "common/map/tablefile.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/map/lines.h"
#include "common/map/settings.h"

enum { FILE_OCTETS_MAX = 1 << 20, PARAMETERS_MAX = 1000 };

struct parameter {
	char *name, *value;
	unsigned line;
	bool used;
};

struct tablefile {
	const struct map_input *in;
	struct parameter *list;
	size_t count;
	char *prefix; /* of the names in postern.conf; "": a file has them */
};

static void
add(struct tablefile *t, struct span name, struct span value, unsigned line)
{
	if (t->count == PARAMETERS_MAX) {
		t->in->complain(tablefile_place(t), line, "too many parameters", t->in->context);
		return;
	}
	t->list = mem_resize(t->list, (t->count + 1) * sizeof(t->list[0]));
	t->list[t->count++] = (struct parameter){mem_strndup(name.ptr, name.len),
	    mem_strndup(value.len > 0 ? value.ptr : "", value.len), line, false};
}

static void
add_line(struct tablefile *t, struct span line, unsigned number)
{
	ptrdiff_t equals = span_find(line, '=');
	struct span name = span_trim(span_sub(line, 0, equals < 0 ? 0 : (size_t)equals));
	struct span value = span_trim(span_from(line, (size_t)(equals + 1)));

	if (name.len == 0 || memchr(line.ptr, '\0', line.len) != NULL)
		t->in->complain(t->in->path, number, "need \"name = value\"", t->in->context);
	else
		add(t, name, value, number);
}

static int
read_file(struct tablefile *t, struct error *err)
{
	struct lines lines;
	struct span line;
	size_t len;

	if (t->in->path[0] != '/')
		return error_set(err,
		    "%s: the parameters of this table are read from a file: need its absolute path",
		    t->in->path);
	char *bytes = lines_load(t->in->path, FILE_OCTETS_MAX, &len, err);
	if (bytes == NULL)
		return -1;
	lines_begin(&lines, span_make(bytes, len));
	while (lines_next(&lines, &line))
		add_line(t, line, lines.first);
	lines_end(&lines);
	explicit_bzero(bytes, len);
	free(bytes);
	return 0;
}

static void
add_setting(const char *name, const char *value, void *context)
{
	add(context, span_of(name), span_of(value), 0);
}

static int
read_settings(struct tablefile *t, struct error *err)
{
	map_settings_each(span_of(t->in->name), add_setting, t);
	return t->count > 0
		   ? 0
		   : error_set(err,
			 "%s: need the absolute path of a file with the parameters of this table, or "
			 "parameters %s_... in postern.conf",
			 t->in->name, t->in->name);
}

struct tablefile *
tablefile_open(const struct map_input *in, struct error *err)
{
	struct tablefile *t = mem_alloc(sizeof(*t));

	t->in = in;
	if (in->path != NULL) {
		t->prefix = mem_strdup("");
	} else {
		t->prefix = mem_alloc(strlen(in->name) + 2);
		(void)stpcpy(stpcpy(t->prefix, in->name), "_");
	}
	if ((in->path != NULL ? read_file(t, err) : read_settings(t, err)) < 0)
		tablefile_close(&t);
	return t;
}

const char *
tablefile_place(const struct tablefile *t)
{
	return t->in->path != NULL ? t->in->path : "postern.conf";
}

void
tablefile_close(struct tablefile **t)
{
	if (*t == NULL)
		return;
	for (size_t i = 0; i < (*t)->count; i++) {
		explicit_bzero((*t)->list[i].value, strlen((*t)->list[i].value));
		free((*t)->list[i].name);
		free((*t)->list[i].value);
	}
	free((*t)->list);
	free((*t)->prefix);
	free(*t);
	*t = NULL;
}

static struct parameter *
find(struct tablefile *t, const char *name)
{
	struct parameter *found = NULL;

	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->list[i].name, name) != 0)
			continue;
		found = &t->list[i];
		found->used = true;
	}
	return found;
}

const char *
tablefile_text(struct tablefile *t, const char *name, const char *fallback)
{
	const struct parameter *p = find(t, name);
	return p != NULL ? p->value : fallback;
}

uint64_t
tablefile_mark(const struct tablefile *t)
{
	uint64_t mark[3] = {t->count};

	for (size_t i = 0; i < t->count; i++) {
		mark[1] = hash_bytes(t->list[i].name, strlen(t->list[i].name));
		mark[2] = hash_bytes(t->list[i].value, strlen(t->list[i].value));
		mark[0] = hash_bytes(mark, sizeof(mark));
	}
	return mark[0];
}

void
tablefile_complain(struct tablefile *t, const char *name, const char *text)
{
	const struct parameter *p = find(t, name);
	char line[300];

	(void)snprintf(line, sizeof(line), "%s%s: %s", t->prefix, name, text);
	t->in->complain(tablefile_place(t), p != NULL ? p->line : 0, line, t->in->context);
}

uint64_t
tablefile_number(struct tablefile *t, const char *name, uint64_t fallback, uint64_t min, uint64_t max)
{
	const struct parameter *p = find(t, name);
	char text[100];
	uint64_t number = fallback;

	if (p != NULL && number_parse(span_of(p->value), min, max, &number) < 0) {
		(void)snprintf(text, sizeof(text), "need a number from %llu to %llu", (unsigned long long)min,
		    (unsigned long long)max);
		tablefile_complain(t, name, text);
	}
	return number;
}

bool
tablefile_bool(struct tablefile *t, const char *name, bool fallback)
{
	const struct parameter *p = find(t, name);

	if (p == NULL)
		return fallback;
	struct span value = span_of(p->value);
	if (span_is_nocase(value, "yes"))
		return true;
	if (!span_is_nocase(value, "no"))
		tablefile_complain(t, name, "need yes or no");
	return false;
}

int
tablefile_need(struct tablefile *t, const char *name, const char **value, struct error *err)
{
	*value = tablefile_text(t, name, "");
	return (*value)[0] != '\0'
		   ? 0
		   : error_set(err, "%s: the parameter %s%s is missing", tablefile_place(t), t->prefix, name);
}

void
tablefile_finish(struct tablefile *t)
{
	char text[300];

	for (size_t i = 0; i < t->count; i++) {
		const struct parameter *p = &t->list[i];
		if (p->used)
			continue;
		(void)snprintf(text, sizeof(text), "unknown parameter %s%s", t->prefix, p->name);
		t->in->complain(tablefile_place(t), p->line, text, t->in->context);
	}
}
