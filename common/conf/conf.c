#include "common/conf/conf.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/conf/expand.h"
#include "common/conf/report.h"
#include "common/conf/values.h"

/* All values of one configuration: some 300 texts for each section, twice. */
enum { ARENA_MAX = 256 << 20 };

struct whole_conf {
	struct conf conf; /* first */
	_Atomic unsigned references;
	struct arena *arena;
};

struct conf_builder {
	struct source *source;
	struct conf_report *report;
};

struct conf *
conf_ref(const struct conf *c)
{
	struct whole_conf *whole = (struct whole_conf *)(uintptr_t)c;

	atomic_fetch_add(&whole->references, 1);
	return &whole->conf;
}

void
conf_unref(struct conf **c)
{
	struct whole_conf *whole = (struct whole_conf *)(void *)*c;
	struct arena *arena;

	*c = NULL;
	if (!whole || atomic_fetch_sub(&whole->references, 1) > 1)
		return;
	arena = whole->arena;
	free(whole);
	arena_free(&arena);
}

const struct conf_section *
conf_section_find(const struct conf *c, struct span name)
{
	for (size_t i = 0; i < c->section_count; i++) {
		if (span_is(name, c->sections[i].name))
			return &c->sections[i];
	}
	return NULL;
}

/* Without any section in the file: port 25 of inet_interfaces. */
static const char *
listen_by_default(struct arena *arena, const char *inet_interfaces)
{
	struct span rest = span_of(inet_interfaces), word;
	const char *text;
	struct buf out;

	if (span_is_nocase(span_trim(rest), "all"))
		return ":25";
	if (span_is_nocase(span_trim(rest), "loopback-only"))
		return "127.0.0.1:25, [::1]:25";
	buf_init(&out, CONF_VALUE_MAX * 2);
	while (conf_list_next(&rest, &word)) {
		bool bare_ipv6 = span_find(word, ':') >= 0 && word.ptr[0] != '[';

		buf_printf(
		    &out, bare_ipv6 ? "%s[%.*s]:25" : "%s%.*s:25", out.len > 0 ? ", " : "", SPAN_ARG(word));
	}
	text = arena_copy(arena, buf_span(&out));
	buf_free(&out);
	return text;
}

/* A listener whose address is not understood is never left out in silence. */
static const char *
expand_listen(struct source *s, struct scope *scope, struct arena *arena)
{
	struct expander x = {.global = &s->scopes[0], .own = scope};
	const char *text = NULL;
	struct error err;
	struct buf out;

	buf_init(&out, CONF_VALUE_MAX);
	if (expand_value(&x, SPAN_LIT("listen"), span_of(scope->listen), &out, &err) < 0)
		conf_report_add(
		    s->report, 'f', s->file, scope->line, "[%s] listen: %s", scope->section, err.text);
	else if (x.undefined.len > 0)
		conf_report_add(s->report, 'f', s->file, scope->line, "[%s] listen: nobody defines $%.*s",
		    scope->section, SPAN_ARG(x.undefined));
	text = arena_copy(arena, buf_span(&out));
	buf_free(&out);
	return text;
}

static int
build_section(struct source *s, struct scope *scope, struct arena *arena, struct conf_section *section)
{
	struct value_set *set = values_build(s, scope, false, arena);
	struct value_set *stressed = set ? values_build(s, scope, true, arena) : NULL;

	if (!stressed)
		return -1;
	values_check_safety(s, scope, set);
	section->name = arena_copy(arena, span_of(scope->section));
	section->listen = expand_listen(s, scope, arena);
	section->values = &set->values;
	section->stressed = &stressed->values;
	return section->name && section->listen ? 0 : -1;
}

/* Fills the configuration that whole is to be. */
static int
build_all(struct source *s, struct whole_conf *whole)
{
	size_t in_file = s->scope_count - 1, count = in_file > 0 ? in_file : 1;
	struct conf_section *sections = arena_alloc(whole->arena, count * sizeof(*sections));
	struct conf_section global;

	if (!sections || build_section(s, &s->scopes[0], whole->arena, &global) < 0)
		return -1;
	for (size_t i = 0; i < in_file; i++) {
		if (build_section(s, &s->scopes[i + 1], whole->arena, &sections[i]) < 0)
			return -1;
	}
	if (in_file == 0) {
		sections[0] = global;
		sections[0].name = "smtp";
		sections[0].listen = listen_by_default(whole->arena, global.values->inet_interfaces);
		if (!sections[0].listen)
			return -1;
	}
	whole->conf.values = global.values;
	whole->conf.stressed = global.stressed;
	whole->conf.sections = sections;
	whole->conf.section_count = count;
	values_check_names(s, &whole->conf);
	values_check_sections(s);
	return 0;
}

