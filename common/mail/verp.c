#include "common/mail/verp.h"

#include <string.h>

#include "common/mail/address.h"

bool
verp_delimiters_valid(struct span delimiters, const char *filter)
{
	for (size_t i = 0; i < delimiters.len; i++)
		if (delimiters.ptr[i] == '\0' || strchr(filter, delimiters.ptr[i]) == NULL)
			return false;
	return delimiters.len == VERP_DELIMITERS;
}

struct span
verp_sender(struct arena *a, struct span delimiters, struct span sender, struct span recipient)
{
	struct span local, domain, user, host, parts[4];
	size_t len = 0, count = 0;
	char *text;

	address_split(sender, &local, &domain);
	address_split(recipient, &user, &host);
	/* Quotes are around the whole, where that needs them. */
	parts[count++] = address_unquote_local(a, local);
	parts[count++] = span_sub(delimiters, 0, 1);
	parts[count++] = address_unquote_local(a, user);
	if (host.len > 0)
		parts[count++] = span_from(delimiters, 1);
	text = arena_alloc(a, sender.len + recipient.len + VERP_DELIMITERS + 1);
	if (text == NULL || parts[0].ptr == NULL || parts[2].ptr == NULL)
		return span_make(NULL, 0);
	for (size_t i = 0; i < count; i++) {
		memcpy(text + len, parts[i].ptr, parts[i].len);
		len += parts[i].len;
	}
	memcpy(text + len, host.ptr, host.len);
	return address_join(a, span_make(text, len + host.len), domain);
}
