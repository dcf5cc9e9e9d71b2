#include "services/lookup/guard.h"

#include "common/base/text.h"
#include "common/conf/back_end.h"
#include "common/conf/table_settings.h"

static bool
contains(struct span text, const char *needle)
{
	return span_find_span(text, span_of(needle)) >= 0;
}

/* Ways to write the path of a file that do not look like it. Patterns in the configuration itself may, too. */
static bool
is_disguised(struct span tables, struct span path)
{
	static const char *const ways[] = {"//", "/./", "/../"};

	if (span_find_span(tables, span_from(path, (size_t)span_find_last(path, '/') + 1)) < 0)
		return false;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (contains(tables, ways[i]))
			return true;
	return false;
}

/* The file itself, its text or what is built of it, in a table of whatever kind: path, or path and a dot. */
static bool
names(struct span tables, struct span path)
{
	struct span name = path, rest = tables;
	ptrdiff_t at;

	/* "hash:etc/x" is /etc/x as well. */
	while (name.len > 0 && name.ptr[0] == '/')
		name = span_from(name, 1);
	while (name.len > 0 && (at = span_find_span(rest, name)) >= 0) {
		char next;

		rest = span_from(rest, (size_t)at + name.len);
		next = rest.len > 0 ? rest.ptr[0] : '\0';
		if (!ascii_is_alnum(next) && next != '_' && next != '-' && next != '/')
			return true;
	}
	return false;
}

/* "proxy:hash:/etc/x": behind the types. What has no slash is no file ("static:x"). */
static struct span
path_of(struct span table)
{
	ptrdiff_t slash = span_find(table, '/'),
		  colon = span_find_last(span_sub(table, 0, slash < 0 ? 0 : (size_t)slash), ':');

	return slash < 0 ? span_make(NULL, 0) : span_from(table, (size_t)(colon + 1));
}

/* pgsql:users with its parameters in the configuration: whatever else they are given to. */
static bool
names_settings(struct span tables, const char *passwords)
{
	struct span rest = span_of(passwords), name, other;

	while (conf_next_prefix_table(&rest, &name)) {
		struct span asked = tables;

		while (conf_next_prefix_table(&asked, &other))
			if (span_equal(name, other))
				return true;
	}
	return false;
}

/* It may be a list, and name tables that are made of others. */
static bool
names_passwords(struct span tables, const struct conf_values *v)
{
	struct span rest = span_of(v->smtpd_sasl_path), word;

	if (v->smtpd_sasl_type != CONF_SMTPD_SASL_TYPE_TABLE)
		return false;
	while (span_next_word(&rest, ", \t\r\n{}", &word)) {
		struct span path = path_of(word);

		if (path.len > 0 && (names(tables, path) || is_disguised(tables, path)))
			return true;
	}
	return names_settings(tables, v->smtpd_sasl_path);
}

bool
guard_refuses(const struct conf *conf, struct span tables)
{
	bool refused;

	if (!conf_authenticates_by(conf, CONF_SMTPD_SASL_TYPE_TABLE))
		return false;
	/* Its own descriptors: one of them may be the file. */
	refused = contains(tables, "proc/") || names_passwords(tables, conf->values);
	for (size_t i = 0; i < conf->section_count; i++)
		refused = refused || names_passwords(tables, conf->sections[i].values);
	return refused;
}
