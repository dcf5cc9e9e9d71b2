/*
 * The server's side of OAUTHBEARER (RFC 7628, 3) and of Google's XOAUTH2, which says the same in fewer words:
 *
 *	n,a=user,^Ahost=...^Aport=...^Aauth=Bearer token^A^A
 *	user=user^Aauth=Bearer token^A^A
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/sasl/server_inside.h"

enum { SEPARATOR = '\001' };

/* b64token (RFC 6750, 2.1) */
static bool
is_token(struct span text)
{
	size_t i = 0;

	while (
	    i < text.len && (ascii_is_alnum(text.ptr[i]) || (text.ptr[i] && strchr("-._~+/", text.ptr[i]))))
		i++;
	if (i == 0 || text.len > SASL_TOKEN_MAX)
		return false;
	while (i < text.len && text.ptr[i] == '=')
		i++;
	return i == text.len;
}

/* Takes "key=value^A" off *rest. False where there is none. */
static bool
next_pair(struct span *rest, struct span *key, struct span *value)
{
	ptrdiff_t end = span_find(*rest, SEPARATOR), equals;
	struct span pair;

	if (end <= 0)
		return false;
	pair = span_sub(*rest, 0, (size_t)end);
	equals = span_find(pair, '=');
	if (equals <= 0)
		return false;
	*key = span_sub(pair, 0, (size_t)equals);
	*value = span_from(pair, (size_t)equals + 1);
	*rest = span_from(*rest, (size_t)end + 1);
	return true;
}

/* All pairs, and the separator at the end. "auth" must be there once; others (host, port) are not looked at. */
static bool
take_pairs(struct span rest, struct span *token)
{
	struct span key, value;
	bool found = false;

	while (next_pair(&rest, &key, &value)) {
		if (!span_is(key, "auth"))
			continue;
		if (found || !span_starts_nocase(value, "Bearer "))
			return false;
		*token = span_trim(span_from(value, sizeof("Bearer ") - 1));
		found = true;
	}
	return found && rest.len == 1 && rest.ptr[0] == SEPARATOR && is_token(*token);
}

/* Who the client says that it is: perhaps nobody, where the token says it. */
static const char *
take_header(struct sasl_server *s, struct span message, struct span *rest)
{
	char name[SASL_USER_MAX];
	struct gs2 parts;
	ptrdiff_t len;

	if (gs2_parse(message, &parts) < 0 || parts.rest.len == 0 || parts.rest.ptr[0] != SEPARATOR)
		return "malformed response";
	/* There is no -PLUS of it: a client that could bind thinks rightly that we cannot. */
	if (!span_is(parts.flag, "n") && !span_is(parts.flag, "y"))
		return "unsupported channel binding";
	*rest = span_from(parts.rest, 1);
	len = scram_unescape(parts.authzid, name, sizeof(name));
	if (len < 0 || (len > 0 && sasl_take_user(s, span_make(name, (size_t)len)) < 0))
		return "malformed user name";
	return NULL;
}

static const char *
take_user_pair(struct sasl_server *s, struct span message, struct span *rest)
{
	struct span key, name;

	*rest = message;
	if (!next_pair(rest, &key, &name) || !span_is(key, "user"))
		return "malformed response";
	return sasl_take_user(s, name) < 0 ? "malformed user name" : NULL;
}

enum sasl_step
bearer_first(struct sasl_server *s, struct span message)
{
	struct span rest, token;
	const char *fault = s->mechanism == SASL_OAUTHBEARER ? take_header(s, message, &rest)
							     : take_user_pair(s, message, &rest);

	if (fault)
		return sasl_fail(s, fault);
	if (!take_pairs(rest, &token))
		return sasl_fail(s, "malformed response");
	memcpy(s->password, token.ptr, token.len);
	s->password_len = token.len;
	s->stage = STAGE_PASSWORD;
	return SASL_NEED_TOKEN;
}

/* One more string of the object, unless it is empty or would have to be written in another way (check says so). */
static void
append_member(struct buf *out, const char *name, const struct sasl_bytes *value)
{
	for (size_t i = 0; i < value->len; i++)
		if (value->bytes[i] < ' ' || value->bytes[i] > '~' || strchr("\"\\", value->bytes[i]))
			return;
	if (value->len)
		(void)buf_printf(out, ",\"%s\":\"%.*s\"", name, (int)value->len, value->bytes);
}

/*
 * RFC 7628, 3.2.2: the reason as JSON, which the client answers before it is refused, and what would help it to a token that
 * is good here. Google's XOAUTH2 has the scope alone.
 */
enum sasl_step
bearer_refuse(struct sasl_server *s)
{
	enum sasl_step step;
	struct buf out;

	s->reason = "authentication failure";
	buf_init(&out, 2 * BINDING_MAX + 200);
	if (s->mechanism == SASL_OAUTHBEARER)
		(void)buf_append_text(&out, "{\"status\":\"invalid_token\"");
	else
		(void)buf_append_text(&out, "{\"status\":\"401\",\"schemes\":\"bearer\"");
	append_member(&out, "scope", &s->token_scope);
	if (s->mechanism == SASL_OAUTHBEARER)
		append_member(&out, "openid-configuration", &s->token_configuration);
	(void)buf_append_text(&out, "}");
	step = sasl_challenge(s, buf_span(&out), STAGE_LAST);
	buf_free(&out);
	return step;
}

/* "^A" (RFC 7628, 3.2.3) or nothing (XOAUTH2): whatever it is, it changes nothing. */
enum sasl_step
bearer_over(struct sasl_server *s, struct span message)
{
	(void)message;
	return sasl_fail(s, NULL);
}
