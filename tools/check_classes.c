#include "tools/check_classes.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/table.h"
#include "common/base/text.h"
#include "common/map/lines.h"
#include "common/map/map.h"
#include "services/lookup/engine/domains.h"
#include "tools/check.h"

/* In the order in which they count. */
enum { LOCAL, VIRTUAL_ALIAS, VIRTUAL_MAILBOX, RELAY, CLASSES };
enum { NAMES_MAX = 100000, TOLD_MAX = 20, DOMAIN_MAX = 255 };

struct classes {
	const char *parameter[CLASSES], *text[CLASSES];
	struct domains list[CLASSES];
	struct table *seen;
	check_classes_tell *tell;
	void *context;
	size_t names, told;
};

static bool
is_member(const struct classes *c, int class, struct span domain)
{
	struct map_found found;
	bool member;

	map_found_init(&found);
	member = domains_match(&c->list[class], domain, &found) == LOOKUP_FOUND;
	map_found_free(&found);
	return member;
}

static void
look_at_name(struct classes *c, struct span name)
{
	static char present;
	char domain[DOMAIN_MAX + 1], text[DOMAIN_MAX + 200];
	int first = LOCAL;

	if (name.len == 0 || span_find(name, '@') >= 0 || !span_copy(name, domain, sizeof(domain)))
		return;
	text_lower(domain, name.len);
	name = span_of(domain);
	if (table_get(c->seen, name) != NULL || c->names++ >= NAMES_MAX || c->told >= TOLD_MAX)
		return;
	(void)table_put(c->seen, name, &present);
	while (first < CLASSES && !is_member(c, first, name))
		first++;
	for (int other = first + 1; other < CLASSES; other++) {
		if ((first == LOCAL && other == RELAY) || !is_member(c, other, name))
			continue;
		c->told++;
		(void)snprintf(text, sizeof(text), "warning: %s is in %s, too, which alone counts", domain,
		    c->parameter[first]);
		c->tell(c->parameter[other], text, c->context);
	}
}

static bool
look_at_key(struct span key, struct span value, void *context)
{
	(void)value;
	look_at_name(context, key);
	return true;
}

/* "!name" and what it stands for belong to none. */
static void
look_at_word(struct classes *c, struct span word)
{
	char table[MAP_NAME_MAX];
	struct error ignored;

	if (word.len == 0 || word.ptr[0] == '!')
		return;
	if (word.ptr[0] == '[' || span_find(word, ':') <= 0) {
		look_at_name(c, word);
	} else if (span_copy(word, table, sizeof(table))) {
		struct map *map = map_open(table, &check_silent);

		(void)map_each(map, look_at_key, c, &ignored);
		map_close(&map);
	}
}

static void
look_at_file(struct classes *c, struct span path)
{
	char name[MAP_NAME_MAX];
	struct error ignored;
	struct span line, word;
	struct lines lines;
	size_t len;
	char *bytes =
	    span_copy(path, name, sizeof(name)) ? lines_load(name, LINES_FILE_MAX, &len, &ignored) : NULL;

	if (bytes == NULL)
		return;
	lines_begin(&lines, span_make(bytes, len));
	while (lines_next(&lines, &line))
		while (conf_list_next(&line, &word))
			look_at_word(c, word);
	lines_end(&lines);
	free(bytes);
}

static void
look_at_list(struct classes *c, const char *text)
{
	struct span rest = span_of(text), word;

	while (conf_list_next(&rest, &word)) {
		if (word.ptr[0] == '/')
			look_at_file(c, word);
		else
			look_at_word(c, word);
	}
}

void
check_classes(const struct conf_values *v, check_classes_tell *tell, void *context)
{
	struct map_set *maps = map_set_new(&check_silent);
	struct classes c = {
	    .parameter = {"mydestination", "virtual_alias_domains", "virtual_mailbox_domains",
		"relay_domains"},
	    .text = {v->mydestination, v->virtual_alias_domains, v->virtual_mailbox_domains,
		v->relay_domains},
	    .seen = table_new(NAMES_MAX, NULL),
	    .tell = tell,
	    .context = context,
	};
	bool parents = conf_list_has(v->parent_domain_matches_subdomains, "relay_domains");

	for (int i = 0; i < CLASSES; i++)
		domains_init(&c.list[i], c.parameter[i], c.text[i],
		    i < RELAY ? DOMAINS_EXACT
		    : parents ? DOMAINS_PARENTS
			      : DOMAINS_DOT_PARENTS,
		    maps);
	for (int i = 0; i < CLASSES; i++)
		look_at_list(&c, c.text[i]);
	for (int i = 0; i < CLASSES; i++)
		domains_fini(&c.list[i]);
	table_free(&c.seen);
	map_set_free(&maps);
}
