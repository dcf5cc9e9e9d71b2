#include "common/map/keys.h"

#include <stdio.h>

#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/domain_form.h"

/* An address in its parts. user is local without "+ext"; both end in a quote again where local was quoted. */
struct parts {
	struct span whole, local, domain;
	struct span extension; /* with its delimiter; empty: none */
	char user[LOCAL_PART_MAX + 2];
	size_t user_len;
};

/* One search: its state, so that each step is a short call. */
struct search {
	struct maplist *list;
	const struct map_keys *how;
	struct map_found *found;
	enum lookup_status status;
	bool international; /* the question's domain has A-labels or U-labels */
	bool quoted; /* the question is an address with a quoted local part */
};

/* A domain that may be written in two ways. */
static bool
is_international(enum lookup_form form, struct span question)
{
	if (form == LOOKUP_EXACT || form == LOOKUP_ADDRESS || form == LOOKUP_CLIENT || form == LOOKUP_LOCAL ||
	    form == LOOKUP_STATUS)
		return false;
	return text_is_8bit(question) || span_find_span(question, SPAN_LIT("xn--")) >= 0;
}

/* The key with its domain in the other form: "user@bücher.test" and "user@xn--bcher-kva.test" are one address. */
static struct span
other_form(struct span key, char text[MAP_KEY_MAX])
{
	char made[DOMAIN_FORM_MAX];
	ptrdiff_t at = span_find_last(key, '@');
	size_t kept = (size_t)(at + 1);

	if (!domain_other_form(span_from(key, kept), made))
		return (struct span){0};
	struct span domain = span_of(made);
	if (kept + domain.len > MAP_KEY_MAX)
		return (struct span){0};
	if (kept > 0)
		memcpy(text, key.ptr, kept);
	memcpy(text + kept, domain.ptr, domain.len);
	return span_make(text, kept + domain.len);
}

/*
 * The key without the quotes around its local part: "a b"@c is a b@c in a database and for patterns. Empty where it has
 * none, and where an '@' inside would make another address of it.
 */
static struct span
bare_form(struct span key, char text[MAP_KEY_MAX])
{
	size_t i, len = 0;

	for (i = 1; i < key.len && key.ptr[i] != '"'; i++) {
		if (key.ptr[i] == '\\' && i + 1 < key.len)
			i++;
		if (key.ptr[i] == '@')
			return (struct span){0};
		text[len++] = key.ptr[i];
	}
	if (key.len == 0 || key.ptr[0] != '"' || i >= key.len || len == 0)
		return (struct span){0};
	memcpy(text + len, key.ptr + i + 1, key.len - i - 1);
	return span_make(text, len + key.len - i - 1);
}

static void
try_form(struct search *s, struct span key, bool partial)
{
	char text[MAP_KEY_MAX];

	s->status = maplist_lookup(s->list, key, partial, s->found);
	if (s->status == LOOKUP_NOT_FOUND && s->international) {
		struct span other = other_form(key, text);
		if (other.len > 0)
			s->status = maplist_lookup(s->list, other, partial, s->found);
	}
}

static bool
try_key(struct search *s, struct span key, bool partial)
{
	char text[MAP_KEY_MAX];

	if (s->status != LOOKUP_NOT_FOUND || key.len == 0)
		return s->status != LOOKUP_NOT_FOUND;
	try_form(s, key, partial);
	if (s->status == LOOKUP_NOT_FOUND && s->quoted && key.ptr[0] == '"' && key.len <= sizeof(text)) {
		struct span bare = bare_form(key, text);
		if (bare.len > 0)
			try_form(s, bare, partial);
	}
	/* An empty value neither says that there is something nor that there is nothing. */
	if (s->status == LOOKUP_FOUND && s->found->value.len == 0) {
		error_set(&s->found->err, "%s: key %.*s: an empty result is not allowed", s->found->table,
		    SPAN_ARG(key));
		s->status = LOOKUP_TEMPORARY;
	}
	return s->status != LOOKUP_NOT_FOUND;
}

/* a, b and c in one. A key that would be too long cannot be in a table. */
static bool
try_joined(struct search *s, struct span a, const char *b, struct span c)
{
	char key[MAP_KEY_MAX];
	size_t b_len = strlen(b);

	if (a.len + b_len + c.len > sizeof(key))
		return false;
	if (a.len > 0)
		memcpy(key, a.ptr, a.len);
	memcpy(key + a.len, b, b_len);
	if (c.len > 0)
		memcpy(key + a.len + b_len, c.ptr, c.len);
	return try_key(s, span_make(key, a.len + b_len + c.len), true);
}

/* The parent of a domain: what follows its first dot. False for a name without one and for address literals. */
static bool
parent_next(struct span *domain)
{
	ptrdiff_t dot = domain->len > 0 && domain->ptr[0] != '[' ? span_find(*domain, '.') : -1;

	if (dot < 0 || (size_t)dot + 1 >= domain->len)
		return false;
	*domain = span_from(*domain, (size_t)dot + 1);
	return true;
}

