/*
 * Tables made of tables: unionmap_table(5), pipemap_table(5); and randmap, which gives one of its values at random.
 *
 *	unionmap:{TYPE:NAME, ...}   all answers, joined by commas; trouble in one is trouble
 *	pipemap:{TYPE:NAME, ...}    the first answer is the second's question, and so on
 *	randmap:{value, ...}        for load sharing: randmap:{smtp:[a], smtp:[b]}; braces are part of it
 */
#include <stdlib.h>
#include <sys/random.h>

#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/map/kinds.h"
#include "common/map/lines.h"

enum { INNER_MAX = 100, VALUES_MAX = 1000 };

struct composite {
	struct map *tables[INNER_MAX];
	size_t count;
	struct map_found found;
};

/* The words between the braces of the name. False if there are none. */
static bool
inside(struct span name, struct span *words)
{
	name = span_trim(name);
	ptrdiff_t end = name.len > 0 && name.ptr[0] == '{' ? lines_brace_end(name) : -1;
	if (end < 0 || (size_t)end + 1 != name.len)
		return false;
	*words = span_sub(name, 1, (size_t)end - 1);
	return true;
}

/* A word may stand in braces of its own, where it holds blanks or commas. */
static bool
next_word(struct span *rest, struct span *word)
{
	if (!conf_list_next(rest, word))
		return false;
	if (word->ptr[0] == '{' && lines_brace_end(*word) == (ptrdiff_t)word->len - 1)
		*word = span_trim(span_sub(*word, 1, word->len - 2));
	return true;
}

static bool
composite_inner(struct span *rest, struct span *table)
{
	/* The first call has the whole name. */
	if (rest->len > 0 && rest->ptr[0] == '{') {
		struct span words;
		if (inside(*rest, &words))
			*rest = words;
	}
	return next_word(rest, table);
}

static void
composite_close(void *table)
{
	struct composite *c = table;

	for (size_t i = 0; i < c->count; i++)
		map_close(&c->tables[i]);
	map_found_free(&c->found);
	free(c);
}

static int
add_table(struct composite *c, struct span word, const struct map_input *in, struct error *err)
{
	const struct map_options options = {.complain = in->complain,
	    .context = in->context,
	    .would_block = in->would_block,
	    .octets = in->octets};
	char name[MAP_NAME_MAX];

	if (c->count == INNER_MAX || !span_copy(word, name, sizeof(name)))
		return error_set(err, "too many tables inside, or a name that is too long");
	if (!map_type_known(word)) {
		struct map *m = map_open(name, &options);
		(void)map_check(m, err);
		map_close(&m);
		return -1;
	}
	c->tables[c->count++] = map_open(name, &options);
	return 0;
}

static void *
composite_open(const struct map_input *in, struct error *err)
{
	struct span words, word;

	if (!inside(span_of(in->name), &words)) {
		error_set(err, "bad syntax: need {type:name, type:name...}: %s", in->name);
		return NULL;
	}
	struct composite *c = mem_alloc(sizeof(*c));
	map_found_init(&c->found);
	while (next_word(&words, &word)) {
		if (add_table(c, word, in, err) < 0) {
			composite_close(c);
			return NULL;
		}
	}
	if (c->count == 0) {
		error_set(err, "no table inside: %s", in->name);
		composite_close(c);
		return NULL;
	}
	return c;
}

static enum lookup_status
trouble_inside(const struct composite *c, struct error *err)
{
	*err = c->found.err;
	return LOOKUP_TEMPORARY;
}

static bool
composite_changed(void *table)
{
	const struct composite *c = table;
	bool changed = false;

	for (size_t i = 0; i < c->count; i++)
		if (map_changed(c->tables[i]))
			changed = true;
	return changed;
}

static void
note_substitution(const struct composite *c, struct map_hit *hit)
{
	hit->substituted = hit->substituted || c->found.substituted;
	hit->loose = hit->loose || c->found.loose;
}

static enum lookup_status
union_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct composite *c = table;
	bool any = false;

	for (size_t i = 0; i < c->count; i++) {
		enum lookup_status status = map_lookup(c->tables[i], key, hit->partial, &c->found);
		if (status == LOOKUP_TEMPORARY)
			return trouble_inside(c, err);
		if (status == LOOKUP_NOT_FOUND || c->found.value.len == 0)
			continue;
		if (any)
			(void)buf_append_text(hit->value, ",");
		(void)buf_append_span(hit->value, buf_span(&c->found.value));
		note_substitution(c, hit);
		any = true;
	}
	return any ? LOOKUP_FOUND : LOOKUP_NOT_FOUND;
}

static enum lookup_status
pipe_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct composite *c = table;

	for (size_t i = 0; i < c->count; i++) {
		enum lookup_status status = map_lookup(c->tables[i], key, i == 0 && hit->partial, &c->found);
		if (status == LOOKUP_TEMPORARY)
			return trouble_inside(c, err);
		if (status == LOOKUP_NOT_FOUND)
			return status;
		/* The next search writes into c->found. */
		buf_clear(hit->value);
		(void)buf_append_span(hit->value, buf_span(&c->found.value));
		note_substitution(c, hit);
		key = buf_span(hit->value);
		if (key.len > MAP_KEY_MAX) {
			error_set(
			    err, "the answer of %s is longer than a key may be", map_name(c->tables[i]));
			if (i + 1 < c->count)
				return LOOKUP_TEMPORARY;
		}
	}
	return LOOKUP_FOUND;
}

const struct map_kind map_kind_unionmap = {
    .name = "unionmap",
    .keys = MAP_KEYS_INNER,
    .open = composite_open,
    .lookup = union_lookup,
    .close = composite_close,
    .inner = composite_inner,
    .changed = composite_changed,
};

const struct map_kind map_kind_pipemap = {
    .name = "pipemap",
    .keys = MAP_KEYS_INNER,
    .open = composite_open,
    .lookup = pipe_lookup,
    .close = composite_close,
    .inner = composite_inner,
    .changed = composite_changed,
};

struct choice {
	size_t count;
	char *values[VALUES_MAX];
};

static void
rand_close(void *table)
{
	struct choice *c = table;

	for (size_t i = 0; i < c->count; i++)
		free(c->values[i]);
	free(c);
}

static void *
rand_open(const struct map_input *in, struct error *err)
{
	struct span words, word;

	if (!inside(span_of(in->name), &words)) {
		error_set(err, "bad syntax: need randmap:{value, value...}: %s", in->name);
		return NULL;
	}
	struct choice *c = mem_alloc(sizeof(*c));
	while (lines_word(&words, &word))
		if (c->count < VALUES_MAX)
			c->values[c->count++] = mem_strndup(word.ptr, word.len);
	if (c->count > 0)
		return c;
	error_set(err, "no value inside: %s", in->name);
	rand_close(c);
	return NULL;
}

static enum lookup_status
rand_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	const struct choice *c = table;
	uint32_t number = 0;

	(void)key;
	(void)err;
	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
		number = 0;
	(void)buf_append_text(hit->value, c->values[number % c->count]);
	return LOOKUP_FOUND;
}

const struct map_kind map_kind_randmap = {
    .name = "randmap",
    .open = rand_open,
    .lookup = rand_lookup,
    .close = rand_close,
};
