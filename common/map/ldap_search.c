/*
 * ldap_search: the searches of one question. An entry's values are the result; DNs and URLs in its special attributes
 * are searched in turn, as groups have their members (ldap_table(5), special_result_attribute).
 */
#include "config.h"

#ifdef HAVE_LDAP

#include <stdlib.h>
#include <sys/time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/map/ldap.h"

/* Groups may hold each other: what has no end ends with one of these, or with the time. */
enum { FILTER_MAX = 20000, DEPTH_MAX = 100, SEARCHES_MAX = 100000 };

struct search {
	const struct directory *directory;
	struct ldap_connection *connection;
	LDAP *ld; /* its */
	struct query_result result;
	unsigned long searches;
	unsigned long depth; /* against recursion_limit */
	int64_t deadline_us;
	bool lost;
	bool *cut;
	struct error *err;
};

/* RFC 4515, 3: what has a meaning in a filter is written in hexadecimal. */
static int
quote_filter(struct buf *out, struct span text, void *context)
{
	(void)context;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c == '*' || c == '(' || c == ')' || c == '\\' || c == '\0')
			(void)buf_printf(out, "\\%02x", c);
		else
			(void)buf_append(out, &text.ptr[i], 1);
	}
	return out->full ? -1 : 0;
}

/* RFC 4514, 2.4: the same for a DN. */
static int
quote_dn(struct buf *out, struct span text, void *context)
{
	(void)context;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		bool at_end = i == 0 || i + 1 == text.len;
		if (strchr("\"+,;<>\\=", c) != NULL || (c == '#' && i == 0) || (c == ' ' && at_end))
			(void)buf_append(out, "\\", 1);
		(void)buf_append(out, &c, 1);
	}
	return out->full ? -1 : 0;
}

static int search(struct search *s, const char *base, int scope, const char *filter);

static bool
starts_as_url(const char *text)
{
	struct span value = span_of(text);
	return span_starts_nocase(value, "ldap:") || span_starts_nocase(value, "ldaps:") ||
	       span_starts_nocase(value, "ldapi:");
}

/* A DN, or a URL with a search of its own; the server in a URL does not count. */
static int
follow(struct search *s, const struct berval *value)
{
	LDAPURLDesc *url = NULL;
	int status = 0;

	if (s->depth >= s->directory->recursion_limit || s->depth >= DEPTH_MAX)
		return error_set(
		    s->err, "LDAP: entries refer to others more than %lu deep (recursion_limit)", s->depth);
	if (s->searches > SEARCHES_MAX)
		return error_set(s->err, "LDAP: entries refer to more than %d others", SEARCHES_MAX);
	char *text = mem_strndup(value->bv_val, value->bv_len);
	s->depth++;
	if (!starts_as_url(text))
		status = search(s, text, LDAP_SCOPE_BASE, "(objectclass=*)");
	else if (ldap_lib.ldap_url_parse(text, &url) == LDAP_URL_SUCCESS)
		status = search(s, url->lud_dn != NULL ? url->lud_dn : "", url->lud_scope,
		    url->lud_filter != NULL ? url->lud_filter : "(objectclass=*)");
	s->depth--;
	if (url != NULL)
		ldap_lib.ldap_free_urldesc(url);
	free(text);
	return status;
}

static int
take_values(struct search *s, LDAPMessage *entry, size_t attribute)
{
	struct berval **values =
	    ldap_lib.ldap_get_values_len(s->ld, entry, s->directory->attributes[attribute]);
	int status = 0;

	for (size_t i = 0; status == 0 && values != NULL && values[i] != NULL; i++) {
		if (s->directory->roles[attribute] == LDAP_SPECIAL)
			status = follow(s, values[i]);
		else
			status =
			    query_add(&s->result, span_make(values[i]->bv_val, values[i]->bv_len), s->err);
	}
	ldap_lib.ldap_value_free_len(values);
	return status;
}

/* Terminal attributes push all others aside; leaf ones count where nothing is referred to. */
static bool
counts(enum ldap_attribute_role role, bool terminal, bool leaf)
{
	if (terminal)
		return role == LDAP_TERMINAL;
	return role == LDAP_RESULT || role == LDAP_SPECIAL || (role == LDAP_LEAF && leaf);
}

