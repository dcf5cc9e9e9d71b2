#include "common/map/map_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/table_settings.h"
#include "common/mail/casefold.h"
#include "common/map/kinds.h"
#include "common/map/rules.h"

static void
complain_to_log(const char *file, unsigned line, const char *text, void *context)
{
	(void)context;
	if (line > 0)
		log_warning(NULL, "%s, line %u: %s", file, line, text);
	else
		log_warning(NULL, "%s: %s", file, text);
}

void
map_found_init(struct map_found *f)
{
	*f = (struct map_found){.table = ""};
	buf_init(&f->value, MAP_VALUE_MAX);
	buf_init(&f->key, MAP_KEY_MAX);
}

void
map_found_free(struct map_found *f)
{
	buf_free(&f->value);
	buf_free(&f->key);
}

/* Splits "proxy:hash:/x" into "hash" and "/x". False if there is no colon, or nothing behind it. */
static bool
name_split(struct span text, struct span *type, struct span *rest)
{
	if (span_starts(text, "proxy:"))
		text = span_from(text, strlen("proxy:"));
	ptrdiff_t colon = span_find(text, ':');
	if (colon <= 0)
		return false;
	*type = span_sub(text, 0, (size_t)colon);
	*rest = span_from(text, (size_t)colon + 1);
	return rest->len > 0;
}

bool
map_type_known(struct span type_and_name)
{
	struct span type, rest;
	return name_split(type_and_name, &type, &rest) && map_kind_find(type) != NULL;
}

unsigned
map_needs(struct span type_and_name)
{
	struct span type, rest, inner;

	if (!name_split(type_and_name, &type, &rest))
		return 0;
	const struct map_kind *kind = map_kind_find(type);
	if (kind == NULL)
		return 0;
	unsigned needs = kind->needs;
	while (kind->inner != NULL && kind->inner(&rest, &inner))
		needs |= map_needs(inner);
	return needs;
}

void
map_preload(struct span type_and_name)
{
	struct span type, rest, inner;
	struct error ignored;

	if (!name_split(type_and_name, &type, &rest))
		return;
	const struct map_kind *kind = map_kind_find(type);
	if (kind != NULL && kind->preload != NULL)
		(void)kind->preload(&ignored);
	while (kind != NULL && kind->inner != NULL && kind->inner(&rest, &inner))
		map_preload(inner);
}

struct map *
map_open(const char *type_and_name, const struct map_options *options)
{
	struct map *m = mem_alloc(sizeof(*m));
	struct span type, rest;

	m->name = mem_strdup(type_and_name);
	m->input.complain =
	    options != NULL && options->complain != NULL ? options->complain : complain_to_log;
	m->input.context = options != NULL ? options->context : NULL;
	m->state = options != NULL ? options->state : NULL;
	m->would_block = options != NULL ? options->would_block : NULL;
	m->question = options != NULL ? options->question : NULL;
	memo_init(&m->memo);
	m->input.would_block = m->would_block;
	m->input.octets = options != NULL && options->octets;
	m->keep_case = options != NULL && options->keep_case;
	if (!name_split(span_of(m->name), &type, &rest)) {
		error_set(&m->trouble, "%s: need \"type:name\"", m->name);
		return m;
	}
	m->kind = map_kind_find(type);
	if (m->kind == NULL) {
		map_kind_explain(type, &m->trouble);
		return m;
	}
	m->blocks = (m->kind->needs & MAP_BLOCKS) != 0;
	m->input.name = rest.ptr;
	/* regexp:{{/pattern/ result}...}: the rules themselves; ldap:people: parameters of postern.conf. */
	if (m->kind->suffix != NULL && !(m->kind->inline_rules && span_starts(rest, "{")) &&
	    !conf_table_is_prefix(type, rest)) {
		size_t size = rest.len + strlen(m->kind->suffix) + 1;
		m->path = mem_alloc(size);
		(void)snprintf(m->path, size, "%s%s", rest.ptr, m->kind->suffix);
		m->input.path = m->path;
	}
	return m;
}

