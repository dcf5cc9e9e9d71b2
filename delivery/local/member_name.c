#include "delivery/local/member_name.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/table.h"
#include "common/base/text.h"

void
member_digest(enum alias_member kind, struct span text, char digest[EXPAND_DIGEST_LEN + 1])
{
	/* No secret: a digest only picks one of the members that are there. */
	static const uint8_t key[16] = "postern members";

	snprintf(
	    digest, EXPAND_DIGEST_LEN + 1, "%016" PRIx64, siphash(key, text.ptr, text.len) ^ (uint64_t)kind);
}

bool
member_name_split(struct span local, struct span *name, struct span *digest, bool *forward)
{
	size_t at = local.len - EXPAND_DIGEST_LEN - 1;

	if (local.len < EXPAND_DIGEST_LEN + 3 || local.ptr[0] != '\\')
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
