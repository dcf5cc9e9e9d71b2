#include "common/mail/member_name.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/address.h"

enum { SCRATCH_BYTES = 8192 };

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

/* As far as it is the name of a member. */
static struct span
shown(struct arena *a, struct span address)
{
	struct span quoted, domain, digest, name;
	bool forward;

	address_split(address, &quoted, &domain);
	struct span local = address_unquote_local(a, quoted);
	if (local.len < 2 || local.ptr[0] != '\\')
		return span_make(NULL, 0);
	if (!member_name_split(local, &name, &digest, &forward))
		name = span_from(local, local.ptr[1] == '\\' ? 2 : 1);
	return name.len > 0 ? address_join(a, name, domain) : name;
}

struct span
member_shown(struct span address, char text[MEMBER_SHOWN_SIZE])
{
	struct arena *a;

	if (!member_may_be(address))
		return address;
	a = arena_new(SCRATCH_BYTES);
	struct span known = shown(a, address);
	bool fits = known.len > 0 && span_copy(known, text, MEMBER_SHOWN_SIZE);
	arena_free(&a);
	return fits ? span_of(text) : address;
}
