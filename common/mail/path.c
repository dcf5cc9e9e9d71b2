/* Mailboxes and paths of an envelope (RFC 5321, 4.1.2), as strict or as sloppy as they come. */
#include "common/mail/address.h"

#include <stdio.h>

#include "common/base/text.h"
#include "common/mail/local_part.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Control characters never; bytes above ASCII only as UTF-8 and only where it was asked for (RFC 6531, 3.3). */
static enum address_fault
check_bytes(struct span text, unsigned flags)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c < 32 || c == 127)
			return ADDRESS_SYNTAX;
	}
	if (!text_is_8bit(text))
		return ADDRESS_OK;
	if (!(flags & ADDRESS_UTF8))
		return ADDRESS_NEEDS_UTF8;
	return utf8_valid(text) ? ADDRESS_OK : ADDRESS_SYNTAX;
}

/* The end of the quoted string that begins at text[i]; its content is appended to out. 0 if it does not end. */
static size_t
take_quoted(struct span text, size_t i, char *out, size_t *len)
{
	for (i++; i < text.len; i++) {
		if (text.ptr[i] == '"')
			return i + 1;
		if (text.ptr[i] == '\\' && ++i == text.len)
			return 0;
		out[(*len)++] = text.ptr[i];
	}
	return 0;
}

/*
 * Words joined by single dots; a word is an atom or a quoted string (RFC 5322, 4.4). RFC 5321 has either atoms or one
 * quoted string: more than that is an error when strict. Returns the offset of what follows, 0 on error.
 */
static size_t
take_local(struct span text, unsigned flags, char *out, size_t *len)
{
	size_t i = 0, words = 0;
	bool any_quoted = false;

	for (;;) {
		size_t start = i;
		if (i < text.len && text.ptr[i] == '"') {
			i = take_quoted(text, i, out, len);
			any_quoted = true;
			if (i == 0)
				return 0;
		} else {
			while (i < text.len && local_part_is_atom_char(text.ptr[i]))
				out[(*len)++] = text.ptr[i++];
			if (i == start)
				return 0;
		}
		words++;
		if (i >= text.len || text.ptr[i] != '.')
			break;
		out[(*len)++] = '.';
		i++;
	}
	if ((flags & ADDRESS_STRICT) && any_quoted && words > 1)
		return 0;
	return i;
}

static enum address_fault
take_domain(struct span domain, unsigned flags, char literal[80], struct span *canonical)
{
	char address[64];

	*canonical = domain;
	if (domain.len > 0 && domain.ptr[0] == '[') {
		int n;
		if (!address_literal_parse(domain, address))
			return ADDRESS_SYNTAX;
		n = snprintf(literal, 80, "[%s%s]", strchr(address, ':') ? "ipv6:" : "", address);
		*canonical = span_make(literal, (size_t)n);
		return ADDRESS_OK;
	}
	if (domain.len > DOMAIN_MAX)
		return ADDRESS_TOO_LONG;
	/* "a@example.com." names the same host. The dot of "a@host." stays until lookup has seen that nothing is to follow it. */
	if (!(flags & ADDRESS_STRICT) && domain.len > 1 && domain.ptr[domain.len - 1] == '.')
		domain.len--;
	if (span_find(domain, '.') >= 0)
		*canonical = domain;
	return domain_valid(domain, (flags & ADDRESS_UTF8) != 0) ? ADDRESS_OK : ADDRESS_SYNTAX;
}