/* domain itself was tried: now its parents, as "parent" or ".parent". */
static bool
try_parents(struct search *s, struct span domain, bool parent_matches)
{
	while (s->status == LOOKUP_NOT_FOUND && parent_next(&domain)) {
		if (parent_matches)
			(void)try_key(s, domain, true);
		else
			(void)try_joined(s, (struct span){0}, ".", domain);
	}
	return s->status != LOOKUP_NOT_FOUND;
}

static void
search_host(struct search *s, struct span name)
{
	if (!try_key(s, name, false))
		(void)try_parents(s, name, s->how->parent_matches);
}

/* access(5), HOST NAME/ADDRESS PATTERNS: the address, then shorter by an octet or group. */
static void
search_address(struct search *s, struct span address)
{
	char separator = span_find(address, ':') >= 0 ? ':' : '.';

	if (try_key(s, address, false))
		return;
	for (ptrdiff_t at; (at = span_find_last(address, separator)) > 0;) {
		address = span_sub(address, 0, (size_t)at);
		/* 2001:db8:: is asked as 2001:db8 alone. */
		if (address.ptr[address.len - 1] == separator)
			continue;
		if (try_key(s, address, true))
			return;
	}
}

/* Postfix's TLS_README: "[host]", "host:port" and paths stand for themselves alone. */
static void
search_nexthop(struct search *s, struct span nexthop)
{
	if (!try_key(s, nexthop, false) && span_find(nexthop, ':') < 0 && span_find(nexthop, '/') < 0)
		(void)try_parents(s, nexthop, false);
}

static void
search_client(struct search *s, struct span question)
{
	ptrdiff_t newline = span_find(question, '\n');

	if (newline < 0) {
		search_host(s, question);
		return;
	}
	search_host(s, span_sub(question, 0, (size_t)newline));
	if (s->status == LOOKUP_NOT_FOUND)
		search_address(s, span_from(question, (size_t)newline + 1));
}

static struct span
user_of(const struct parts *p)
{
	return span_make(p->user, p->user_len);
}

static void
parts_make(struct parts *p, struct span address, const struct map_keys *how)
{
	struct span user, extension;

	*p = (struct parts){.whole = address};
	address_split(address, &p->local, &p->domain);
	bool quoted = p->local.len >= 2 && p->local.ptr[0] == '"';
	struct span bare = quoted ? span_sub(p->local, 1, p->local.len - 2) : p->local;
	if (how->delimiters == NULL || how->delimiters[0] == '\0')
		return;
	address_split_extension(bare, how->delimiters, how->split_owners, &user, &extension);
	if (user.len >= bare.len || user.len > LOCAL_PART_MAX)
		return;
	p->extension = span_from(bare, user.len);
	/* "a b+ext" without its extension is "a b", in quotes as before. */
	if (quoted)
		p->user[p->user_len++] = '"';
	memcpy(p->user + p->user_len, user.ptr, user.len);
	p->user_len += user.len;
	if (quoted)
		p->user[p->user_len++] = '"';
}

/* user+ext@domain, user@domain. */
static bool
search_whole(struct search *s, const struct parts *p)
{
	if (try_key(s, p->whole, false))
		return true;
	if (p->extension.len == 0 || p->domain.len == 0)
		return false;
	return try_joined(s, user_of(p), "@", p->domain);
}

/* access(5), EMAIL ADDRESS PATTERNS: then domain, parents, user+ext@, user@. */
static void
search_mail_access(struct search *s, const struct parts *p)
{
	if (search_whole(s, p))
		return;
	if (p->domain.len > 0) {
		if (try_key(s, p->domain, true) || try_parents(s, p->domain, s->how->parent_matches))
			return;
	}
	if (try_joined(s, p->local, "@", (struct span){0}) || p->extension.len == 0)
		return;
	(void)try_joined(s, user_of(p), "@", (struct span){0});
}

/* canonical(5), virtual(5): then user+ext and user if the domain is ours, then @domain. */
static void
search_mail(struct search *s, const struct parts *p)
{
	if (search_whole(s, p))
		return;
	if (p->domain.len == 0) {
		/* A name that nobody completed, in a header. */
		if (p->extension.len > 0)
			(void)try_key(s, user_of(p), true);
		return;
	}
	if (s->how->is_local != NULL && s->how->is_local(p->domain, s->how->context)) {
		if (try_key(s, p->local, true))
			return;
		if (p->extension.len > 0 && try_key(s, user_of(p), true))
			return;
	}
	(void)try_joined(s, (struct span){0}, "@", p->domain);
}

