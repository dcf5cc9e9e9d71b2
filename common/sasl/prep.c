#include "common/sasl/prep.h"

#include "config.h"

#ifdef HAVE_LIBIDN
#include <stringprep.h>
#endif
#include <string.h>

#include "common/base/text.h"
#include "common/sasl/mechanism.h"

/* NFKC makes at most eighteen characters of one; what is longer than the limit is refused anyway. */
enum { ROOM = 2 * SASL_PASSWORD_MAX };

/* RFC 4013, 2.3 for ASCII: no control characters. */
static bool
is_plain_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < ' ' || (unsigned char)text.ptr[i] >= 127)
			return false;
	return true;
}

bool
sasl_prep_is_whole(void)
{
#ifdef HAVE_LIBIDN
	return true;
#else
	return false;
#endif
}

int
sasl_prep(struct span text, struct buf *out)
{
	if (text.len == 0 || text.len > SASL_PASSWORD_MAX)
		return -1;
	if (is_plain_ascii(text))
		return buf_append_span(out, text);
#ifdef HAVE_LIBIDN
	char room[ROOM];
	int result = -1;

	if (utf8_valid(text) && span_copy(text, room, sizeof(room)) &&
	    stringprep(room, sizeof(room), 0, stringprep_saslprep) == STRINGPREP_OK && room[0] != '\0')
		result = buf_append(out, room, strlen(room));
	explicit_bzero(room, sizeof(room));
	return result;
#else
	return -1;
#endif
}
