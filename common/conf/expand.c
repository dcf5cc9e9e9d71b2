#include "common/conf/expand.h"

#include <string.h>

#include "common/base/text.h"
#include "common/conf/macro.h"
#include "common/conf/schema.h"

static int expand_text(struct expander *x, struct span text, struct buf *out, struct error *err);

static int
append(struct buf *out, struct span text, struct error *err)
{
	if (buf_append_span(out, text) < 0)
		return error_set(err, "the value becomes longer than %d octets", CONF_VALUE_MAX);
	return 0;
}

/* What that scope says, with what it says for stress first: "!name" comes only from master's shipped values. */
static struct setting *
find_setting(const struct expander *x, struct span name)
{
	char stressed[CONF_NAME_MAX + 2] = "!";
	struct setting *found = NULL;

	if (name.len > CONF_NAME_MAX)
		return NULL;
	if (x->stressed) {
		memcpy(stressed + 1, name.ptr, name.len);
		found = scope_find(x->own, span_make(stressed, name.len + 1));
	}
	if (!found)
		found = scope_find(x->own, name);
	if (!found)
		found = scope_find(x->global, name);
	return found;
}

static int
chain_error(const struct expander *x, struct span name, struct error *err)
{
	char path[300] = "";
	struct buf b;

	buf_init(&b, sizeof(path) - 1);
	for (unsigned i = 0; i < x->depth; i++) {
		if (b.len > 0 || span_equal(x->chain[i], name))
			buf_printf(&b, "%.*s -> ", SPAN_ARG(x->chain[i]));
	}
	buf_printf(&b, "%.*s", SPAN_ARG(name));
	span_copy(buf_span(&b), path, sizeof(path));
	buf_free(&b);
	return error_set(err, "the value leads back to itself: %s", path);
}

/* A name that is no parameter, and nothing sets. */
static int
expand_other(const struct expander *x, struct span name, struct buf *out, struct error *err)
{
	const struct unsupported *u = unsupported_find(name);

	if (span_is(name, "config_directory") && x->global->folder)
		return append(out, span_of(x->global->folder), err) < 0 ? -1 : 1;
	/* Postfix has no milter, say, until one is named. */
	return param_of_listeners(name) || (u && u->kind == UNSUPPORTED_UNSAFE) ? 1 : 0;
}

/* The value of name at the top of the chain. */
static int
expand_top(struct expander *x, struct span name, struct buf *out, struct error *err)
{
	const struct param *p = param_find(name);
	struct setting *setting = find_setting(x, name);

	if (x->stressed && span_is(name, "stress"))
		return append(out, SPAN_LIT("yes"), err) < 0 ? -1 : 1;
	if (setting) {
		if (x->depth == 1)
			x->line = setting->line;
		else
			setting->used = true;
		if (setting->literal || (p && p->type == PARAM_RAW))
			return append(out, span_of(setting->text), err) < 0 ? -1 : 1;
		return expand_text(x, span_of(setting->text), out, err) < 0 ? -1 : 1;
	}
	if (!p)
		return expand_other(x, name, out, err);
	if (computed_value(x, name, out))
		return 1;
	if (p->type == PARAM_RAW)
		return append(out, span_of(p->fallback), err) < 0 ? -1 : 1;
	return expand_text(x, span_of(p->fallback), out, err) < 0 ? -1 : 1;
}

int
expand_name(struct expander *x, struct span name, struct buf *out, struct error *err)
{
	int found;

	for (unsigned i = 0; i < x->depth; i++) {
		if (span_equal(x->chain[i], name))
			return chain_error(x, name, err);
	}
	if (x->depth == EXPAND_DEPTH_MAX || ++x->steps > EXPAND_STEPS_MAX)
		return error_set(err, "the value has too many $names within each other");
	x->chain[x->depth++] = name;
	found = expand_top(x, name, out, err);
	x->depth--;
	return found;
}

/* s begins with an opening bracket. Takes what is within the matching one, and moves s behind that. */
static int
take_bracketed(struct span *s, struct span *inside, struct error *err)
{
	char opening = s->ptr[0];

	if (macro_take_bracketed(s, inside))
		return 0;
	return error_set(err, "unbalanced %c: %.*s", opening, s->len < 40 ? (int)s->len : 40, s->ptr);
}

