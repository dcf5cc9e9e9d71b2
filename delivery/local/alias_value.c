#include "delivery/local/alias_value.h"

#include "common/mail/address.h"

/* Where it is a comment's, the ')' that ends it; else where it is, for a '(' may stand in a command. */
static size_t
skip_comment(struct span text, size_t at)
{
	unsigned depth = 0;

	for (size_t i = at; i < text.len; i++) {
		if (text.ptr[i] == '\\')
			i++;
		else if (text.ptr[i] == '(')
			depth++;
		else if (text.ptr[i] == ')' && --depth == 0)
			return i;
	}
	return at;
}

/* Cuts *rest at the first comma outside quotes and comments. What words leave behind is no piece. */
static bool
next_piece(struct span *rest, struct span *piece)
{
	bool quoted = false;
	size_t i;

	for (;;) {
		*rest = span_trim(*rest);
		if (rest->len == 0)
			return false;
		if (rest->ptr[0] != ',' && rest->ptr[0] != ';')
			break;
		*rest = span_from(*rest, 1);
	}
	for (i = 0; i < rest->len; i++) {
		if (rest->ptr[i] == '\\' && i + 1 < rest->len)
			i++;
		else if (rest->ptr[i] == '"')
			quoted = !quoted;
		else if (rest->ptr[i] == '(' && !quoted)
			i = skip_comment(*rest, i);
		else if (rest->ptr[i] == ',' && !quoted)
			break;
	}
	*piece = span_trim(span_sub(*rest, 0, i));
	*rest = span_from(*rest, i);
	return true;
}

/* "text" with what stands behind it: quotes go, and so do the backslashes within them. */
static struct span
unquote(struct arena *a, struct span text)
{
	char *out = arena_alloc(a, text.len + 1);
	size_t n = 0;
	bool quoted = false;

	if (!out)
		return span_make("", 0);
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\\' && quoted && i + 1 < text.len)
			out[n++] = text.ptr[++i];
		else if (text.ptr[i] == '"')
			quoted = !quoted;
		else
			out[n++] = text.ptr[i];
	}
	return span_trim(span_make(out, n));
}

/*
 * "|command" and |"command" lose their quotes. Within a command that is not as a whole in quotes they are the
 * shell's: |IFS=" " exec x.
 */
static struct span
command_text(struct arena *a, struct span text)
{
	struct span inner;

	if (text.ptr[0] == '"')
		return span_trim(span_from(unquote(a, text), 1));
	inner = span_trim(span_from(text, 1));
	if (inner.len >= 2 && inner.ptr[0] == '"' && inner.ptr[inner.len - 1] == '"')
		return unquote(a, inner);
	return inner;
}

struct found {
	struct span address;
	unsigned count;
};

static bool
on_address(struct span address, void *context)
{
	struct found *f = context;

	f->address = address;
	return ++f->count < 2;
}

static enum alias_member
take_address(struct arena *a, struct span *text)
{
	struct found found = {{NULL, 0}, 0};
	struct error err;

	if (text->ptr[0] == '#')
		return ALIAS_MALFORMED; /* somebody thinks that this is a comment */
	/* "\name": what this means to others (no more aliases) is the rule for own names here, and nothing else, as in Postfix. */
	if (text->ptr[0] == '\\')
		*text = span_from(*text, 1);
	if (address_list_parse(a, *text, on_address, &found, &err) < 0 || found.count != 1 ||
	    found.address.len == 0)
		return ALIAS_MALFORMED;
	*text = found.address;
	return ALIAS_ADDRESS;
}

/* The length of the first of several words: up to white space or a semicolon outside quotes. <> and () are no words'. */
static size_t
first_word(struct span text)
{
	size_t first = text.len;
	bool quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\\' && i + 1 < text.len)
			i++;
		else if (text.ptr[i] == '"')
			quoted = !quoted;
		else if (!quoted && (text.ptr[i] == '<' || text.ptr[i] == '('))
			return text.len;
		else if (!quoted && first == text.len &&
			 (text.ptr[i] == ';' || text.ptr[i] == ' ' || text.ptr[i] == '\t'))
			first = i;
	}
	return first;
}

static enum alias_member
take_piece(struct arena *a, struct span *text)
{
	enum alias_member kind;
	struct span bare;
	bool quoted;

	/* In quotes as a whole: "a b"@domain is an address, whatever it begins with. */
	quoted = text->len >= 2 && text->ptr[0] == '"' && text->ptr[text->len - 1] == '"';
	bare = quoted ? span_from(*text, 1) : *text;
	if (bare.len > 0 && bare.ptr[0] == '|') {
		kind = ALIAS_COMMAND;
		*text = command_text(a, *text);
	} else if (bare.len > 0 && (bare.ptr[0] == '/' || span_starts_nocase(bare, "~/"))) {
		kind = ALIAS_FILE;
		*text = unquote(a, *text);
	} else if (span_starts_nocase(bare, ":include:")) {
		kind = ALIAS_INCLUDE;
		*text = span_trim(span_from(unquote(a, *text), sizeof(":include:") - 1));
	} else {
		kind = take_address(a, text);
	}
	return text->len == 0 ? ALIAS_MALFORMED : kind;
}

bool
alias_next_member(struct arena *a, struct span *rest, enum alias_member *kind, struct span *text)
{
	struct span piece, end;
	size_t word;

	if (!next_piece(rest, &piece))
		return false;
	end = *rest;
	*text = piece;
	word = first_word(piece);
	/* As in Postfix, what makes no sense as one address may be several without commas between them. */
	if ((*kind = take_piece(a, text)) != ALIAS_MALFORMED)
		return true;
	if (word == 0 || word == piece.len || piece.ptr[0] == '#') {
		*kind = ALIAS_MALFORMED;
		*text = piece;
		return true;
	}
	*rest = span_make(piece.ptr + word, (size_t)(end.ptr + end.len - piece.ptr) - word);
	*text = span_sub(piece, 0, word);
	*kind = take_piece(a, text);
	return true;
}
