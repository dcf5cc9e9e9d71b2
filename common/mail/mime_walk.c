#include "common/mail/mime_walk.h"

#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/header.h"

/* Of Content-Type and Content-Transfer-Encoding; of a stack that the administrator wants to be high. */
enum { FIELD_MAX = 8192, NESTING_MAX = 1000, TYPE_MAX = 64 };

struct level {
	char *boundary;
	size_t len;
	bool digest; /* parts are messages unless they say otherwise (RFC 2046, 5.1.5) */
	size_t messages; /* nested ones around it */
};

struct mime_walk {
	struct mime_limits limits;
	enum mime_section section; /* of what comes next */
	enum mime_section shown; /* of the last line */
	struct level *stack;
	size_t depth;
	size_t messages; /* nested ones, around this line */
	bool too_deep;
	bool in_field;
	struct buf type, encoding; /* of the present entity */
	bool typed, nested; /* some Content-Type of it says what it is; that it is a message */
	struct buf *keeping; /* the one that a folded line goes on with; NULL: none */
};

struct mime_walk *
mime_walk_new(const struct mime_limits *limits)
{
	struct mime_walk *w = mem_alloc(sizeof(*w));

	w->limits = *limits;
	if (w->limits.nesting > NESTING_MAX)
		w->limits.nesting = NESTING_MAX;
	buf_init(&w->type, FIELD_MAX);
	buf_init(&w->encoding, FIELD_MAX);
	return w;
}

static void
pop_to(struct mime_walk *w, size_t depth)
{
	while (w->depth > depth)
		free(w->stack[--w->depth].boundary);
}

void
mime_walk_free(struct mime_walk **walk)
{
	struct mime_walk *w = *walk;

	*walk = NULL;
	if (w == NULL)
		return;
	pop_to(w, 0);
	free(w->stack);
	buf_free(&w->type);
	buf_free(&w->encoding);
	free(w);
}

bool
mime_is_mime_field(struct span name)
{
	static const char *const names[] = {"content-description", "content-disposition", "content-id",
	    "content-transfer-encoding", "content-type", "mime-version"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is_nocase(name, names[i]))
			return true;
	return false;
}

/* ---- the value of a field ---- */

