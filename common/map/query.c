#include "common/map/query.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/map/lines.h"

enum { DOMAINS_MAX = 1000000, DOMAIN_TABLES_MAX = 100, DOMAIN_FILE_MAX = 16 << 20, DOMAIN_FILE_DEPTH = 10 };

/* In domain_names. */
static char listed, excluded;

/* Where words of a list of domains stand. */
struct domain_place {
	const struct map_input *in;
	bool negated; /* in a file behind "!" */
	unsigned depth; /* so many files lead here */
};

static int add_domains(struct query *q, struct span list, struct domain_place place, struct error *err);

/* A file may name others; one that leads back to itself ends at a depth that no list has. */
static int
add_domain_file(struct query *q, struct span path, struct domain_place place, struct error *err)
{
	char name[MAP_NAME_MAX];
	struct lines lines;
	struct span line;
	size_t len;
	int status = 0;

	if (!span_copy(path, name, sizeof(name)))
		return error_set(err, "domain: bad file name");
	if (++place.depth > DOMAIN_FILE_DEPTH)
		return error_set(err, "domain: %s: its files name each other without an end", name);
	char *bytes = lines_load(name, DOMAIN_FILE_MAX, &len, err);
	if (bytes == NULL)
		return error_while(err, "domain");
	lines_begin(&lines, span_make(bytes, len));
	while (status == 0 && lines_next(&lines, &line))
		status = lines.cut ? error_set(err, "domain: %s, line %u: longer than %d octets", name,
					 lines.first, LINES_LINE_MAX)
				   : add_domains(q, line, place, err);
	lines_end(&lines);
	free(bytes);
	return status;
}

static int
add_domain_table(
    struct query *q, struct span word, bool negated, const struct map_input *in, struct error *err)
{
	const struct map_options options = {.complain = in->complain, .context = in->context};
	char name[MAP_NAME_MAX];

	if (q->domain_table_count == DOMAIN_TABLES_MAX || !span_copy(word, name, sizeof(name)))
		return error_set(err, "domain: too many tables, or a name that is too long");
	q->domain_tables =
	    mem_resize(q->domain_tables, (q->domain_table_count + 1) * sizeof(q->domain_tables[0]));
	q->domain_tables[q->domain_table_count++] =
	    (struct domain_table){.table = map_open(name, &options), .negated = negated};
	return 0;
}

static void
add_domain_name(struct query *q, struct span word, bool negated)
{
	char lower[256];

	if (word.len > sizeof(lower))
		return;
	memcpy(lower, word.ptr, word.len);
	text_lower(lower, word.len);
	word = span_make(lower, word.len);
	if (table_get(q->domain_names, word) == NULL)
		(void)table_put(q->domain_names, word, negated ? &excluded : &listed);
}

static int
add_domains(struct query *q, struct span list, struct domain_place place, struct error *err)
{
	struct span word;

	while (conf_list_next(&list, &word)) {
		bool negated = place.negated;
		for (; word.len > 0 && word.ptr[0] == '!'; word = span_from(word, 1))
			negated = !negated;
		if (word.len == 0)
			continue;
		if (word.ptr[0] == '/') {
			struct domain_place inside = {place.in, negated, place.depth};
			if (add_domain_file(q, word, inside, err) < 0)
				return -1;
		} else if (span_find(word, ':') > 0) {
			if (add_domain_table(q, word, negated, place.in, err) < 0)
				return -1;
		} else {
			add_domain_name(q, word, negated);
		}
	}
	return 0;
}

int
query_open(struct query *q, struct tablefile *t, const struct map_input *in, const char *template,
    const char *what, struct error *err)
{
	const char *domains = tablefile_text(t, "domain", "");

	q->template = template;
	q->result_format = tablefile_text(t, "result_format", tablefile_text(t, "result_filter", "%s"));
	q->expansion_limit = tablefile_number(t, "expansion_limit", 0, 0, UINT32_MAX);
	q->domain_names = table_new(DOMAINS_MAX, NULL);
	q->has_domains = domains[0] != '\0';
	if (template_check(q->template, what, err) < 0 ||
	    template_check(q->result_format, "result_format", err) < 0 ||
	    add_domains(q, span_of(domains), (struct domain_place){.in = in}, err) < 0)
		return error_while(err, "%s", tablefile_place(t));
	return 0;
}