static struct conf *
conf_build(struct source *s, uint64_t generation, struct error *err)
{
	struct whole_conf *whole = mem_alloc(sizeof(*whole));

	whole->arena = arena_new(ARENA_MAX);
	whole->references = 1;
	whole->conf.generation = generation;
	if (build_all(s, whole) < 0) {
		struct conf *c = &whole->conf;

		conf_unref(&c);
		error_set(err, "%s: all values together are too large", s->file);
		return NULL;
	}
	return &whole->conf;
}

/* The first complaint of that weight, as one line. */
static const struct conf_complaint *
first_complaint(const struct conf_report *report, char severity)
{
	const struct conf_complaint *c;

	for (size_t i = 0; (c = conf_report_at(report, i)) != NULL; i++) {
		if (c->severity == severity)
			return c;
	}
	return NULL;
}

static struct conf *
conf_of_text(const char *file, bool on_disk, struct span text, char stop_at, struct conf_report *report,
    struct error *err)
{
	struct source *s = source_new(file, report);
	struct conf *c;
	const struct conf_complaint *bad;

	s->on_disk = on_disk;
	source_read(s, text);
	c = conf_build(s, 1, err);
	source_free(&s);
	bad = c && stop_at && conf_report_count(report, stop_at) > 0 ? first_complaint(report, 'f') : NULL;
	if (c && stop_at && !bad && conf_report_count(report, stop_at) > 0)
		bad = first_complaint(report, stop_at);
	if (bad) {
		conf_unref(&c);
		if (bad->line > 0)
			error_set(err, "%s:%u: %s", bad->file, bad->line, bad->text);
		else
			error_set(err, "%s: %s", bad->file, bad->text);
	}
	return c;
}

/* stop_at: '\0' for a configuration with whatever complaints. */
static struct conf *
load(const char *confdir, char stop_at, struct conf_report *report, struct error *err)
{
	struct conf *c = NULL;
	struct buf text;
	char *path;

	if (asprintf(&path, "%s/postern.conf", confdir) < 0)
		panic("out of memory");
	buf_init(&text, SOURCE_FILE_MAX + 1);
	if (source_load(path, &text, err) == 0)
		c = conf_of_text(path, true, buf_span(&text), stop_at, report, err);
	buf_free(&text);
	free(path);
	return c;
}

struct conf *
conf_load(const char *confdir, struct conf_report *report, struct error *err)
{
	return load(confdir, 'f', report, err);
}

struct conf *
conf_load_anyway(const char *confdir, struct conf_report *report, struct error *err)
{
	return load(confdir, '\0', report, err);
}

struct conf *
conf_from_text(const char *text, struct error *err)
{
	struct conf_report *report = conf_report_new();
	struct conf *c = conf_of_text("text", false, span_of(text), 'e', report, err);

	conf_report_free(&report);
	return c;
}

struct conf_builder *
conf_builder_new(void)
{
	struct conf_builder *b = mem_alloc(sizeof(*b));

	b->report = conf_report_new();
	b->source = source_new("values from master", b->report);
	return b;
}

int
conf_builder_set(
    struct conf_builder *b, struct span section, struct span name, struct span value, struct error *err)
{
	struct scope *scope = source_scope(b->source, section);
	struct setting *setting;

	if (!scope || name.len > CONF_NAME_MAX + 1 || value.len > CONF_VALUE_MAX)
		return error_set(
		    err, "configuration: too many sections, or a name or value that is too long");
	if (section.len > 0 && span_is(name, "listen")) {
		scope->listen = arena_copy(b->source->arena, value);
		return scope->listen ? 0 : error_set(err, "configuration: too large");
	}
	setting = source_set(b->source, scope, name, value, 0);
	if (!setting)
		return error_set(err, "configuration: too many values");
	setting->literal = true;
	return 0;
}

struct conf *
conf_builder_finish(struct conf_builder **b, uint64_t generation, struct error *err)
{
	struct conf *c = conf_build((*b)->source, generation, err);

	/* master sent what it had parsed itself: its own judgement of it stands. */
	source_free(&(*b)->source);
	conf_report_free(&(*b)->report);
	free(*b);
	*b = NULL;
	return c;
}
