/* A configuration of any bytes: read, built, shipped to a child and built there again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
ship(struct span section, struct span name, struct span value, void *context)
{
	struct error err;

	if (conf_builder_set(context, section, name, value, &err) < 0)
		panic("a child refuses what the file may say: %s", err.text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_builder *builder;
	struct conf *parent, *child;
	struct error err;
	char *text = mem_strndup((const char *)data, size);

	parent = conf_from_text(text, &err);
	if (parent) {
		builder = conf_builder_new();
		conf_each_changed(parent, ship, builder);
		child = conf_builder_finish(&builder, 2, &err);
		if (!child || strcmp(child->values->smtpd_banner, parent->values->smtpd_banner) != 0 ||
		    child->section_count != parent->section_count)
			panic("a child has another configuration");
		conf_unref(&child);
		conf_unref(&parent);
	}
	free(text);
	return 0;
}