/* "?{a}:{b}", "?{a}", "?a", ":{b}" or ":b" behind a condition: the part that counts, expanded. */
static int
expand_branches(struct expander *x, bool holds, struct span rest, struct buf *out, struct error *err)
{
	bool want = rest.ptr[0] == '?' ? holds : !holds;
	struct span text, other = SPAN_LIT("");
	bool has_other = false;

	if (rest.ptr[0] != '?' && rest.ptr[0] != ':')
		return error_set(
		    err, "? or : is missing: %.*s", rest.len < 40 ? (int)rest.len : 40, rest.ptr);
	text = span_from(rest, 1);
	rest = span_trim(text);
	if (rest.len > 0 && rest.ptr[0] == '{') {
		if (take_bracketed(&rest, &text, err) < 0)
			return -1;
		rest = span_trim(rest);
		if (rest.len > 0 && rest.ptr[0] == ':') {
			other = span_trim(span_from(rest, 1));
			has_other = true;
			rest = other;
			if (other.len > 0 && other.ptr[0] == '{' && take_bracketed(&rest, &other, err) < 0)
				return -1;
			rest = span_trim(other.ptr == rest.ptr ? SPAN_LIT("") : rest);
		}
		if (rest.len > 0)
			return error_set(
			    err, "text behind }: %.*s", rest.len < 40 ? (int)rest.len : 40, rest.ptr);
	}
	if (want)
		return expand_text(x, text, out, err);
	return has_other ? expand_text(x, other, out, err) : 0;
}

/* -1, 0, 1 as memcmp; as numbers where both are. */
static int
compare_operands(struct span a, struct span b)
{
	uint64_t x, y;

	if (number_parse(a, 0, UINT64_MAX, &x) == 0 && number_parse(b, 0, UINT64_MAX, &y) == 0)
		return x < y ? -1 : x > y;
	return span_compare(a, b);
}

/* "3", "3.6" or "3.6.1" as one number; 0 also if it is none. */
static int
parse_level(struct span text, uint64_t *level, struct error *err)
{
	uint64_t part[3] = {0};
	struct span rest = span_trim(text), word;
	size_t n = 0;

	while (n < 3 && span_next_word(&rest, ".", &word)) {
		if (number_parse(word, 0, 65535, &part[n++]) < 0)
			break;
		if (rest.len == 0) {
			*level = part[0] << 32 | part[1] << 16 | part[2];
			return 0;
		}
	}
	return error_set(err, "%.*s is no level as 3.6 is one", SPAN_ARG(span_sub(text, 0, 40)));
}

/* <level and its kin: versions. */
static int
compare_levels(struct span a, struct span b, int *order, struct error *err)
{
	uint64_t x, y;

	if (parse_level(a, &x, err) < 0 || parse_level(b, &y, err) < 0)
		return -1;
	*order = x < y ? -1 : x > y;
	return 0;
}

/* "{a} == {b}" at the start of *rest, which is moved behind it. */
static int
take_comparison(struct expander *x, struct span *rest, bool *holds, struct error *err)
{
	static const struct {
		const char *sign;
		bool less, equal, more;
	} operators[] = {{"==", false, true, false}, {"!=", true, false, true}, {"<=", true, true, false},
	    {">=", false, true, true}, {"<", true, false, false}, {">", false, false, true}};
	struct span sides[2];
	struct buf values[2];
	size_t op = 0;
	int result = -1, order;
	bool levels;

	buf_init(&values[0], CONF_VALUE_MAX);
	buf_init(&values[1], CONF_VALUE_MAX);
	if (take_bracketed(rest, &sides[0], err) < 0)
		goto out;
	*rest = span_trim(*rest);
	while (op < 6 && !span_starts(*rest, operators[op].sign))
		op++;
	if (op == 6) {
		error_set(
		    err, "a comparison is missing: %.*s", rest->len < 40 ? (int)rest->len : 40, rest->ptr);
		goto out;
	}
	*rest = span_from(*rest, strlen(operators[op].sign));
	levels = span_starts(*rest, "level");
	*rest = span_trim(levels ? span_from(*rest, strlen("level")) : *rest);
	if (rest->len == 0 || rest->ptr[0] != '{') {
		error_set(err, "{ is missing behind %s", operators[op].sign);
		goto out;
	}
	if (take_bracketed(rest, &sides[1], err) < 0 || expand_text(x, sides[0], &values[0], err) < 0 ||
	    expand_text(x, sides[1], &values[1], err) < 0)
		goto out;
	if (!levels)
		order = compare_operands(span_trim(buf_span(&values[0])), span_trim(buf_span(&values[1])));
	else if (compare_levels(buf_span(&values[0]), buf_span(&values[1]), &order, err) < 0)
		goto out;
	*holds = order < 0 ? operators[op].less : order > 0 ? operators[op].more : operators[op].equal;
	*rest = span_trim(*rest);
	result = 0;
out:
	buf_free(&values[0]);
	buf_free(&values[1]);
	return result;
}