/* mysql_table(5), "OBSOLETE MAIN.CF PARAMETERS": how Postfix puts them together. */
static int
make_sql(struct query *q, struct tablefile *t, struct error *err)
{
	const char *function = tablefile_text(t, "select_function", "");
	const char *conditions = tablefile_text(t, "additional_conditions", "");
	const char *table, *select, *where;
	struct buf text;

	buf_init(&text, QUERY_TEXT_MAX);
	if (function[0] != '\0') {
		(void)buf_printf(&text, "SELECT %s('%%s')", function);
	} else {
		if (tablefile_need(t, "table", &table, err) < 0 ||
		    tablefile_need(t, "select_field", &select, err) < 0 ||
		    tablefile_need(t, "where_field", &where, err) < 0)
			return error_while(err, "there is no query, and");
		(void)buf_printf(
		    &text, "SELECT %s FROM %s WHERE %s='%%s' %s", select, table, where, conditions);
	}
	q->made = mem_strdup(buf_text(&text));
	buf_free(&text);
	return 0;
}

int
query_open_sql(struct query *q, struct tablefile *t, const struct map_input *in, struct error *err)
{
	const char *template = tablefile_text(t, "query", "");

	if (template[0] == '\0' && make_sql(q, t, err) < 0)
		return -1;
	if (q->made != NULL)
		template = q->made;
	else if (template_is_bare(template))
		tablefile_complain(
		    t, "query", "what is put in stands outside quotes, where it would be obeyed: write '%s'");
	return query_open(q, t, in, template, "query", err);
}

void
query_close(struct query *q)
{
	for (size_t i = 0; i < q->domain_table_count; i++)
		map_close(&q->domain_tables[i].table);
	free(q->domain_tables);
	table_free(&q->domain_names);
	free(q->made);
}

enum lookup_status
query_make(const char *template, struct span key, template_quote *quote, void *context, struct buf *out,
    struct error *err)
{
	if (template_query(template, key, quote, context, out) == 1)
		return LOOKUP_FOUND;
	if (!out->full)
		return LOOKUP_NOT_FOUND;
	error_set(err, "the query for a key of %zu octets is too long", key.len);
	return LOOKUP_TEMPORARY;
}

/* pgsql_table(5): with "domain" only addresses in these are asked for, and neither users nor @domain alone. */
static enum lookup_status
admits(const struct query *q, struct span key, struct error *err)
{
	enum lookup_status status = LOOKUP_NOT_FOUND;
	struct map_found found;
	ptrdiff_t at = span_find_last(key, '@');

	/* Servers refuse it or, worse, do not: no table holds such a key. */
	if (!utf8_valid(key))
		return LOOKUP_NOT_FOUND;
	if (!q->has_domains)
		return LOOKUP_FOUND;
	if (at <= 0)
		return LOOKUP_NOT_FOUND;
	struct span domain = span_from(key, (size_t)at + 1);
	const char *name = table_get(q->domain_names, domain);
	if (domain.len == 0 || name != NULL)
		return name == &listed ? LOOKUP_FOUND : LOOKUP_NOT_FOUND;
	map_found_init(&found);
	for (size_t i = 0; i < q->domain_table_count && status == LOOKUP_NOT_FOUND; i++) {
		status = map_lookup(q->domain_tables[i].table, domain, false, &found);
		if (status == LOOKUP_FOUND && q->domain_tables[i].negated) {
			status = LOOKUP_NOT_FOUND;
			break;
		}
	}
	if (status == LOOKUP_TEMPORARY)
		*err = found.err;
	map_found_free(&found);
	return status;
}

enum lookup_status
query_admits(const struct query *q, struct span key, struct map_hit *hit, struct error *err)
{
	enum lookup_status status = admits(q, key, err);

	hit->unasked = status == LOOKUP_NOT_FOUND;
	return status;
}

int
query_add(struct query_result *r, struct span value, struct error *err)
{
	struct buf *out = r->value;
	size_t before = out->len;

	if (value.len == 0)
		return 0;
	if (memchr(value.ptr, '\0', value.len) != NULL)
		return error_set(err, "a value for \"%.*s\" holds a NUL", SPAN_ARG(r->key));
	if (before > 0)
		(void)buf_append_text(out, ",");
	/* A value that does not have what the format needs is left out; one that is too long shows in out->full. */
	if (template_result(r->query->result_format, value, r->key, out) == 0) {
		out->len = before;
		return 0;
	}
	if (++r->count > r->query->expansion_limit && r->query->expansion_limit > 0)
		return error_set(err, "more than %llu values (expansion_limit) for \"%.*s\"",
		    (unsigned long long)r->query->expansion_limit, SPAN_ARG(r->key));
	return 0;
}

enum lookup_status
query_end(const struct query_result *r)
{
	return r->count > 0 || r->value->full ? LOOKUP_FOUND : LOOKUP_NOT_FOUND;
}
