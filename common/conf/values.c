#include "common/conf/values.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/conf/expand.h"
#include "common/conf/list_file.h"
#include "common/conf/report.h"

struct builder {
	struct source *source;
	const struct scope *scope;
	struct arena *arena;
	bool stressed;
	struct buf out;
};

static struct expander
expander_for(const struct builder *b)
{
	return (struct expander){.global = &b->source->scopes[0], .own = b->scope, .stressed = b->stressed};
}

static void
complain(const struct builder *b, unsigned line, struct span name, const char *text)
{
	conf_report_add(
	    b->source->report, setting_is_vital(name) ? 'f' : 'e', b->source->file, line, "%s", text);
}

/* Without its tables a host refuses for good who has an address there. */
static bool
is_table(struct span name)
{
	static const char ending[] = "_maps";
	size_t len = sizeof(ending) - 1;

	return name.len > len && memcmp(name.ptr + name.len - len, ending, len) == 0;
}

/* Expands name into b->out. Returns as expand_name(); mistakes are reported. */
static int
expand(struct builder *b, struct span name, unsigned *line)
{
	struct expander x = expander_for(b);
	struct error err;
	int found;

	buf_clear(&b->out);
	found = expand_name(&x, name, &b->out, &err);
	*line = x.line;
	if (found < 0) {
		error_while(&err, "%.*s", SPAN_ARG(name));
		/* A default follows another parameter, of which that was said. */
		if (x.line > 0 && is_table(name))
			conf_report_add(b->source->report, 'f', b->source->file, x.line, "%s", err.text);
		else if (x.line > 0)
			complain(b, x.line, name, err.text);
		return -1;
	}
	if (x.undefined.len > 0 && x.line > 0) {
		error_set(&err, "%.*s: nobody defines $%.*s", SPAN_ARG(name), SPAN_ARG(x.undefined));
		complain(b, x.line, name, err.text);
	}
	return found;
}

/* The default, as if the parameter were not set. Rows' own fallbacks are tested to be good. */
static const char *
fallback_text(struct builder *b, const struct param *p)
{
	static const struct scope empty = {.section = ""};
	struct expander x = {.global = &empty, .own = &empty, .stressed = b->stressed};
	struct error err;

	buf_clear(&b->out);
	if (expand_name(&x, span_of(p->name), &b->out, &err) < 0)
		panic("the default of %s: %s", p->name, err.text);
	return arena_copy(b->arena, buf_span(&b->out));
}

/* A host without a name would greet and sign with nothing, and mail without a transport goes nowhere. */
static bool
must_not_be_empty(struct span name)
{
	static const char *const names[] = {"myhostname", "mydomain", "myorigin", "queue_directory",
	    "data_directory", "daemon_directory", "mail_spool_directory", "syslog_name", "smtpd_banner",
	    "smtp_helo_name", "lmtp_lhlo_name", "default_transport", "local_transport", "relay_transport",
	    "virtual_transport", "default_privs", "double_bounce_sender", "default_database_type",
	    "bounce_notice_recipient", "2bounce_notice_recipient", "delay_notice_recipient",
	    "error_notice_recipient"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is(name, names[i]))
			return true;
	return false;
}

/*
 * Files within lists are replaced by what is in them. A list that cannot be read trusts nobody; the start stops, except where an
 * ordinary user's program reads a configuration that is not its own.
 */
static void
include_files(struct builder *b, const struct param *p, unsigned line)
{
	const char *strictest = list_file_strictest(span_of(p->name));
	struct error err;
	struct buf list;
	bool foreign;

	if (!strictest || !b->source->on_disk || !list_file_is_named(buf_span(&b->out)))
		return;
	buf_init(&list, b->out.max);
	if (list_file_include(buf_span(&b->out), &list, &err) < 0) {
		foreign = errno == EACCES && geteuid() != 0;
		buf_clear(&list);
		buf_append_text(&list, strictest);
		/* A default follows another list, of which that was said. */
		if (line > 0)
			conf_report_add(b->source->report, foreign ? 'w' : 'f', b->source->file, line,
			    "%s: %s", p->name, err.text);
	}
	/* No word in any file is not the same as no list: that one lets all mechanisms pass. */
	if (list.len == 0)
		buf_append_text(&list, strictest);
	buf_clear(&b->out);
	buf_append_span(&b->out, buf_span(&list));
	buf_free(&list);
}

