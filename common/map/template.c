#include "common/map/template.h"

#include "common/base/text.h"

/* An address in parts; domain.ptr is NULL for what is no address. */
struct parts {
	struct span whole, local, domain;
};

static struct parts
parts_of(struct span text)
{
	struct parts p = {.whole = text, .local = text};
	ptrdiff_t at = span_find_last(text, '@');

	if (at < 0)
		return p;
	p.local = span_sub(text, 0, (size_t)at);
	p.domain = span_make(text.ptr + at + 1, text.len - (size_t)at - 1);
	return p;
}

/* The n-th label from the right, 1 the last; empty if there is none. */
static struct span
label(struct span domain, unsigned n)
{
	struct span rest = domain, found = {0};

	for (unsigned i = 0; i < n; i++) {
		if (rest.ptr == NULL)
			return (struct span){0};
		ptrdiff_t dot = span_find_last(rest, '.');
		found = span_from(rest, (size_t)(dot + 1));
		rest = dot < 0 ? (struct span){0} : span_make(rest.ptr, (size_t)dot);
	}
	return found;
}

/* What stands for %c: false if the address does not have it. */
static bool
part(const struct parts *p, char c, struct span *out)
{
	switch (ascii_lower(c)) {
	case 's':
		*out = p->whole;
		break;
	case 'u':
		*out = p->local;
		break;
	case 'd':
		*out = p->domain;
		break;
	default:
		*out = label(p->domain, (unsigned)(c - '0'));
		break;
	}
	return out->len > 0;
}

int
template_check(const char *template, const char *what, struct error *err)
{
	for (const char *c = template; *c != '\0'; c++) {
		if (*c != '%')
			continue;
		c++;
		if (*c == '\0' || strchr("%sudSUD123456789", *c) == NULL)
			return error_set(err, "%s: \"%%%.1s\" means nothing", what, c);
	}
	return 0;
}

/* %u and %d of a result are the value's, all else the key's; in a query everything is the key's. */
static int
expand(const char *template, const struct parts *value, const struct parts *key, template_quote *quote,
    void *context, struct buf *out)
{
	for (const char *c = template; *c != '\0'; c++) {
		struct span text;
		if (*c != '%' || c[1] == '%') {
			c += *c == '%';
			(void)buf_append(out, c, 1);
			continue;
		}
		c++;
		bool of_value = *c == 's' || *c == 'u' || *c == 'd';
		if (!part(of_value ? value : key, *c, &text))
			return 0;
		if (quote == NULL)
			(void)buf_append_span(out, text);
		else if (quote(out, text, context) < 0)
			return 0;
	}
	return out->full ? 0 : 1;
}

int
template_query(const char *template, struct span key, template_quote *quote, void *context, struct buf *out)
{
	struct parts p = parts_of(key);
	return expand(template, &p, &p, quote, context, out);
}

int
template_result(const char *template, struct span value, struct span key, struct buf *out)
{
	struct parts v = parts_of(value), k = parts_of(key);
	return expand(template, &v, &k, NULL, NULL, out);
}

bool
template_is_bare(const char *template)
{
	char quote = '\0';

	for (const char *c = template; *c != '\0'; c++) {
		if (*c == '%' && c[1] != '\0' && *++c != '%' && quote == '\0')
			return true;
		if (quote == '\0' && (*c == '\'' || *c == '"' || *c == '`'))
			quote = *c;
		else if (*c == quote)
			quote = '\0';
	}
	return false;
}
