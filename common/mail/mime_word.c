#include "common/mail/mime_word.h"

#include "common/base/text.h"
#include "common/mail/local_part.h"

enum {
	WORD_OCTETS = 40
}; /* of text in an encoded word: with its frame and all of it escaped under 75 (RFC 2047, 2) */

/* The octets of the UTF-8 character at the start, 1 for what is none. */
static size_t
character_length(struct span text)
{
	for (size_t len = 2; len <= 4 && len <= text.len; len++)
		if ((unsigned char)text.ptr[0] >= 0xc0 && utf8_valid(span_sub(text, 0, len)))
			return len;
	return 1;
}

/* RFC 2047, 5 (3): in a phrase only letters, digits and "!*+-/" stand for themselves. */
static void
put_encoded(struct buf *out, struct span bytes, size_t *used)
{
	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char c = (unsigned char)bytes.ptr[i];
		if (ascii_is_alnum((char)c) || (c != 0 && strchr("!*+-/", c) != NULL)) {
			buf_append(out, bytes.ptr + i, 1);
			*used += 1;
		} else if (c == ' ') {
			buf_append_text(out, "_");
			*used += 1;
		} else {
			buf_printf(out, "=%02X", c < 32 || c == 127 ? ' ' : c);
			*used += 3;
		}
	}
}

static int
encoded_words(struct buf *out, struct span name)
{
	const char *charset = utf8_valid(name) ? "utf-8" : "unknown-8bit";

	while (name.len > 0) {
		size_t used = 0;
		buf_printf(out, "=?%s?Q?", charset);
		while (name.len > 0) {
			size_t len = character_length(name);
			if (used + len * 3 > WORD_OCTETS)
				break;
			put_encoded(out, span_sub(name, 0, len), &used);
			name = span_from(name, len);
		}
		buf_append_text(out, name.len > 0 ? "?=\r\n " : "?=");
	}
	return out->full ? -1 : 0;
}

/* Atoms and single blanks need no quotes. */
static bool
plain(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] != ' ' && !local_part_is_atom_char(name.ptr[i]))
			return false;
	return name.len > 0 && name.ptr[0] != ' ' && name.ptr[name.len - 1] != ' ' &&
	       !span_starts(name, "=?");
}

int
mime_word_phrase(struct buf *out, struct span name)
{
	if (text_is_8bit(name))
		return encoded_words(out, name);
	if (plain(name))
		return buf_append_span(out, name);
	buf_append_text(out, "\"");
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		if (c == '"' || c == '\\')
			buf_append_text(out, "\\");
		buf_append(out, c < 32 || c == 127 ? " " : &name.ptr[i], 1);
	}
	buf_append_text(out, "\"");
	return out->full ? -1 : 0;
}

/* RFC 5322, 3.2.2: parentheses and backslashes are quoted one by one. */
static void
put_comment(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '(' || c == ')' || c == '\\')
			buf_append_text(out, "\\");
		buf_append(out, c < 32 || c == 127 ? " " : &text.ptr[i], 1);
	}
}

int
mime_word_mailbox(struct buf *out, struct span name, struct span address, bool obsolete)
{
	if (name.len == 0)
		return buf_append_span(out, address);
	if (!obsolete) {
		mime_word_phrase(out, name);
		return buf_printf(out, " <%.*s>", SPAN_ARG(address));
	}
	buf_printf(out, "%.*s (", SPAN_ARG(address));
	if (text_is_8bit(name))
		encoded_words(out, name);
	else
		put_comment(out, name);
	buf_append_text(out, ")");
	return out->full ? -1 : 0;
}