static int
take_entry(struct search *s, LDAPMessage *entry)
{
	const struct directory *d = s->directory;
	bool has[LDAP_ROLES] = {false};

	for (size_t i = 0; i < d->attribute_count; i++) {
		struct berval **values = ldap_lib.ldap_get_values_len(s->ld, entry, d->attributes[i]);
		has[d->roles[i]] = has[d->roles[i]] || (values != NULL && values[0] != NULL);
		ldap_lib.ldap_value_free_len(values);
	}
	for (size_t i = 0; i < d->attribute_count; i++)
		if (counts(d->roles[i], has[LDAP_TERMINAL], !has[LDAP_SPECIAL]) &&
		    take_values(s, entry, i) < 0)
			return -1;
	return 0;
}

/* Waits for all of a search's answer. NULL with err. */
static LDAPMessage *
fetch(struct search *s, const char *base, int scope, const char *filter)
{
	const struct directory *d = s->directory;
	struct timeval limit = {.tv_sec = client_seconds(s->deadline_us)};
	LDAPMessage *answer = NULL;
	int number, id;

	number = ldap_lib.ldap_search_ext(
	    s->ld, base, scope, filter, d->attributes, 0, NULL, NULL, &limit, d->size_limit, &id);
	if (number != LDAP_SUCCESS) {
		s->lost = ldap_trouble(s->ld, number, s->err);
		return NULL;
	}
	int got = ldap_lib.ldap_result(s->ld, id, LDAP_MSG_ALL, &limit, &answer);
	if (got > 0)
		return answer;
	*s->cut = s->connection->taken > CLIENT_ANSWER_MAX;
	s->lost = !*s->cut;
	if (*s->cut)
		(void)error_set(s->err, "LDAP: an answer of more than %d octets", CLIENT_ANSWER_MAX);
	else if (got == 0) {
		(void)ldap_lib.ldap_abandon_ext(s->ld, id, NULL, NULL);
		(void)error_set(s->err, "LDAP: no answer in time");
	} else {
		(void)ldap_lib.ldap_get_option(s->ld, LDAP_OPT_RESULT_CODE, &number);
		(void)ldap_trouble(s->ld, number, s->err);
	}
	return NULL;
}

/* One that is made of the key may be missing as the key is; another one is of a directory that is not in order. */
static bool
base_is_fixed(const struct directory *d)
{
	for (const char *c = strchr(d->search_base, '%'); c != NULL; c = strchr(c + 2, '%'))
		if (c[1] != '%')
			return false;
	return true;
}

static int
search(struct search *s, const char *base, int scope, const char *filter)
{
	int number = LDAP_OTHER, status = 0;
	size_t held = s->connection->taken;

	s->searches++;
	if (clock_mono_us() >= s->deadline_us)
		return error_set(s->err, "LDAP: no answer in time");
	LDAPMessage *answer = fetch(s, base, scope, filter);
	if (answer == NULL)
		return -1;
	(void)ldap_lib.ldap_parse_result(s->ld, answer, &number, NULL, NULL, NULL, NULL, 0);
	if (number == LDAP_SUCCESS) {
		for (LDAPMessage *e = ldap_lib.ldap_first_entry(s->ld, answer); e != NULL && status == 0;
		     e = ldap_lib.ldap_next_entry(s->ld, e))
			status = take_entry(s, e);
	} else if (number != LDAP_NO_SUCH_OBJECT || (s->depth == 0 && base_is_fixed(s->directory))) {
		s->lost = ldap_trouble(s->ld, number, s->err);
		error_while(s->err, "search base %s", base);
		status = -1;
	}
	(void)ldap_lib.ldap_msgfree(answer);
	s->connection->taken = held;
	return status;
}

enum lookup_status
ldap_ask(void *table, void *connection, const struct client_question *q, int64_t deadline_us, bool *lost,
    struct error *err)
{
	const struct directory *d = table;
	struct search s = {.directory = d,
	    .connection = connection,
	    .ld = ((struct ldap_connection *)connection)->ld,
	    .result = {.query = &d->query, .key = q->key, .value = q->hit->value},
	    .deadline_us = deadline_us,
	    .cut = q->cut,
	    .err = err};
	struct buf base, filter;

	s.connection->taken = 0;
	buf_init(&base, FILTER_MAX);
	buf_init(&filter, FILTER_MAX);
	enum lookup_status status = query_make(d->search_base, q->key, quote_dn, NULL, &base, err);
	if (status == LOOKUP_FOUND)
		status = query_make(d->query.template, q->key, quote_filter, NULL, &filter, err);
	if (status == LOOKUP_FOUND)
		status = search(&s, buf_text(&base), d->scope, buf_text(&filter)) < 0 ? LOOKUP_TEMPORARY
										      : query_end(&s.result);
	buf_free(&base);
	buf_free(&filter);
	*lost = s.lost;
	return status;
}

#endif
