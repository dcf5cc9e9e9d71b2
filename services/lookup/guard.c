#include "services/lookup/guard.h"

#include <string.h>

#include "common/base/text.h"
#include "common/conf/back_end.h"

static bool
contains(struct span text, const char *needle)
{
	return span_find_span(text, span_of(needle)) >= 0;
}

/* Ways to write the path of a file that do not look like it. Patterns in the configuration itself may, too. */
static bool
is_disguised(struct span tables, const char *path)
{
	static const char *const ways[] = {"//", "/./", "/../"};
	const char *base = strrchr(path, '/') + 1;

	if (!contains(tables, base))
		return false;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (contains(tables, ways[i]))
			return true;
	return false;
}

/* The file itself, its text or what is built of it, in a table of whatever kind: path, or path and a dot. */
static bool
names(struct span tables, const char *path)
{
	struct span name = span_of(path), rest = tables;
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

static bool
names_passwords(struct span tables, const struct conf_values *v)
{
	const char *path = strchr(v->smtpd_sasl_path, ':');

	return v->smtpd_sasl_type == CONF_SMTPD_SASL_TYPE_TABLE && path && path[1] == '/' &&
	       (names(tables, path + 1) || is_disguised(tables, path + 1));
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
