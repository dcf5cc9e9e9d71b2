#include "common/map/mentions.h"

#include <string.h>

#include "common/base/text.h"
#include "common/conf/schema.h"

enum list_kind { LIST_NONE, LIST_TABLES, LIST_MIXED, LIST_RESTRICTIONS };

static const struct {
	const char *ending; /* of the parameter's name */
	enum list_kind kind;
} lists[] = {
    {"_sni_maps", LIST_NONE}, /* they hold private keys, and only the keys process reads them */
    {"_maps", LIST_TABLES},
    {"_checks", LIST_TABLES},
    {"_status_filter", LIST_TABLES},
    {"_reply_filter", LIST_TABLES},
    {"alias_database", LIST_TABLES},
    {"relay_clientcerts", LIST_TABLES},
    {"_restrictions", LIST_RESTRICTIONS},
    {"mydestination", LIST_MIXED},
    {"mynetworks", LIST_MIXED},
    {"_domains", LIST_MIXED},
    {"_exceptions", LIST_MIXED},
    {"_exclusions", LIST_MIXED},
    {"_clients", LIST_MIXED},
    {"_users", LIST_MIXED},
    {"_destinations", LIST_MIXED},
};

static enum list_kind
kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (span_ends_nocase(span_of(name), lists[i].ending))
			return lists[i].kind;
	return LIST_NONE;
}

/* "type:name", and no IPv6 address: letters before the colon that are not all hexadecimal, or a path behind it. */
static bool
looks_like_table(struct span word)
{
	ptrdiff_t colon = span_find(word, ':');
	bool hexadecimal = true;

	if (colon <= 0 || !ascii_is_alpha(word.ptr[0]))
		return false;
	for (ptrdiff_t i = 0; i < colon; i++) {
		if (!ascii_is_alnum(word.ptr[i]) && word.ptr[i] != '_')
			return false;
		hexadecimal = hexadecimal && hex_digit(word.ptr[i]) >= 0;
	}
	struct span rest = span_from(word, (size_t)colon + 1);
	return map_type_known(word) || !hexadecimal || (rest.len > 0 && rest.ptr[0] == '/');
}

/* What follows a restriction is its argument: a table behind check_..._access, else something of its own. */
static bool
is_table_here(enum list_kind kind, struct span before, struct span word)
{
	if (kind == LIST_TABLES)
		return true;
	if (kind == LIST_RESTRICTIONS) {
		if (span_starts_nocase(before, "check_") && span_ends_nocase(before, "_access"))
			return true;
		if (span_is_nocase(before, "check_policy_service"))
			return false; /* a socket: unix:private/policy */
		if (span_starts_nocase(before, "reject_r") || span_starts_nocase(before, "permit_"))
			return map_type_known(word) && span_find(word, '/') > 0;
	}
	return looks_like_table(word);
}

/* "{ type:table, { search_order = ... } }" behind check_ccert_access */
static struct span
without_options(struct span word)
{
	struct span inside, table;

	if (word.len < 2 || word.ptr[0] != '{')
		return word;
	inside = span_sub(word, 1, word.len - 2);
	return conf_list_next(&inside, &table) ? table : word;
}

struct listener {
	map_mention *tell;
	void *context;
	bool access_only;
};

static void
list_mentions(enum list_kind kind, const char *name, const char *text, const struct listener *l)
{
	struct span rest = span_of(text), word, before = {0};

	if (l->access_only && kind != LIST_RESTRICTIONS)
		return;
	while (conf_list_next(&rest, &word)) {
		struct span table = kind == LIST_RESTRICTIONS ? without_options(word) : word;
		while (table.len > 0 && table.ptr[0] == '!')
			table = span_from(table, 1);
		if (table.len > 0 && is_table_here(kind, before, table))
			l->tell(table, name, l->context);
		before = word;
	}
}

static void
values_mentions(const struct conf_values *v, const struct conf_values *base, const struct listener *l)
{
	struct span rest = span_of(v->smtpd_restriction_classes), word;

	for (size_t i = 0; i < param_count; i++) {
		const struct param *p = &param_table[i];
		enum list_kind kind = p->type == PARAM_TEXT ? kind_of(p->name) : LIST_NONE;
		const char *text = kind != LIST_NONE ? conf_lookup(v, p->name) : NULL;
		/* A section's values that are the global ones were looked at before. */
		if (text != NULL && (base == NULL || strcmp(text, conf_lookup(base, p->name)) != 0))
			list_mentions(kind, p->name, text, l);
	}
	/* Elsewhere it names a socket. */
	if (v->smtpd_sasl_type == CONF_SMTPD_SASL_TYPE_TABLE &&
	    (base == NULL || base->smtpd_sasl_type != CONF_SMTPD_SASL_TYPE_TABLE ||
		strcmp(base->smtpd_sasl_path, v->smtpd_sasl_path) != 0))
		list_mentions(LIST_TABLES, "smtpd_sasl_path", v->smtpd_sasl_path, l);
	while (conf_list_next(&rest, &word)) {
		char name[CONF_NAME_MAX + 1];
		const char *text = span_copy(word, name, sizeof(name)) ? conf_lookup(v, name) : NULL;
		if (text != NULL && (base == NULL || strcmp(base->smtpd_restriction_classes,
							 v->smtpd_restriction_classes) != 0))
			list_mentions(LIST_RESTRICTIONS, name, text, l);
	}
}

static void
all_mentions(const struct conf *c, const struct listener *l)
{
	values_mentions(c->values, NULL, l);
	for (size_t i = 0; i < c->section_count; i++)
		values_mentions(c->sections[i].values, c->values, l);
}

void
map_mentions(const struct conf *c, map_mention *tell, void *context)
{
	const struct listener all = {tell, context, false};

	all_mentions(c, &all);
}

void
map_mentions_access(const struct conf *c, map_mention *tell, void *context)
{
	const struct listener some = {tell, context, true};

	all_mentions(c, &some);
}
