/*
 * The user's name in a message of a mechanism that somebody else runs.
 */
#include <string.h>

#include "common/base/text.h"
#include "common/sasl/server_inside.h"

static struct span
of_plain(struct span message)
{
	ptrdiff_t first = span_find(message, '\0'), second;
	struct span rest;

	if (first < 0)
		return span_make(NULL, 0);
	rest = span_from(message, (size_t)first + 1);
	second = span_find(rest, '\0');
	return second < 0 ? span_make(NULL, 0) : span_sub(rest, 0, (size_t)second);
}

/* "user=" Name ^A "auth=Bearer " ... */
static struct span
of_xoauth2(struct span message)
{
	ptrdiff_t end = span_find(message, 1);

	if (!span_starts(message, "user=") || end < 5)
		return span_make(NULL, 0);
	return span_sub(message, 5, (size_t)end - 5);
}

/* Of a gs2-header, or behind it. */
static struct span
of_gs2(struct span message, bool authzid, char *room, size_t size)
{
	struct span name;
	struct gs2 parts;
	ptrdiff_t len;

	if (gs2_parse(message, &parts) < 0)
		return span_make(NULL, 0);
	name = parts.authzid;
	if (!authzid && !scram_take(&parts.rest, 'n', &name))
		return span_make(NULL, 0);
	len = scram_unescape(name, room, size);
	return len < 0 ? span_make(NULL, 0) : span_make(room, (size_t)len);
}

struct span
sasl_user_in(enum sasl_mechanism mechanism, bool first, struct span message, char *room, size_t size)
{
	struct span name = {NULL, 0};

	if (!first)
		return name;
	switch (mechanism) {
	case SASL_PLAIN:
		name = of_plain(message);
		break;
	case SASL_LOGIN:
		name = message;
		break;
	case SASL_XOAUTH2:
		name = of_xoauth2(message);
		break;
	case SASL_OAUTHBEARER:
		name = of_gs2(message, true, room, size);
		break;
	case SASL_SCRAM_SHA_1:
	case SASL_SCRAM_SHA_1_PLUS:
	case SASL_SCRAM_SHA_256:
	case SASL_SCRAM_SHA_256_PLUS:
		name = of_gs2(message, false, room, size);
		break;
	default:
		break;
	}
	if (name.len == 0 || name.len > size || !utf8_valid(name) || span_find(name, '\0') >= 0)
		return span_make(NULL, 0);
	memmove(room, name.ptr, name.len);
	return span_make(room, name.len);
}
