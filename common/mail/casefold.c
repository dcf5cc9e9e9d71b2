#include "config.h"

#include "common/mail/casefold.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_LIBUNISTRING
#include <unicase.h>
#endif

#include "common/base/mem.h"
#include "common/base/text.h"

enum { GROWTH = 3 };

#ifdef HAVE_LIBUNISTRING
static enum casefold_status
fold(struct span text, char *out, size_t size, struct span *folded)
{
	uint8_t made[1000];
	size_t len = sizeof(made);
	uint8_t *got = u8_casefold((const uint8_t *)text.ptr, text.len, NULL, NULL, made, &len);
	enum casefold_status status = got != NULL && len <= size ? CASEFOLD_DONE : CASEFOLD_TOO_LONG;

	if (status == CASEFOLD_DONE)
		memcpy(out, got, len);
	if (got != made)
		free(got);
	*folded = span_make(out, status == CASEFOLD_DONE ? len : 0);
	return status;
}
#endif

enum casefold_status
casefold(struct span text, char *out, size_t size, struct span *folded)
{
	bool utf8 = true;

	*folded = span_make(out, 0);
	if (text.len > size)
		return CASEFOLD_TOO_LONG;
	if (text_is_8bit(text)) {
		utf8 = utf8_valid(text);
#ifdef HAVE_LIBUNISTRING
		if (utf8)
			return fold(text, out, size, folded);
#endif
	}
	if (text.len > 0)
		memmove(out, text.ptr, text.len);
	text_lower(out, text.len);
	*folded = span_make(out, text.len);
	return utf8 ? CASEFOLD_DONE : CASEFOLD_NOT_UTF8;
}

struct span
casefold_copy(struct arena *a, struct span text)
{
	size_t size = text_is_8bit(text) ? text.len * GROWTH : text.len;
	char *out = arena_alloc(a, size + 1);
	struct span folded;

	if (out == NULL)
		return span_make(NULL, 0);
	(void)casefold(text, out, size, &folded);
	out[folded.len] = '\0';
	return folded;
}

bool
casefold_equal(struct span a, struct span b)
{
	if (span_equal_nocase(a, b))
		return true;
	if (!text_is_8bit(a) && !text_is_8bit(b))
		return false;
	size_t size = (a.len > b.len ? a.len : b.len) * GROWTH;
	char *room = mem_alloc(2 * size);
	bool equal = casefold(a, room, size, &a) == CASEFOLD_DONE &&
		     casefold(b, room + size, size, &b) == CASEFOLD_DONE && span_equal(a, b);
	free(room);
	return equal;
}