/* Past white space and comments (RFC 5322, 3.2.2). */
static void
skip_blank(struct span *s)
{
	size_t depth = 0, i = 0;

	for (; i < s->len; i++) {
		char c = s->ptr[i];
		if (depth > 0 && c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			break;
	}
	*s = span_from(*s, i < s->len ? i : s->len);
}

static bool
is_token_char(char c)
{
	return (unsigned char)c > ' ' && c != 127 && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* A token or a quoted string, without the quotes; out is cut where it is full. */
static struct span
take_word(struct span *s, char *out, size_t size)
{
	size_t len = 0, i = 0;

	skip_blank(s);
	if (s->len > 0 && s->ptr[0] == '"') {
		for (i = 1; i < s->len && s->ptr[i] != '"'; i++) {
			if (s->ptr[i] == '\\' && i + 1 < s->len)
				i++;
			if (len < size && s->ptr[i] != '\r' && s->ptr[i] != '\n')
				out[len++] = s->ptr[i];
		}
		i++;
	} else {
		for (; i < s->len && is_token_char(s->ptr[i]); i++)
			if (len < size)
				out[len++] = s->ptr[i];
	}
	*s = span_from(*s, i < s->len ? i : s->len);
	return span_make(out, len);
}

static bool
take_char(struct span *s, char c)
{
	skip_blank(s);
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	*s = span_from(*s, 1);
	return true;
}

/* The boundary parameter; trailing blanks are none of it (RFC 2046, 5.1.1). */
static struct span
find_boundary(struct span rest, char *out, size_t size)
{
	char name[TYPE_MAX];

	while (rest.len > 0) {
		if (!take_char(&rest, ';')) {
			rest = span_from(rest, 1);
			continue;
		}
		bool wanted = span_is_nocase(take_word(&rest, name, sizeof(name)), "boundary");
		if (!take_char(&rest, '='))
			continue;
		struct span value = take_word(&rest, out, size);
		if (!wanted)
			continue;
		while (value.len > 0 && value.ptr[value.len - 1] == ' ')
			value.len--;
		return value;
	}
	return (struct span){0};
}

/* ---- entities ---- */

static void
push(struct mime_walk *w, struct span boundary, bool digest)
{
	w->stack = mem_resize(w->stack, (w->depth + 1) * sizeof(w->stack[0]));
	w->stack[w->depth++] =
	    (struct level){mem_strndup(boundary.ptr, boundary.len), boundary.len, digest, w->messages};
}

static bool
is_identity(struct span encoding)
{
	char text[TYPE_MAX];
	struct span word = take_word(&encoding, text, sizeof(text));

	return word.len == 0 || span_is_nocase(word, "7bit") || span_is_nocase(word, "8bit") ||
	       span_is_nocase(word, "binary");
}

static void
forget_fields(struct mime_walk *w)
{
	buf_clear(&w->type);
	buf_clear(&w->encoding);
	w->typed = w->nested = false;
}

static bool
is_too_deep(struct mime_walk *w)
{
	bool over = w->depth + w->messages >= w->limits.nesting;

	w->too_deep = w->too_deep || over;
	return over;
}

/* A Content-Type is complete. Whoever reads the mail later may believe any of several: a multipart counts wherever it stands. */
static void
type_known(struct mime_walk *w)
{
	char type_text[TYPE_MAX], subtype_text[TYPE_MAX], boundary_text[FIELD_MAX];
	struct span rest = buf_span(&w->type);
	struct span type = take_word(&rest, type_text, sizeof(type_text)), subtype = {0};

	if (take_char(&rest, '/'))
		subtype = take_word(&rest, subtype_text, sizeof(subtype_text));
	w->typed = w->typed || type.len > 0;
	w->nested = w->nested || (span_is_nocase(type, "message") && (span_is_nocase(subtype, "rfc822") ||
									 span_is_nocase(subtype, "global")));
	if (span_is_nocase(type, "multipart") && !is_too_deep(w)) {
		size_t room =
		    w->limits.boundary < sizeof(boundary_text) ? w->limits.boundary : sizeof(boundary_text);
		struct span boundary = find_boundary(rest, boundary_text, room);
		if (boundary.len > 0)
			push(w, boundary, span_is_nocase(subtype, "digest"));
	}
	buf_clear(&w->type);
}

/* The header of an entity is over: what is inside? */
static void
begin_content(struct mime_walk *w)
{
	w->section = MIME_BODY;
	w->in_field = false;
	if (w->limits.off)
		return;
	bool digest = w->depth > 0 && w->stack[w->depth - 1].digest;
	type_known(w);
	if ((w->nested || (digest && !w->typed)) && !is_too_deep(w) && is_identity(buf_span(&w->encoding))) {
		w->messages++;
		w->section = MIME_NESTED;
	}
	forget_fields(w);
}

/* "--boundary" or "--boundary--" of any open multipart. */
static bool
is_boundary(struct mime_walk *w, struct span line)
{
	if (w->depth == 0 || line.len < 3 || line.ptr[0] != '-' || line.ptr[1] != '-')
		return false;
	line = span_from(line, 2);
	for (size_t i = w->depth; i-- > 0;) {
		const struct level *l = &w->stack[i];
		if (line.len < l->len || memcmp(line.ptr, l->boundary, l->len) != 0)
			continue;
		bool last = span_starts(span_from(line, l->len), "--");
		w->messages = l->messages;
		pop_to(w, last ? i : i + 1);
		w->section = last ? MIME_BODY : MIME_PART;
		w->in_field = false;
		forget_fields(w);
		return true;
	}
	return false;
}

static void
keep_field(struct mime_walk *w, struct span line, size_t name_len)
{
	struct span name = span_sub(line, 0, name_len);

	w->keeping = span_is_nocase(name, "content-type")                ? &w->type
		     : span_is_nocase(name, "content-transfer-encoding") ? &w->encoding
									 : NULL;
	if (w->keeping == NULL)
		return;
	if (w->keeping == &w->type && !w->limits.off)
		type_known(w);
	buf_clear(w->keeping);
	struct span value = span_from(line, (size_t)span_find(line, ':') + 1);
	(void)buf_append_span(w->keeping, span_sub(value, 0, FIELD_MAX));
}

static enum mime_line
header_line(struct mime_walk *w, struct span line)
{
	if (line.len == 0) {
		begin_content(w);
		return MIME_LINE_END;
	}
	if (w->in_field && header_is_continuation(line)) {
		if (w->keeping != NULL && w->keeping->len + line.len <= FIELD_MAX)
			(void)buf_append_span(w->keeping, line);
		return MIME_LINE_FOLDED;
	}
	size_t name = header_name_length(line);
	if (name > 0) {
		w->in_field = true;
		keep_field(w, line, name);
		return MIME_LINE_FIELD;
	}
	/* The header ends without an empty line. */
	begin_content(w);
	w->shown = MIME_BODY;
	return MIME_LINE_TEXT;
}

enum mime_line
mime_walk_line(struct mime_walk *w, struct span line)
{
	w->shown = w->section;
	if (w->section != MIME_PRIMARY && is_boundary(w, line)) {
		w->shown = MIME_BODY;
		return MIME_LINE_BOUNDARY;
	}
	return w->section == MIME_BODY ? MIME_LINE_TEXT : header_line(w, line);
}

bool
mime_walk_is_too_deep(const struct mime_walk *w)
{
	return w->too_deep;
}

bool
mime_walk_is_flat(const struct mime_walk *w)
{
	return w->section == MIME_BODY && w->depth == 0;
}

enum mime_section
mime_walk_section(const struct mime_walk *w)
{
	return w->shown;
}