void
map_close(struct map **m)
{
	if (*m == NULL)
		return;
	map_table_close(*m);
	memo_free(&(*m)->memo);
	free((*m)->path);
	free((*m)->name);
	free(*m);
	*m = NULL;
}

void
map_complain_to_nobody(const char *file, unsigned line, const char *text, void *context)
{
	(void)file;
	(void)line;
	(void)text;
	(void)context;
}

void
map_state_to_nobody(const char *table, const char *trouble, void *context)
{
	(void)table;
	(void)trouble;
	(void)context;
}

const char *
map_name(const struct map *m)
{
	return m->name;
}

const char *
map_path(const struct map *m)
{
	return m->path;
}

static void
tell_state(const struct map *m, enum lookup_status status, const struct error *err)
{
	bool troubled = status == LOOKUP_TEMPORARY;

	/* A table inside is asked elsewhere: that is no trouble. */
	if (m->state != NULL && !(troubled && m->would_block != NULL && *m->would_block))
		m->state(m->name, troubled ? err->text : NULL, m->input.context);
}

static enum lookup_status
broken(const struct map *m, struct map_found *found)
{
	found->err = m->trouble;
	tell_state(m, LOOKUP_TEMPORARY, &found->err);
	return LOOKUP_TEMPORARY;
}

/* Its file is only watched here; whoever may wait opens it. */
static enum lookup_status
refuse_to_wait(struct map *m, struct map_found *found)
{
	*m->would_block = true;
	if (!m->tried && m->path != NULL)
		m->stamp = map_stamp_take(m->path);
	m->tried = true;
	error_set(&found->err, "%s: this table is not asked here", m->name);
	return LOOKUP_TEMPORARY;
}

bool
map_key_fold(struct span key, bool octets, char *room, struct span *folded)
{
	if (!octets)
		return casefold(key, room, MAP_KEY_MAX, folded) == CASEFOLD_DONE;
	memcpy(room, key.ptr, key.len);
	text_lower(room, key.len);
	*folded = span_make(room, key.len);
	return true;
}

const char *
map_line_wrong(struct span line, bool octets)
{
	if (line.len > 0 && ascii_is_space(line.ptr[0]))
		return "logical line must not start with whitespace -- ignoring this line";
	if (!octets && text_is_8bit(line) && !utf8_valid(line))
		return "non-UTF-8 input -- ignoring this line";
	return NULL;
}

/* True if that key may be asked for; room: for what is asked instead. */
static bool
key_prepare(struct map *m, struct span *key, char *room)
{
	if (key->len == 0 || key->len > (m->kind->texts ? MAP_TEXT_MAX : MAP_KEY_MAX) ||
	    memchr(key->ptr, '\0', key->len) != NULL)
		return false;
	if (!m->input.octets && text_is_8bit(*key) && !utf8_valid(*key)) {
		int64_t now = clock_mono_us();
		if (m->said_us == 0 || now - m->said_us > US_PER_SECOND)
			log_warning(NULL, "%s: non-UTF-8 key \"%.*s\"", m->name, SPAN_ARG(*key));
		m->said_us = now;
		return false;
	}
	return m->kind->keys != MAP_KEYS_FIXED || m->keep_case ||
	       map_key_fold(*key, m->input.octets, room, key);
}

/* What was found, before it is used. -1 with err. */
static int
value_check(const struct map *m, struct span key, const struct buf *value, struct error *err)
{
	if (value->full)
		return error_set(
		    err, "the value of %.*s is longer than %d octets", SPAN_ARG(key), MAP_VALUE_MAX);
	if (!m->input.octets && text_is_8bit(buf_span(value)) && !utf8_valid(buf_span(value)))
		return error_set(err, "key \"%.*s\": non-UTF-8 value", SPAN_ARG(key));
	return 0;
}

