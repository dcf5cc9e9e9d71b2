#include "common/conf/derive.h"

#include "common/conf/schema.h"

struct copy {
	struct conf_builder *builder;
	const struct conf_change *changes;
	size_t count;
	struct error *err;
	bool failed;
};

static void
copy_value(struct span section, struct span name, struct span value, void *context)
{
	struct copy *copy = context;

	for (size_t i = 0; i < copy->count; i++)
		if (section.len == 0 && span_equal(name, copy->changes[i].name))
			return;
	if (!copy->failed && conf_builder_set(copy->builder, section, name, value, copy->err) < 0)
		copy->failed = true;
}

/* A name that is nobody's would do nothing, and a bad value be replaced by the default. */
static int
check_change(const struct conf_change *change, struct error *err)
{
	const struct param *p = param_find(change->name);
	struct conf_values parsed;
	char text[CONF_VALUE_MAX + 1];

	if (!p)
		p = param_of_transport(change->name);
	if (!p)
		return error_set(err, "unknown parameter %.*s", SPAN_ARG(span_sub(change->name, 0, 100)));
	if (!span_copy(change->value, text, sizeof(text)))
		return error_set(err, "%s: the value is too long", p->name);
	return param_parse(p, text, &parsed, err);
}

struct conf *
conf_derive(const struct conf *c, const struct conf_change *changes, size_t count, struct error *err)
{
	struct copy copy = {.builder = conf_builder_new(), .changes = changes, .count = count, .err = err};

	conf_each_changed(c, copy_value, &copy);
	for (size_t i = 0; i < count && !copy.failed; i++)
		copy.failed =
		    check_change(&changes[i], err) < 0 ||
		    conf_builder_set(copy.builder, SPAN_LIT(""), changes[i].name, changes[i].value, err) < 0;
	if (copy.failed) {
		struct error ignored;
		struct conf *unwanted = conf_builder_finish(&copy.builder, c->generation, &ignored);

		conf_unref(&unwanted);
		return NULL;
	}
	return conf_builder_finish(&copy.builder, c->generation, err);
}