/* virtual(8): then @domain. */
static void
search_virtual(struct search *s, const struct parts *p)
{
	if (!search_whole(s, p) && p->domain.len > 0)
		(void)try_joined(s, (struct span){0}, "@", p->domain);
}

/* aliases(5): the question is a local part. '@' is the mark that postalias puts into a built table, and nobody's name. */
static void
search_local(struct search *s, const struct parts *p)
{
	if (span_is(p->local, "@"))
		return;
	if (!try_key(s, p->local, false) && p->extension.len > 0)
		(void)try_key(s, user_of(p), true);
}

static void
search_transport(struct search *s, const struct parts *p)
{
	if (search_whole(s, p))
		return;
	if (p->domain.len > 0 &&
	    (try_key(s, p->domain, true) || try_parents(s, p->domain, s->how->parent_matches)))
		return;
	(void)try_key(s, SPAN_LIT("*"), true);
}

/* What the key that hit lacks of the question's extension. */
static struct span
unmatched_extension(const struct parts *p, const struct map_found *found)
{
	struct span key = buf_span(&found->key), user = user_of(p);
	char bare[MAP_KEY_MAX];

	if (user.len > 0 && user.ptr[0] == '"' && !span_starts(key, "\""))
		user = bare_form(user, bare);
	if (p->extension.len == 0 || key.len < user.len ||
	    !span_equal_nocase(span_sub(key, 0, user.len), user))
		return (struct span){0};
	bool user_alone = key.len == user.len || key.ptr[user.len] == '@';
	return user_alone ? p->extension : (struct span){0};
}

/*
 * What a pattern took of the key into the value was chosen by a stranger (catalogue H10). As in Postfix it may not
 * become a command, file or route; in tables of addresses it may not become more than a part of one address.
 */
static bool
is_dangerous(enum lookup_form form, const struct map_found *found)
{
	if (form == LOOKUP_LOCAL || form == LOOKUP_TRANSPORT)
		return found->substituted;
	return form == LOOKUP_MAIL && found->loose;
}

/* access(5): an address is looked for as it will be, with the domain that completes it; the null sender as <>. */
static struct span
access_question(struct span question, const struct map_keys *how, char room[MAP_KEY_MAX])
{
	struct span local, domain;

	if (question.len == 0)
		return SPAN_LIT("<>");
	address_split(question, &local, &domain);
	/* "a@host.", which is not completed. */
	if (domain.len > 1 && domain.ptr[domain.len - 1] == '.')
		question.len--;
	if (domain.len > 0 || how->origin == NULL)
		return question;
	int n = snprintf(room, MAP_KEY_MAX, "%.*s@%s", SPAN_ARG(local), how->origin);
	return n > 0 && n < MAP_KEY_MAX ? span_make(room, (size_t)n) : question;
}

enum lookup_status
map_find(struct maplist *l, enum lookup_form form, struct span question, const struct map_keys *how,
    struct map_found *found, struct span *extension)
{
	struct search s = {.list = l, .how = how, .found = found, .status = LOOKUP_NOT_FOUND};
	char room[MAP_KEY_MAX];
	struct parts p;

	if (extension != NULL)
		*extension = (struct span){0};
	if (maplist_empty(l))
		return LOOKUP_NOT_FOUND;
	s.international = is_international(form, question);
	switch (form) {
	case LOOKUP_EXACT:
	case LOOKUP_STATUS:
		(void)try_key(&s, question, false);
		return s.status;
	case LOOKUP_HOST:
		search_host(&s, question);
		return s.status;
	case LOOKUP_ADDRESS:
		search_address(&s, question);
		return s.status;
	case LOOKUP_CLIENT:
		search_client(&s, question);
		return s.status;
	case LOOKUP_NEXTHOP:
		search_nexthop(&s, question);
		return s.status;
	default:
		break;
	}
	if (form == LOOKUP_MAIL_ACCESS)
		question = access_question(question, how, room);
	parts_make(&p, question, how);
	s.quoted = form != LOOKUP_LOCAL && span_starts(question, "\"");
	if (form == LOOKUP_LOCAL)
		p.local = question;
	if (form == LOOKUP_MAIL_ACCESS)
		search_mail_access(&s, &p);
	else if (form == LOOKUP_MAIL)
		search_mail(&s, &p);
	else if (form == LOOKUP_VIRTUAL)
		search_virtual(&s, &p);
	else if (form == LOOKUP_LOCAL)
		search_local(&s, &p);
	else
		search_transport(&s, &p);
	if (s.status == LOOKUP_FOUND && is_dangerous(form, found)) {
		error_set(&found->err, "%s, line %u: what a pattern matched ($1) may not be put in here",
		    found->table, found->line);
		return LOOKUP_TEMPORARY;
	}
	if (s.status == LOOKUP_FOUND && extension != NULL)
		*extension = unmatched_extension(&p, found);
	return s.status;
}