/* The table itself is asked; entry is what there is to say of the answer beside its value. */
static enum lookup_status
table_ask(struct map *m, struct span key, struct map_found *found, struct memo_entry *entry)
{
	map_look(m, false);
	if (m->table == NULL)
		return broken(m, found);
	struct map_hit hit = {.value = &found->value, .partial = entry->partial};
	found->err = (struct error){0};
	enum lookup_status status = m->kind->lookup(m->table, key, &hit, &found->err);
	if (status == LOOKUP_FOUND && value_check(m, key, &found->value, &found->err) < 0)
		status = LOOKUP_TEMPORARY;
	if (!hit.unasked)
		tell_state(m, status, &found->err);
	found->of_token = hit.of_token;
	entry->found = status == LOOKUP_FOUND;
	entry->line = hit.line;
	entry->substituted = hit.substituted;
	entry->loose = hit.loose;
	entry->owner = m->path != NULL ? m->stamp.owner : 0;
	return status;
}

/* Trouble is not remembered: the next step may have better luck, and says so itself if not. */
static enum lookup_status
ask_once(struct map *m, struct span key, struct map_found *found, struct memo_entry *entry)
{
	const struct memo_entry *known =
	    m->question != NULL ? memo_find(&m->memo, *m->question, key, entry->partial) : NULL;

	if (known != NULL) {
		*entry = *known;
		(void)buf_append_span(&found->value, memo_value(&m->memo, known));
		return known->found ? LOOKUP_FOUND : LOOKUP_NOT_FOUND;
	}
	enum lookup_status status = table_ask(m, key, found, entry);
	if (m->question != NULL && status != LOOKUP_TEMPORARY)
		memo_keep(&m->memo, *entry, key, buf_span(&found->value));
	return status;
}

static enum lookup_status
key_ask(struct map *m, struct span key, bool partial, struct map_found *found)
{
	struct memo_entry entry = {.partial = partial};
	char folded[MAP_KEY_MAX];

	if (!key_prepare(m, &key, folded)) {
		map_look(m, false);
		return m->table != NULL ? LOOKUP_NOT_FOUND : broken(m, found);
	}
	enum lookup_status status = ask_once(m, key, found, &entry);
	if (status != LOOKUP_FOUND)
		return status;
	found->table = m->name;
	found->line = entry.line;
	found->owner = entry.owner;
	found->substituted = entry.substituted;
	found->loose = entry.loose;
	buf_clear(&found->key);
	(void)buf_append_span(&found->key, key);
	return LOOKUP_FOUND;
}

bool
map_of_tokens(const struct map *m)
{
	return m->table != NULL && m->kind->of_tokens != NULL && m->kind->of_tokens(m->table);
}

void
map_refused(struct map *m, uint64_t mark)
{
	if (m->table != NULL && m->kind->refused != NULL)
		m->kind->refused(m->table, mark);
}

enum lookup_status
map_lookup(struct map *m, struct span key, bool partial, struct map_found *found)
{
	buf_clear(&found->value);
	found->line = 0;
	found->substituted = found->loose = found->of_token = false;
	if (m->kind != NULL && m->kind->keys == MAP_KEYS_PATTERN && partial)
		return LOOKUP_NOT_FOUND;
	if (m->blocks && m->would_block != NULL)
		return refuse_to_wait(m, found);
	enum lookup_status status = m->kind == NULL ? broken(m, found) : key_ask(m, key, partial, found);
	if (status == LOOKUP_TEMPORARY && m->table != NULL)
		error_while(&found->err, "%s", m->name);
	return status;
}

int
map_each(struct map *m, map_visit *visit, void *context, struct error *err)
{
	if (m->kind != NULL && m->kind->each == NULL)
		return error_set(err, "%s: this kind of table cannot be listed", m->name);
	if (m->kind != NULL)
		map_look(m, true);
	if (m->table == NULL) {
		*err = m->trouble;
		return -1;
	}
	return m->kind->each(m->table, visit, context, err);
}

void
map_each_rule(struct map *m, map_visit_rule *visit, void *context)
{
	const struct rules *r;

	if (m->kind == NULL || m->kind->rules == NULL)
		return;
	map_look(m, true);
	if (m->table == NULL)
		return;
	r = m->kind->rules(m->table);
	for (size_t i = 0; i < r->count; i++)
		if (r->list[i].type == RULE_MATCH)
			visit(r->list[i].line, span_of(r->list[i].result), context);
}
