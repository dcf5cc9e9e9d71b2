/*
 * check: the tables that parameters name. Each must be of a kind that is there, and open without a complaint.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/conf/schema.h"
#include "common/map/map.h"
#include "tools/check.h"

struct tables {
	const char *parameter;
	bool is_default;
	size_t bad;
};

static void
complain(const char *file, unsigned line, const char *text, void *context)
{
	struct tables *t = context;

	if (line > 0)
		printf("%s:%u: %s\n", file, line, text);
	else
		printf("%s: %s\n", file, text);
	t->bad++;
}

/* A default names a file that need not be there. */
static bool
is_missing_default(const struct tables *t, const char *table)
{
	const char *path = strchr(table, ':');
	struct stat st;

	return t->is_default && path && path[1] == '/' && stat(path + 1, &st) < 0;
}

static void
check_table(struct tables *t, struct span name)
{
	const struct map_options options = {.complain = complain, .context = t};
	char table[MAP_NAME_MAX];
	struct error err;
	struct map *map;
	size_t before = t->bad;

	if (!span_copy(name, table, sizeof(table)) || !map_type_known(name)) {
		printf("%s: %.*s is no table of a kind that is known here\n", t->parameter, SPAN_ARG(name));
		t->bad++;
		return;
	}
	if (is_missing_default(t, table))
		return;
	map = map_open(table, &options);
	/* Most mistakes were complained of with file and line. */
	if (map_check(map, &err) < 0 && t->bad == before) {
		printf("%s: %s\n", t->parameter, err.text);
		t->bad++;
	}
	map_close(&map);
}

/* A list of networks or domains may hold tables among other words; one of tables holds nothing else. */
static void
check_list(struct tables *t, const char *list, bool tables_only)
{
	struct span rest = span_of(list), word;

	while (conf_list_next(&rest, &word)) {
		if (!tables_only) {
			while (word.len > 0 && word.ptr[0] == '!')
				word = span_from(word, 1);
			/* An IPv6 address has colons too, in brackets or bare. */
			if (span_find(word, ':') <= 0 || !map_type_known(word))
				continue;
		}
		check_table(t, word);
	}
}

static bool
ends_with(const char *name, const char *ending)
{
	size_t len = strlen(name), ending_len = strlen(ending);

	return len >= ending_len && strcmp(name + len - ending_len, ending) == 0;
}

static void
check_values(struct tables *t, const struct conf_values *v, const struct conf_values *base)
{
	static const char *const mixed[] = {"mynetworks", "mydestination", "relay_domains",
	    "virtual_alias_domains", "virtual_mailbox_domains", "fast_flush_domains",
	    "smtpd_client_event_limit_exceptions"};

	for (size_t i = 0; i < param_count; i++) {
		const struct param *p = &param_table[i];
		const char *text = conf_lookup(v, p->name);
		bool tables_only = ends_with(p->name, "_maps") || ends_with(p->name, "_checks") ||
				   strcmp(p->name, "alias_database") == 0;
		bool list = ends_with(p->name, "_restrictions");

		for (size_t k = 0; k < sizeof(mixed) / sizeof(mixed[0]); k++)
			list = list || strcmp(p->name, mixed[k]) == 0;
		/* A section's values that are the global ones were looked at before. */
		if (p->type != PARAM_TEXT || !(tables_only || list) ||
		    (base && strcmp(text, conf_lookup(base, p->name)) == 0))
			continue;
		t->parameter = p->name;
		t->is_default = strcmp(text, p->fallback) == 0 || strchr(p->fallback, '$') != NULL;
		check_list(t, text, tables_only);
	}
}

size_t
check_tables(const struct conf *c)
{
	struct tables t = {.bad = 0};

	check_values(&t, c->values, NULL);
	for (size_t i = 0; i < c->section_count; i++)
		check_values(&t, c->sections[i].values, c->values);
	return t.bad;
}
