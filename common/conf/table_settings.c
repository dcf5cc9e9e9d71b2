#include "common/conf/table_settings.h"

#include <string.h>

#include "common/base/text.h"
#include "common/conf/values.h"

static const char *const kinds[] = {"ldap", "mysql", "pgsql", "sqlite"};

bool
conf_table_is_prefix(struct span type, struct span name)
{
	if (name.len == 0 || name.ptr[0] == '/' || name.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (span_is(type, kinds[i]))
			return true;
	return false;
}

static struct span
type_before(struct span text, size_t colon)
{
	size_t start = colon;

	while (start > 0 && ascii_is_alnum(text.ptr[start - 1]))
		start--;
	return span_sub(text, start, colon - start);
}

bool
conf_next_prefix_table(struct span *text, struct span *name)
{
	for (size_t i = 0; i < text->len; i++) {
		struct span rest = span_from(*text, i + 1);
		size_t len = 0;

		if (text->ptr[i] != ':')
			continue;
		while (len < rest.len && strchr(", \t\r\n{}\"", rest.ptr[len]) == NULL)
			len++;
		*name = span_sub(rest, 0, len);
		if (!conf_table_is_prefix(type_before(*text, i), *name))
			continue;
		*text = span_from(rest, len);
		return true;
	}
	return false;
}

static void
look_in_text(struct span text, struct span setting, struct span *longest)
{
	struct span name;

	while (conf_next_prefix_table(&text, &name))
		if (name.len > longest->len && name.len < setting.len && setting.ptr[name.len] == '_' &&
		    memcmp(name.ptr, setting.ptr, name.len) == 0)
			*longest = name;
}

static void
look_in_values(const struct conf_values *v, struct span setting, struct span *longest)
{
	const struct value_set *set = value_set_of(v);

	for (size_t i = 0; i < param_count; i++)
		look_in_text(span_of(set->texts[i]), setting, longest);
	for (size_t i = 0; i < set->extra_count; i++)
		look_in_text(span_of(set->extras[i].text), setting, longest);
}

struct span
conf_table_of_setting(const struct conf *c, struct span setting)
{
	struct span longest = {0};

	look_in_values(c->values, setting, &longest);
	for (size_t i = 0; i < c->section_count; i++)
		look_in_values(c->sections[i].values, setting, &longest);
	return longest;
}

void
conf_each_table_setting(
    const struct conf *c, struct span table, conf_visit_table_setting *visit, void *context)
{
	const struct value_set *set = value_set_of(c->values);

	for (size_t i = 0; i < set->extra_count; i++) {
		struct span name = span_of(set->extras[i].name);

		/* "people_all_dbname" may be of a table "people_all". */
		if (name.len > table.len + 1 && name.ptr[table.len] == '_' &&
		    memcmp(name.ptr, table.ptr, table.len) == 0 &&
		    conf_table_of_setting(c, name).len <= table.len)
			visit(name.ptr + table.len + 1, set->extras[i].text, context);
	}
}

bool
conf_is_secret_of_table(struct span setting)
{
	return !param_find(setting) && !param_of_transport(setting) &&
	       (span_ends_nocase(setting, "_bind_pw") || span_ends_nocase(setting, "_password"));
}
