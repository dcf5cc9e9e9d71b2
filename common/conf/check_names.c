/*
 * Names in the file that mean nothing, or not yet.
 */
#include <string.h>
#include <sys/stat.h>

#include "common/conf/expand.h"
#include "common/conf/report.h"
#include "common/conf/table_settings.h"
#include "common/conf/values.h"

/* One of smtpd_restriction_classes, in any scope. */
static bool
is_restriction_class(struct span name, const struct value_set *global)
{
	struct span rest = span_of(global->values.smtpd_restriction_classes), word;

	while (conf_list_next(&rest, &word)) {
		if (span_equal(word, name))
			return true;
	}
	return false;
}

bool
unsupported_is_harmless(const struct unsupported *u, struct span value)
{
	struct span rest = span_of(u->harmless ? u->harmless : ""), word;

	value = span_trim(value);
	if (u->kind == UNSUPPORTED_IGNORED || value.len == 0)
		return true;
	while (span_next_word(&rest, " ", &word)) {
		if (span_equal_nocase(word, value))
			return true;
	}
	return false;
}

/* "$smtpd_milters" is what that says, nothing if it is not set. */
static bool
is_harmless(const struct source *s, const struct scope *scope, const struct setting *setting,
    const struct unsupported *u)
{
	struct expander x = {.global = &s->scopes[0], .own = scope};
	struct span value = span_of(setting->text);
	struct error err;
	struct buf out;
	bool harmless;

	buf_init(&out, CONF_VALUE_MAX);
	if (!setting->literal && expand_value(&x, span_of(setting->name), value, &out, &err) == 0)
		value = buf_span(&out);
	harmless = unsupported_is_harmless(u, value);
	buf_free(&out);
	return harmless;
}

static void
check_unsupported(
    struct source *s, const struct scope *scope, const struct setting *setting, const struct unsupported *u)
{
	bool unsafe = u->kind == UNSUPPORTED_UNSAFE;

	if (is_harmless(s, scope, setting, u))
		return;
	conf_report_add(s->report, unsafe ? 'f' : 'e', s->file, setting->line,
	    "%s: Postern does not support this parameter of Postfix%s%s%s", setting->name,
	    unsafe ? ", and would be less safe than was meant" : "", u->advice ? ": " : "",
	    u->advice ? u->advice : "");
}

static void
check_unknown(struct source *s, const struct setting *setting)
{
	const char *nearest = param_nearest(span_of(setting->name));
	const struct param *listeners = param_of_listeners(span_of(setting->name));
	bool vital =
	    setting_is_vital(span_of(setting->name)) || (nearest && setting_is_vital(span_of(nearest)));

	/* A restriction list under a wrong name would be no list at all. */
	if (listeners)
		conf_report_add(s->report, 'e', s->file, setting->line,
		    "nothing uses %s: a section would, with %s = $%s", setting->name, listeners->name,
		    setting->name);
	else if (nearest)
		conf_report_add(s->report, vital ? 'f' : 'e', s->file, setting->line,
		    "unknown parameter %s: %s was probably meant", setting->name, nearest);
	else
		conf_report_add(s->report, vital ? 'f' : 'e', s->file, setting->line, "unknown parameter %s",
		    setting->name);
}

/* "people_bind_pw" of a table ldap:people. A table has the global ones: in a section it would mean nothing. */
static bool
is_of_table(struct source *s, const struct scope *scope, const struct setting *setting, const struct conf *c)
{
	struct span name = span_of(setting->name), table;
	struct stat st;

	if (scope != &s->scopes[0])
		return false;
	table = conf_table_of_setting(c, name);
	if (table.len > 0 && conf_is_secret_of_table(name) && s->on_disk && setting->text[0] != '\0' &&
	    stat(s->file, &st) == 0 && (st.st_mode & S_IROTH))
		conf_report_add(s->report, 'w', s->file, setting->line,
		    "%s: everybody on this host may read this password: the parameters of %.*s may stand in "
		    "a "
		    "file of their own",
		    setting->name, SPAN_ARG(table));
	return table.len > 0;
}

void
values_check_names(struct source *s, const struct conf *c)
{
	const struct value_set *global = value_set_of(c->values);

	for (size_t i = 0; i < s->scope_count; i++) {
		struct scope *scope = &s->scopes[i];

		for (size_t k = 0; k < scope->count; k++) {
			const struct setting *setting = &scope->settings[k];
			struct span name = span_of(setting->name);
			const struct unsupported *u;

			if (param_find(name) || param_of_transport(name) ||
			    is_restriction_class(name, global) || is_of_table(s, scope, setting, c))
				continue;
			u = unsupported_find(name);
			if (u && !(strchr(u->name, '*') && param_nearest(name)))
				check_unsupported(s, scope, setting, u);
			else if (!setting->used)
				check_unknown(s, setting);
		}
		if (i > 0 && (!scope->listen || span_trim(span_of(scope->listen)).len == 0))
			conf_report_add(s->report, 'e', s->file, scope->line,
			    "section [%s] does not say where to listen", scope->section);
	}
}