static int
expand_plain(struct expander *x, struct span name, struct buf *out, struct error *err)
{
	int found = expand_name(x, name, out, err);

	if (found == 0 && x->undefined.len == 0)
		x->undefined = name;
	return found < 0 ? -1 : 0;
}

static int
expand_inside(struct expander *x, struct span inside, struct buf *out, struct error *err)
{
	struct span rest = span_trim(inside), name;
	bool holds = false;

	if (++x->steps > EXPAND_STEPS_MAX)
		return error_set(err, "the value has too many $names within each other");
	if (rest.len > 0 && rest.ptr[0] == '{') {
		if (take_comparison(x, &rest, &holds, err) < 0)
			return -1;
		return rest.len == 0 ? error_set(err, "? is missing behind a comparison")
				     : expand_branches(x, holds, rest, out, err);
	}
	name = span_sub(rest, 0, macro_name_length(rest));
	if (name.len == 0)
		return error_set(
		    err, "a name is missing: ${%.*s}", inside.len < 40 ? (int)inside.len : 40, inside.ptr);
	rest = span_trim(span_from(rest, name.len));
	if (rest.len == 0)
		return expand_plain(x, name, out, err);
	if (rest.ptr[0] == '?' || rest.ptr[0] == ':') {
		struct buf value;
		int found;

		/* A name that nobody defines is what such a test is for. */
		buf_init(&value, CONF_VALUE_MAX);
		found = expand_name(x, name, &value, err);
		holds = value.len > 0;
		buf_free(&value);
		if (found < 0)
			return -1;
	}
	return expand_branches(x, holds, rest, out, err);
}

/* What stands within ${...} or $(...). */
static int
expand_bracketed(struct expander *x, struct span inside, struct buf *out, struct error *err)
{
	int result;

	if (x->nesting == EXPAND_NESTING_MAX)
		return error_set(err, "the value has too many brackets within each other");
	x->nesting++;
	result = expand_inside(x, inside, out, err);
	x->nesting--;
	return result;
}

static int
expand_text(struct expander *x, struct span text, struct buf *out, struct error *err)
{
	while (text.len > 0) {
		ptrdiff_t dollar = span_find(text, '$');
		struct span inside;
		size_t len;

		if (append(out, span_sub(text, 0, dollar < 0 ? text.len : (size_t)dollar), err) < 0)
			return -1;
		if (dollar < 0)
			return 0;
		text = span_from(text, (size_t)dollar + 1);
		len = macro_name_length(text);
		if (len > 0) {
			if (expand_plain(x, span_sub(text, 0, len), out, err) < 0)
				return -1;
			text = span_from(text, len);
		} else if (text.len > 0 && text.ptr[0] == '$') {
			if (append(out, SPAN_LIT("$"), err) < 0)
				return -1;
			text = span_from(text, 1);
		} else if (text.len > 0 && (text.ptr[0] == '{' || text.ptr[0] == '(')) {
			if (take_bracketed(&text, &inside, err) < 0 ||
			    expand_bracketed(x, inside, out, err) < 0)
				return -1;
		} else {
			return error_set(err, "a name is missing behind $ (a $ itself is written $$)");
		}
	}
	return 0;
}

int
expand_value(struct expander *x, struct span name, struct span text, struct buf *out, struct error *err)
{
	int result;

	x->chain[x->depth++] = name;
	result = expand_text(x, text, out, err);
	x->depth--;
	return result;
}
