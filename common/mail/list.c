/*
 * Addresses of header fields (RFC 5322, 3.4 and 4.4). The text comes from strangers and from thirty years of
 * programs: one bad element is passed over, and the rest is still found.
 */
#include "common/mail/address.h"

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/mail/local_part.h"

/* One element of the list, gathered without comments and white space. */
struct element {
	char text[ADDRESS_MAX + 1];
	size_t len;
	bool angle; /* text is what stood between < and > */
	bool phrase; /* two words side by side: a display name, or nonsense */
	bool gap; /* white space or a comment came since the last character */
	bool apart; /* it came within the address */
	bool broken;
	bool seen; /* anything at all */
	size_t start, end; /* of its first octet in the field, and behind its last */
};

struct list {
	struct arena *arena;
	struct span text;
	size_t at;
	struct element element;
	address_found *found;
	void (*unusable)(struct span text, void *context);
	void *context;
	size_t bad;
	bool words; /* white space separates addresses, too */
	bool own; /* the host's own text, not a stranger's: "a@b@c" is "a@b"@c */
	bool enough; /* the caller wants no more */
	size_t stop; /* from here to there no '<' follows, if !angle_next */
	bool angle_next;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Comments nest (RFC 5322, 3.2.2); one that does not end takes all that follows. */
static void
skip_comment(struct list *l)
{
	size_t depth = 0;

	for (; l->at < l->text.len; l->at++) {
		char c = l->text.ptr[l->at];
		if (c == '\\')
			l->at++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return;
	}
	l->element.broken = true;
}

static void
put(struct list *l, char c)
{
	struct element *e = &l->element;

	if (e->len == 0)
		e->start = l->at;
	e->end = l->at + 1;
	if (e->len < ADDRESS_MAX)
		e->text[e->len++] = c;
	else
		e->broken = true;
}

/* Characters that bind words to an address also across white space: "joe . doe @ example . com" (RFC 5322, 4.4). */
static bool
binds(char c)
{
	return c == '.' || c == '@' || c == ',' || c == ':';
}

/* A word that RFC 2047 encoded is a name, never an address. */
static bool
is_encoded_word(const struct element *e)
{
	struct span s = span_make(e->text, e->len);
	return span_starts(s, "=?") && span_ends_nocase(s, "?=");
}

static void
pass_over(struct list *l)
{
	const struct element *e = &l->element;

	l->bad++;
	if (l->unusable != NULL)
		l->unusable(span_sub(l->text, e->start, e->end - e->start), l->context);
}

/* The last '@' is the one that counts: virtual(5) has user@domain@autoreply.domain. Not with quotes, or blanks. */
static enum address_fault
parse_two_at_signs(struct list *l, struct span text, struct span *address)
{
	ptrdiff_t last = span_find_last(text, '@');
	struct span local;

	if (!l->own || l->element.apart || last < 0)
		return ADDRESS_SYNTAX;
	local = span_sub(text, 0, (size_t)last);
	if (span_find(local, '@') < 1 || local.ptr[local.len - 1] == '@' || span_find(local, '"') >= 0 ||
	    span_find(local, '\\') >= 0)
		return ADDRESS_SYNTAX;
	text = address_join(l->arena, local, span_from(text, (size_t)last + 1));
	return text.len == 0 ? ADDRESS_TOO_LONG : mailbox_parse(l->arena, text, ADDRESS_UTF8, address);
}

static void
end_element(struct list *l)
{
	struct element *e = &l->element;
	struct span text = span_make(e->text, e->len), address;

	if (!e->seen || (e->angle && e->len == 0 && !e->broken))
		; /* empty elements (RFC 5322, 4.4), and "<>" in a Return-Path */
	else if (e->broken || e->phrase || is_encoded_word(e))
		pass_over(l);
	else {
		char *path = e->angle && e->text[0] == '@' ? memchr(e->text, ':', e->len) : NULL;
		char nobody[ADDRESS_MAX + 3];
		if (path != NULL) { /* a source route (RFC 5322, 4.4) */
			text = span_from(text, (size_t)(path - e->text) + 1);
		} else if (l->words && e->text[0] == '@') {
			nobody[0] = nobody[1] = '"';
			memcpy(nobody + 2, text.ptr, text.len);
			text = span_make(nobody, text.len + 2);
		}
		if (mailbox_parse(l->arena, text, ADDRESS_UTF8 | ADDRESS_NO_DOMAIN_OK, &address) ==
			ADDRESS_OK ||
		    parse_two_at_signs(l, text, &address) == ADDRESS_OK)
			l->enough = !l->found(address, e->start, e->end, l->context);
		else
			pass_over(l);
	}
	memset(e, 0, sizeof(*e));
}

/* Is the word a part of a name, with its address in angle brackets behind it? What was seen ahead is not looked at again. */
static bool
is_name(struct list *l)
{
	bool quoted = false;

	if (l->at < l->stop)
		return l->angle_next;
	l->angle_next = false;
	for (l->stop = l->at; l->stop < l->text.len && !l->angle_next; l->stop++) {
		char c = l->text.ptr[l->stop];
		if (c == '\\')
			l->stop++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == ',' || c == ';' || c == ':'))
			break;
		else if (!quoted && c == '<')
			l->angle_next = true;
	}
	return l->angle_next;
}