enum address_fault
mailbox_parse(struct arena *a, struct span text, unsigned flags, struct span *address)
{
	enum address_fault fault = check_bytes(text, flags);
	char local[ADDRESS_MAX], literal[80];
	size_t len = 0, end;
	struct span domain = {NULL, 0};

	if (fault != ADDRESS_OK)
		return fault;
	if (text.len > ADDRESS_MAX)
		return ADDRESS_TOO_LONG;
	end = take_local(text, flags, local, &len);
	if (end == 0)
		return ADDRESS_SYNTAX;
	if (len > LOCAL_PART_MAX)
		return ADDRESS_TOO_LONG;
	if (end == text.len) {
		if (!(flags & ADDRESS_NO_DOMAIN_OK) || len == 0)
			return ADDRESS_SYNTAX;
	} else {
		if (text.ptr[end] != '@')
			return ADDRESS_SYNTAX;
		fault = take_domain(span_from(text, end + 1), flags, literal, &domain);
		if (fault != ADDRESS_OK)
			return fault;
	}
	*address = address_join(a, span_make(local, len), domain);
	return address->len > 0 && address->len <= ADDRESS_MAX ? ADDRESS_OK : ADDRESS_TOO_LONG;
}

/* The offset of the first colon outside brackets, or -1. */
static ptrdiff_t
find_route_end(struct span path)
{
	bool bracket = false;

	for (size_t i = 0; i < path.len; i++) {
		if (path.ptr[i] == '[' || path.ptr[i] == ']')
			bracket = path.ptr[i] == '[';
		else if (path.ptr[i] == ':' && !bracket)
			return (ptrdiff_t)i;
	}
	return -1;
}

/* Drops "@one,@two:" (RFC 5321, appendix C). Returns false if it is malformed. */
static bool
drop_route(struct span *path, unsigned flags)
{
	ptrdiff_t colon;
	struct span route, hop;

	if (path->len == 0 || path->ptr[0] != '@')
		return true;
	colon = find_route_end(*path);
	if (colon < 0)
		return false;
	route = span_sub(*path, 0, (size_t)colon);
	while (span_next_word(&route, ",", &hop)) {
		char text[64];
		if (hop.len < 2 || hop.ptr[0] != '@')
			return false;
		hop = span_from(hop, 1);
		if (!domain_valid(hop, (flags & ADDRESS_UTF8) != 0) && !address_literal_parse(hop, text))
			return false;
	}
	*path = span_from(*path, (size_t)colon + 1);
	return true;
}

/* The offset of the first of the two characters that is outside quotes; text.len if there is none. */
static size_t
find_outside_quotes(struct span text, char one, char other)
{
	bool quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == one || c == other))
			return i;
	}
	return text.len;
}

static struct span
trim_blanks(struct span s)
{
	while (s.len > 0 && is_blank(s.ptr[0]))
		s = span_from(s, 1);
	while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

enum address_fault
address_parse_path(struct arena *a, struct span text, unsigned flags, struct span *address, struct span *rest)
{
	bool strict = (flags & ADDRESS_STRICT) != 0, bracketed;
	struct span path;
	size_t end;

	*address = span_make(NULL, 0);
	*rest = span_make(NULL, 0);
	while (!strict && text.len > 0 && is_blank(text.ptr[0]))
		text = span_from(text, 1);
	bracketed = text.len > 0 && text.ptr[0] == '<';
	if (!bracketed && (strict || text.len == 0))
		return ADDRESS_SYNTAX;
	if (bracketed) {
		text = span_from(text, 1);
		end = find_outside_quotes(text, '>', '>');
		if (end == text.len)
			return ADDRESS_SYNTAX;
		path = span_sub(text, 0, end);
		*rest = span_from(text, end + 1);
		if (rest->len > 0 && !is_blank(rest->ptr[0]))
			return ADDRESS_SYNTAX;
	} else {
		end = find_outside_quotes(text, ' ', '\t');
		path = span_sub(text, 0, end);
		*rest = span_from(text, end);
	}
	if (!strict)
		path = trim_blanks(path);
	if (path.len == 0)
		return bracketed && (flags & ADDRESS_NULL_OK) ? ADDRESS_OK : ADDRESS_SYNTAX;
	if (!drop_route(&path, flags))
		return ADDRESS_SYNTAX;
	enum address_fault fault = mailbox_parse(a, path, flags, address);
	if (fault == ADDRESS_OK && (flags & ADDRESS_NO_OPTION) &&
	    (span_starts(*address, "-") || span_starts(*address, "\"-")))
		return ADDRESS_SYNTAX;
	return fault;
}
