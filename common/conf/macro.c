#include "common/conf/macro.h"

#include <string.h>

#include "common/base/text.h"

enum { DEPTH_MAX = 20 };

struct walk {
	struct buf *out; /* NULL: names are told of only */
	const struct macro_names *names;
	void (*found)(void *context, struct span name);
	void *context;
	bool undefined, malformed;
	unsigned depth;
};

static void expand(struct walk *w, struct span text);

size_t
macro_name_length(struct span s)
{
	size_t n = 0;

	while (n < s.len && (ascii_is_alnum(s.ptr[n]) || s.ptr[n] == '_'))
		n++;
	return n;
}

bool
macro_take_bracketed(struct span *s, struct span *inside)
{
	char opening = s->ptr[0], closing = opening == '(' ? ')' : '}';
	unsigned level = 0;

	for (size_t i = 0; i < s->len; i++) {
		if (s->ptr[i] == opening)
			level++;
		else if (s->ptr[i] == closing && --level == 0) {
			*inside = span_sub(*s, 1, i - 1);
			*s = span_from(*s, i + 1);
			return true;
		}
	}
	return false;
}

static void
put_value(struct walk *w, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		const char *byte = value.ptr + i;
		bool good = !w->names->allowed || (*byte != '\0' && strchr(w->names->allowed, *byte));

		buf_append(w->out, good ? byte : "_", 1);
	}
}

static bool
value_of(struct walk *w, struct span name, struct span *value)
{
	*value = span_make("", 0);
	if (w->found)
		w->found(w->context, name);
	return w->out && w->names->value(w->names->context, name, value) && value->len > 0;
}

/* "?text", "?{text}", with ":{text}" behind it: the two texts. */
static void
take_branches(struct span rest, struct span *yes, struct span *no)
{
	bool is_yes = rest.ptr[0] == '?';
	struct span *first = is_yes ? yes : no;

	*yes = *no = span_make("", 0);
	rest = span_from(rest, 1);
	if (rest.len == 0 || rest.ptr[0] != '{' || !macro_take_bracketed(&rest, first)) {
		*first = rest;
		return;
	}
	rest = span_trim(rest);
	if (is_yes && rest.len > 1 && rest.ptr[0] == ':') {
		rest = span_trim(span_from(rest, 1));
		if (rest.len > 0 && rest.ptr[0] == '{')
			macro_take_bracketed(&rest, no);
		else
			*no = rest;
	}
}

static void
expand_bracketed(struct walk *w, struct span inside)
{
	size_t len = macro_name_length(inside);
	struct span name = span_sub(inside, 0, len), rest = span_from(inside, len), value, yes, no;
	bool there;

	if (len == 0) {
		w->malformed = true;
		return;
	}
	there = value_of(w, name, &value);
	if (rest.len == 0) {
		w->undefined |= !there;
		if (there)
			put_value(w, value);
		return;
	}
	if (rest.ptr[0] != '?' && rest.ptr[0] != ':') {
		w->malformed = true;
		return;
	}
	take_branches(rest, &yes, &no);
	if (there || !w->out)
		expand(w, yes);
	if (!there || !w->out)
		expand(w, no);
}

static void
expand(struct walk *w, struct span text)
{
	if (++w->depth > DEPTH_MAX)
		w->malformed = true;
	while (text.len > 0 && !w->malformed) {
		ptrdiff_t dollar = span_find(text, '$');
		size_t len = dollar < 0 ? text.len : (size_t)dollar;
		struct span inside, value;

		if (w->out)
			buf_append_span(w->out, span_sub(text, 0, len));
		text = span_from(text, dollar < 0 ? len : len + 1);
		if (dollar < 0)
			break;
		len = macro_name_length(text);
		if (text.len > 0 && text.ptr[0] == '$') {
			if (w->out)
				buf_append_text(w->out, "$");
			text = span_from(text, 1);
		} else if (text.len > 0 && (text.ptr[0] == '{' || text.ptr[0] == '(')) {
			if (macro_take_bracketed(&text, &inside))
				expand_bracketed(w, inside);
			else
				w->malformed = true;
		} else if (len > 0) {
			if (value_of(w, span_sub(text, 0, len), &value))
				put_value(w, value);
			else
				w->undefined = true;
			text = span_from(text, len);
		} else {
			w->malformed = true;
		}
	}
	w->depth--;
}

bool
macro_expand(struct buf *out, struct span text, const struct macro_names *names)
{
	struct walk w = {.out = out, .names = names};

	expand(&w, text);
	return !w.undefined && !w.malformed && !out->full;
}

bool
macro_each_name(struct span text, void (*found)(void *context, struct span name), void *context)
{
	struct walk w = {.found = found, .context = context};

	expand(&w, text);
	return !w.malformed;
}
