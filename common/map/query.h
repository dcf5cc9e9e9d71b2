/*
 * query: what the kinds of tables in a database share: the parameters query, result_format, expansion_limit and
 * domain, and the gathering of a result.
 */
#ifndef POSTERN_MAP_QUERY_H
#define POSTERN_MAP_QUERY_H

#include "common/map/tablefile.h"
#include "common/map/template.h"

enum { QUERY_TEXT_MAX = 100000 };

struct domain_table {
	struct map *table;
	bool negated;
};

struct query {
	const char *template; /* the tablefile's, or made */
	const char *result_format;
	uint64_t expansion_limit; /* 0: none */
	struct domain_table *domain_tables; /* of "domain": those that are tables */
	size_t domain_table_count;
	struct table
	    *domain_names; /* those that are names, with and without "!": the first of a name counts */
	bool has_domains;
	char *made; /* of the old parameters table, select_field, where_field, additional_conditions */
};

/* SQL: "query", or what the old parameters make of it. -1 with err. */
int query_open_sql(struct query *q, struct tablefile *t, const struct map_input *in, struct error *err);

/* template: what was read elsewhere (LDAP's query_filter). -1 with err. */
int query_open(struct query *q, struct tablefile *t, const struct map_input *in, const char *template,
    const char *what, struct error *err);
void query_close(struct query *q);

/*
 * LOOKUP_FOUND: may be asked; LOOKUP_NOT_FOUND, with hit->unasked: not for this table; LOOKUP_TEMPORARY: a table of "domain"
 * is in trouble.
 */
enum lookup_status query_admits(
    const struct query *q, struct span key, struct map_hit *hit, struct error *err);

/* The query for key, from q->template or LDAP's search_base. LOOKUP_NOT_FOUND: the key lacks what it needs. */
enum lookup_status query_make(const char *template, struct span key, template_quote *quote, void *context,
    struct buf *out, struct error *err);

struct query_result {
	const struct query *query;
	struct span key;
	struct buf *value;
	uint64_t count;
};

/* One value: formatted and appended behind a comma. -1 with err beyond expansion_limit. */
int query_add(struct query_result *r, struct span value, struct error *err);

/* What it comes to: LOOKUP_NOT_FOUND if there was no value. */
enum lookup_status query_end(const struct query_result *r);

#endif