static void
begin_word(struct list *l, char first)
{
	struct element *e = &l->element;

	if (e->gap && e->len > 0 && !binds(first) && !binds(e->text[e->len - 1])) {
		if (l->words && !e->angle && !e->phrase && !is_name(l))
			end_element(l);
		else
			e->phrase = true;
	}
	e->apart = e->apart || (e->gap && e->len > 0);
	e->gap = false;
	e->seen = true;
}

/* Quoted strings and domain literals, with what they hold, up to their closing character. */
static void
take_enclosed(struct list *l, char close)
{
	struct element *e = &l->element;

	begin_word(l, l->text.ptr[l->at]);
	put(l, l->text.ptr[l->at]);
	for (l->at++; l->at < l->text.len; l->at++) {
		char c = l->text.ptr[l->at];
		/* Folding inside a quoted string is not part of it (RFC 5322, 3.2.4). */
		if (c == '\r' || c == '\n')
			continue;
		put(l, c);
		if (c == close)
			return;
		if (c == '\\' && l->at + 1 < l->text.len) {
			l->at++;
			put(l, l->text.ptr[l->at]);
		}
	}
	e->broken = true;
}

/* What stood before '<' was a name. */
static void
begin_angle(struct list *l)
{
	struct element *e = &l->element;
	bool twice = e->angle;

	memset(e, 0, sizeof(*e));
	e->angle = e->seen = true;
	e->broken = twice;
}

/* Inside angle brackets all but their end is part of the address; "a@b" <c@d> e is broken. */
static bool
inside_angle(const struct list *l, bool open)
{
	return l->element.angle && open;
}

static void
take_char(struct list *l, bool *open)
{
	struct element *e = &l->element;
	char c = l->text.ptr[l->at];

	switch (c) {
	case '(':
		skip_comment(l);
		e->gap = true;
		return;
	case '"':
		take_enclosed(l, '"');
		return;
	case '[':
		take_enclosed(l, ']');
		return;
	case '<':
		if (e->angle && !*open && l->words)
			end_element(l);
		begin_angle(l);
		*open = true;
		return;
	case '>':
		if (!inside_angle(l, *open))
			e->broken = e->seen = true;
		*open = false;
		return;
	case ',':
	case ';':
		if (inside_angle(l, *open) && c == ',' && e->len > 0 && e->text[0] == '@')
			break; /* <@one,@two:joe@three> */
		if (inside_angle(l, *open))
			e->broken = true;
		*open = false;
		end_element(l);
		return;
	case ':':
		if (inside_angle(l, *open))
			break;
		memset(e, 0, sizeof(*e)); /* the name of a group */
		return;
	default:
		if (is_space(c)) {
			e->gap = true;
			return;
		}
	}
	if (e->angle && !*open && l->words)
		end_element(l);
	if (e->angle && !*open)
		e->broken = true; /* something behind <...> */
	begin_word(l, c);
	put(l, c);
}

static int
walk(struct list *l, struct error *err)
{
	bool open = false;

	for (; l->at < l->text.len && !l->enough; l->at++)
		take_char(l, &open);
	if (l->enough)
		return 0;
	if (open)
		l->element.broken = true;
	end_element(l);
	if (l->bad > 0)
		return error_set(err, "%zu unusable address%s in the list", l->bad, l->bad == 1 ? "" : "es");
	return 0;
}

int
address_list_walk(
    struct arena *a, struct span field_body, address_found *found, void *context, struct error *err)
{
	struct list l = {.arena = a, .text = field_body, .found = found, .context = context};
	return walk(&l, err);
}

struct plain_walk {
	bool (*found)(struct span address, void *context);
	void (*unusable)(struct span text, void *context);
	void *context;
};

static bool
found_plain(struct span address, size_t start, size_t end, void *context)
{
	const struct plain_walk *plain = context;

	(void)start;
	(void)end;
	return plain->found(address, plain->context);
}

static void
unusable_plain(struct span text, void *context)
{
	const struct plain_walk *plain = context;

	plain->unusable(text, plain->context);
}

int
address_list_parse(struct arena *a, struct span field_body, bool (*found)(struct span address, void *context),
    void *context, struct error *err)
{
	struct plain_walk plain = {found, NULL, context};
	struct list l = {
	    .arena = a, .text = field_body, .found = found_plain, .context = &plain, .own = true};
	return walk(&l, err);
}

int
address_words_parse(struct arena *a, struct span text, bool (*found)(struct span address, void *context),
    void *context, struct error *err)
{
	struct plain_walk plain = {found, NULL, context};
	struct list l = {
	    .arena = a, .text = text, .found = found_plain, .context = &plain, .words = true, .own = true};
	return walk(&l, err);
}

void
address_elements_parse(struct arena *a, struct span text, bool words,
    bool (*found)(struct span address, void *context), void (*unusable)(struct span text, void *context),
    void *context)
{
	struct plain_walk plain = {found, unusable, context};
	struct list l = {.arena = a,
	    .text = text,
	    .found = found_plain,
	    .unusable = unusable_plain,
	    .context = &plain,
	    .words = words};
	struct error err;

	(void)walk(&l, &err);
}
