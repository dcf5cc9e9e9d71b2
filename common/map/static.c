/*
 * static:value, static:{value with blanks}: the same answer to every key. fail:text: trouble with every key.
 * environ:text: variables of the environment, of which lookup has almost none: for tests at the shell.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/map/kinds.h"
#include "common/map/lines.h"

static void *
static_open(const struct map_input *in, struct error *err)
{
	struct span text = span_trim(span_of(in->name));

	if (text.len > 0 && text.ptr[0] == '{') {
		ptrdiff_t end = lines_brace_end(text);
		if (end < 0) {
			error_set(err, "bad static:name syntax: missing '}' in \"%s\"", in->name);
			return NULL;
		}
		if ((size_t)end + 1 != text.len) {
			error_set(err, "bad static:name syntax: syntax error after '}' in \"%s\"", in->name);
			return NULL;
		}
		text = span_trim(span_sub(text, 1, (size_t)end - 1));
	}
	return mem_strndup(text.ptr, text.len);
}

static enum lookup_status
static_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	(void)key;
	(void)err;
	(void)buf_append_text(hit->value, table);
	return LOOKUP_FOUND;
}

const struct map_kind map_kind_static = {
    .name = "static",
    .open = static_open,
    .lookup = static_lookup,
    .close = free,
};

static void *
fail_open(const struct map_input *in, struct error *err)
{
	(void)err;
	return mem_strdup(in->name);
}

static enum lookup_status
fail_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	(void)table;
	(void)key;
	(void)hit;
	error_set(err, "a fail: table always fails");
	return LOOKUP_TEMPORARY;
}

const struct map_kind map_kind_fail = {
    .name = "fail",
    .open = fail_open,
    .lookup = fail_lookup,
    .close = free,
};

static enum lookup_status
environ_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	char name[MAP_KEY_MAX + 1];

	(void)table;
	(void)err;
	const char *value = span_copy(key, name, sizeof(name)) ? getenv(name) : NULL;
	if (value == NULL)
		return LOOKUP_NOT_FOUND;
	(void)buf_append_text(hit->value, value);
	return LOOKUP_FOUND;
}

const struct map_kind map_kind_environ = {
    .name = "environ",
    .keys = MAP_KEYS_INNER,
    .open = fail_open,
    .lookup = environ_lookup,
    .close = free,
};
