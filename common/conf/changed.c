/*
 * What a child needs to build the same configuration again: expanded texts of what was set, and defaults that it cannot
 * work out itself. Others are left to it, so that they follow what conf_derive() changes. "!name" is the value under stress
 * where that is another one.
 */
#include <stdio.h>
#include <string.h>

#include "common/conf/expand.h"
#include "common/conf/values.h"

struct walk {
	struct span section;
	conf_visit *visit;
	void *context;
};

static void
visit_text(const struct walk *w, bool stressed, const char *name, const char *text)
{
	char full[CONF_NAME_MAX + 3];
	int len = snprintf(full, sizeof(full), "%s%s", stressed ? "!" : "", name);

	w->visit(w->section, span_make(full, (size_t)len), span_of(text), w->context);
}

static void
visit_extras(const struct walk *w, const struct value_set *set, const struct value_set *base)
{
	for (size_t i = 0; i < set->extra_count; i++) {
		const struct extra_value *extra = &set->extras[i];
		const char *other = NULL;

		for (size_t k = 0; base && k < base->extra_count; k++) {
			if (strcmp(base->extras[k].name, extra->name) == 0)
				other = base->extras[k].text;
		}
		if (!other || strcmp(other, extra->text) != 0)
			visit_text(w, false, extra->name, extra->text);
	}
}

static bool
is_wanted(const struct value_set *set, const struct value_set *base, size_t i)
{
	if (set->given[i])
		return true;
	return base ? strcmp(set->texts[i], base->texts[i]) != 0
		    : computed_from_host(span_of(param_table[i].name));
}

/* base: what the values stand on; NULL: the rows' fallbacks. */
static void
visit_values(const struct walk *w, const struct conf_values *values, const struct conf_values *stressed,
    const struct conf_values *base)
{
	const struct value_set *set = value_set_of(values), *busy = value_set_of(stressed);

	for (size_t i = 0; i < param_count; i++) {
		const char *name = param_table[i].name;
		bool wanted = is_wanted(set, base ? value_set_of(base) : NULL, i);

		if (wanted)
			visit_text(w, false, name, set->texts[i]);
		if ((wanted || base) && strcmp(busy->texts[i], set->texts[i]) != 0)
			visit_text(w, true, name, busy->texts[i]);
	}
	visit_extras(w, set, base ? value_set_of(base) : NULL);
}

void
conf_each_changed(const struct conf *c, conf_visit *visit, void *context)
{
	struct walk w = {.section = SPAN_LIT(""), .visit = visit, .context = context};

	visit_values(&w, c->values, c->stressed, NULL);
	for (size_t i = 0; i < c->section_count; i++) {
		w.section = span_of(c->sections[i].name);
		visit_text(&w, false, "listen", c->sections[i].listen);
		visit_values(&w, c->sections[i].values, c->sections[i].stressed, c->values);
	}
}
