/* The parts of an address in Postern's internal form. Envelope paths are in path.c, header fields in list.c. */
#include "common/mail/address.h"

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/mail/local_part.h"

/* The last '@' outside quotes; -1 if there is none. */
static ptrdiff_t
last_at(struct span address)
{
	bool quoted = false;
	ptrdiff_t at = -1;

	for (size_t i = 0; i < address.len; i++) {
		char c = address.ptr[i];
		if (quoted && c == '\\' && i + 1 < address.len)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == '@' && !quoted)
			at = (ptrdiff_t)i;
	}
	return at;
}

void
address_split(struct span address, struct span *local, struct span *domain)
{
	ptrdiff_t at = span_find(address, '"') < 0 ? span_find_last(address, '@') : last_at(address);

	if (at < 0) {
		*local = address;
		*domain = span_make(address.ptr ? address.ptr + address.len : NULL, 0);
		return;
	}
	*local = span_sub(address, 0, (size_t)at);
	*domain = span_from(address, (size_t)at + 1);
}

struct span
address_unquote_local(struct arena *a, struct span local)
{
	char *text;
	size_t len = 0;

	if (span_find(local, '"') < 0 && span_find(local, '\\') < 0)
		return arena_copy_span(a, local);
	text = arena_alloc(a, local.len + 1);
	if (text == NULL)
		return span_make(NULL, 0);
	for (size_t i = 0; i < local.len; i++) {
		char c = local.ptr[i];
		if (c == '"')
			continue;
		if (c == '\\' && i + 1 < local.len)
			c = local.ptr[++i];
		text[len++] = c;
	}
	return span_make(text, len);
}

/* The names that Postfix never splits (its split_addr(3)). */
static bool
never_split(struct span local, const char *delimiters, bool split_owners)
{
	if (span_is_nocase(local, "postmaster") || span_is_nocase(local, "mailer-daemon") ||
	    span_is_nocase(local, "double-bounce"))
		return true;
	if (split_owners || strchr(delimiters, '-') == NULL)
		return false;
	return span_starts_nocase(local, "owner-") ||
	       (local.len > strlen("-request") && span_ends_nocase(local, "-request"));
}

void
address_split_extension(
    struct span local, const char *delimiters, bool split_owners, struct span *user, struct span *extension)
{
	*user = local;
	*extension = span_make(local.ptr ? local.ptr + local.len : NULL, 0);
	if (delimiters == NULL || delimiters[0] == '\0' || never_split(local, delimiters, split_owners))
		return;
	for (size_t i = 0; i < local.len; i++) {
		if (local.ptr[i] == '\0' || strchr(delimiters, local.ptr[i]) == NULL)
			continue;
		if (i == 0)
			return; /* the user's name would be empty */
		*user = span_sub(local, 0, i);
		*extension = span_from(local, i + 1);
		return;
	}
}

bool
local_part_is_atom_char(char c)
{
	return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool
local_part_is_dot_string(struct span local)
{
	bool atom = false;

	for (size_t i = 0; i < local.len; i++) {
		if (local.ptr[i] == '.') {
			if (!atom)
				return false;
			atom = false;
		} else if (local_part_is_atom_char(local.ptr[i]))
			atom = true;
		else
			return false;
	}
	return atom;
}

/* RFC 5321, 4.1.2: quoted only where it must be, so that equal mailboxes are equal texts. */
static size_t
put_local(char *out, struct span local)
{
	size_t len = 0;

	if (local_part_is_dot_string(local)) {
		memcpy(out, local.ptr, local.len);
		return local.len;
	}
	out[len++] = '"';
	for (size_t i = 0; i < local.len; i++) {
		if (local.ptr[i] == '"' || local.ptr[i] == '\\')
			out[len++] = '\\';
		out[len++] = local.ptr[i];
	}
	out[len++] = '"';
	return len;
}

struct span
address_join(struct arena *a, struct span unquoted_local, struct span domain)
{
	char *text = arena_alloc(a, unquoted_local.len * 2 + domain.len + 4);
	size_t len;

	if (text == NULL)
		return span_make(NULL, 0);
	len = put_local(text, unquoted_local);
	if (domain.len > 0) {
		text[len++] = '@';
		memcpy(text + len, domain.ptr, domain.len);
		text_lower(text + len, domain.len);
		len += domain.len;
	}
	return span_make(text, len);
}
