#include "common/mail/member_name.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/address.h"

void
member_digest(unsigned kind, struct span text, char digest[MEMBER_DIGEST_LEN + 1])
{
	/* No secret: a digest only picks one of the members that are there. */
	static const uint8_t key[16] = "postern members";

	snprintf(digest, MEMBER_DIGEST_LEN + 1, "%016" PRIx64, siphash(key, text.ptr, text.len) ^ kind);
}

bool
member_name_split(struct span local, struct span *name, struct span *digest, bool *forward)
{
	size_t at = local.len - MEMBER_DIGEST_LEN - 1;

	if (local.len < MEMBER_DIGEST_LEN + 3 || local.ptr[0] != '\\')
		return false;
	if (local.ptr[at] != '|' && local.ptr[at] != '~')
		return false;
	*digest = span_from(local, at + 1);
	for (size_t i = 0; i < digest->len; i++)
		if (hex_digit(digest->ptr[i]) < 0)
			return false;
	*name = span_sub(local, 1, at - 1);
	*forward = local.ptr[at] == '~';
	return true;
}

struct span
member_shown(struct arena *a, struct span address)
{
	struct span quoted, domain, digest, name;
	bool forward;

	/* A backslash is quoted. */
	if (address.len == 0 || address.ptr[0] != '"')
		return address;
	address_split(address, &quoted, &domain);
	struct span local = address_unquote_local(a, quoted);
	if (local.len < 2 || local.ptr[0] != '\\')
		return address;
	if (!member_name_split(local, &name, &digest, &forward))
		name = span_from(local, local.ptr[1] == '\\' ? 2 : 1);
	struct span shown = address_join(a, name, domain);
	return name.len > 0 && shown.len > 0 ? shown : address;
}

bool
member_same(struct span a, struct span b)
{
	struct arena *arena;
	bool same;

	if (!member_may_be(a) && !member_may_be(b))
		return span_equal_nocase(a, b);
	arena = arena_new(MEMBER_SHOWN_BYTES);
	same = span_equal_nocase(member_shown(arena, a), member_shown(arena, b));
	arena_free(&arena);
	return same;
}