static const char *
row_text(struct builder *b, const struct param *p, struct conf_values *values)
{
	struct span name = span_of(p->name);
	struct error err;
	const char *text;
	unsigned line;
	int found;

	found = expand(b, name, &line);
	if (found >= 0)
		include_files(b, p, line);
	if (found < 0) {
		text = fallback_text(b, p);
	} else if (b->out.len == 0 && must_not_be_empty(name)) {
		/* A default follows another parameter, of which that is said. */
		error_set(&err, "%s must not be empty", p->name);
		if (line > 0)
			complain(b, line, name, err.text);
		text = fallback_text(b, p);
	} else if (strcmp(buf_text(&b->out), p->fallback) == 0) {
		text = p->fallback;
	} else {
		text = arena_copy(b->arena, buf_span(&b->out));
	}
	if (!text)
		return NULL;
	if (param_parse(p, text, values, &err) == 0)
		return text;
	complain(b, line, name, err.text);
	text = fallback_text(b, p);
	if (text && param_parse(p, text, values, &err) < 0)
		panic("the default of %s: %s", p->name, err.text);
	return text;
}

/* One that nobody reads: what its value would mean is not asked. Whole families have room for the file's own names. */
static bool
is_unread(struct span name)
{
	const struct unsupported *u = unsupported_find(name);

	return u && !strchr(u->name, '*');
}

/* What has no row: names of the file's own, and <transport>_destination_... Sections inherit the global ones. */
static int
build_extras(struct builder *b, struct value_set *set)
{
	const struct scope *scopes[2] = {b->scope, &b->source->scopes[0]};
	size_t max = scopes[0]->count + scopes[1]->count;

	set->extras = arena_alloc(b->arena, (max + 1) * sizeof(*set->extras));
	if (!set->extras)
		return -1;
	for (size_t n = 0; n < (scopes[0] == scopes[1] ? 1 : 2); n++) {
		for (size_t i = 0; i < scopes[n]->count; i++) {
			const struct setting *setting = &scopes[n]->settings[i];
			struct span name = span_of(setting->name);
			const struct param *p = param_of_transport(name);
			struct extra_value *extra = &set->extras[set->extra_count];
			struct error err;
			unsigned line;

			if (setting->name[0] == '!' || param_find(name) || is_unread(name) ||
			    (n == 1 && scope_find(b->scope, name)))
				continue;
			/* Expanded here although it may be nothing: only its users know, and they name it. */
			if (expand(b, name, &line) < 0)
				continue;
			extra->name = arena_copy(b->arena, name);
			extra->text = arena_copy(b->arena, buf_span(&b->out));
			if (!extra->name || !extra->text)
				return -1;
			if (p && param_parse(p, extra->text, NULL, &err) < 0) {
				conf_report_add(b->source->report, 'e', b->source->file, line,
				    "the value of %s is as bad as %s", extra->name, err.text);
				continue;
			}
			set->extra_count++;
		}
	}
	return 0;
}

struct value_set *
values_build(struct source *s, const struct scope *scope, bool stressed, struct arena *arena)
{
	struct builder b = {.source = s, .scope = scope, .arena = arena, .stressed = stressed};
	struct value_set *set = arena_alloc(arena, sizeof(*set));
	struct value_set *result = NULL;

	buf_init(&b.out, CONF_VALUE_MAX);
	if (!set || !(set->texts = arena_alloc(arena, param_count * sizeof(*set->texts))) ||
	    !(set->given = arena_alloc(arena, param_count * sizeof(*set->given))))
		goto out;
	for (size_t i = 0; i < param_count; i++) {
		set->given[i] = scope_find(scope, span_of(param_table[i].name)) != NULL;
		set->texts[i] = row_text(&b, &param_table[i], &set->values);
		if (!set->texts[i])
			goto out;
	}
	if (build_extras(&b, set) == 0)
		result = set;
out:
	buf_free(&b.out);
	return result;
}

const char *
conf_lookup(const struct conf_values *v, const char *name)
{
	const struct value_set *set = value_set_of(v);
	const struct param *p = param_find(span_of(name));

	if (p)
		return set->texts[p - param_table];
	for (size_t i = 0; i < set->extra_count; i++) {
		if (strcmp(set->extras[i].name, name) == 0)
			return set->extras[i].text;
	}
	p = param_of_transport(span_of(name));
	return p ? set->texts[p - param_table] : NULL;
}

int64_t
conf_lookup_number(const struct conf_values *v, const char *name)
{
	const struct param *p = param_find(span_of(name));
	const char *text = conf_lookup(v, name);
	struct conf_values parsed;
	struct error err;

	if (!p)
		p = param_of_transport(span_of(name));
	if (!p || !text || (p->type != PARAM_INT && p->type != PARAM_SIZE && p->type != PARAM_TIME) ||
	    param_parse(p, text, &parsed, &err) < 0)
		return -1;
	return *(const int64_t *)(const void *)((const char *)&parsed + p->offset);
}
