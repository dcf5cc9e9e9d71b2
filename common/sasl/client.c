#include "common/sasl/client.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/sasl/client_inside.h"

enum sasl_client_step
client_fail(struct sasl_client *c, const char *reason)
{
	c->stage = CLIENT_OVER;
	c->reason = reason;
	return SASL_CLIENT_FAILED;
}

int
client_append(struct client_text *text, struct span bytes)
{
	if (bytes.len > sizeof(text->bytes) - text->len)
		return -1;
	if (bytes.len)
		memcpy(text->bytes + text->len, bytes.ptr, bytes.len);
	text->len += bytes.len;
	return 0;
}

static bool
is_scram(enum sasl_mechanism m)
{
	return m >= SASL_SCRAM_SHA_1 && m <= SASL_SCRAM_SHA_256_PLUS;
}

/* ---- life ---- */

/* Returns false if it does not fit, or has what no message may have. */
static bool
keep(char *room, size_t size, size_t *len, struct span text)
{
	if (text.len > size || span_find(text, '\0') >= 0)
		return false;
	if (text.len)
		memcpy(room, text.ptr, text.len);
	*len = text.len;
	return true;
}

/* What separates the parts of a bearer message, and what would end a line, is in no name and no token (RFC 6750, 2.1). */
static bool
is_bearer_text(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127)
			return false;
	return true;
}

static const char *
take_plan(struct sasl_client *c, const struct sasl_client_plan *plan)
{
	bool bearer = plan->mechanism == SASL_OAUTHBEARER || plan->mechanism == SASL_XOAUTH2;

	if (plan->user.len == 0 || !keep(c->user, sizeof(c->user), &c->user_len, plan->user))
		return "the user's name cannot be used";
	if (!keep(c->password, bearer ? sizeof(c->password) : SASL_PASSWORD_MAX, &c->password_len,
		plan->password))
		return bearer ? "the token cannot be used" : "the password cannot be used";
	if (!keep(c->host, sizeof(c->host), &c->host_len, plan->host))
		return "the host's name is too long";
	if (bearer &&
	    (!is_bearer_text(plan->user) || !is_bearer_text(plan->password) || !is_bearer_text(plan->host)))
		return "the token cannot be used";
	return is_scram(plan->mechanism) ? client_scram_new(c, plan) : NULL;
}

struct sasl_client *
sasl_client_new(const struct sasl_client_plan *plan)
{
	struct sasl_client *c = mem_alloc(sizeof(*c));

	c->mechanism = plan->mechanism;
	c->port = plan->port;
	c->reason = take_plan(c, plan);
	c->stage = c->reason ? CLIENT_OVER : plan->mechanism == SASL_LOGIN ? CLIENT_FIRST : CLIENT_BEGIN;
	return c;
}

void
sasl_client_free(struct sasl_client **client)
{
	struct sasl_client *c = *client;

	*client = NULL;
	if (!c)
		return;
	scram_slow_free(&c->scram.slow);
	OPENSSL_cleanse(c, sizeof(*c));
	free(c);
}

bool
sasl_client_waits(const struct sasl_client *c)
{
	return c->mechanism == SASL_LOGIN;
}

/* ---- mechanisms ---- */

static enum sasl_client_step
send_parts(struct sasl_client *c, const struct span *parts, size_t count, enum client_stage next)
{
	c->message.len = 0;
	for (size_t i = 0; i < count; i++)
		if (client_append(&c->message, parts[i]) < 0)
			return client_fail(c, "the credentials are too long");
	c->stage = next;
	return SASL_CLIENT_SEND;
}

/* RFC 4616, 2: no authorization identity, so that it is the user's own. */
static enum sasl_client_step
begin_plain(struct sasl_client *c)
{
	const struct span parts[] = {SPAN_LIT("\0"), span_make(c->user, c->user_len), SPAN_LIT("\0"),
	    span_make(c->password, c->password_len)};

	return send_parts(c, parts, 4, CLIENT_OVER);
}

/* RFC 7628, 3.1 */
static enum sasl_client_step
begin_oauthbearer(struct sasl_client *c)
{
	char user[SASL_USER_MAX * 3], port[32];
	ptrdiff_t len = scram_escape(span_make(c->user, c->user_len), user, sizeof(user));
	int digits = snprintf(port, sizeof(port), "%u", c->port);
	const struct span parts[] = {SPAN_LIT("n,a="), span_make(user, len < 0 ? 0 : (size_t)len),
	    SPAN_LIT(",\001host="), span_make(c->host, c->host_len), SPAN_LIT("\001port="),
	    span_make(port, (size_t)digits), SPAN_LIT("\001auth=Bearer "),
	    span_make(c->password, c->password_len), SPAN_LIT("\001\001")};

	if (len < 0)
		return client_fail(c, "the user's name cannot be used");
	return send_parts(c, parts, sizeof(parts) / sizeof(parts[0]), CLIENT_FIRST);
}

static enum sasl_client_step
begin_xoauth2(struct sasl_client *c)
{
	const struct span parts[] = {SPAN_LIT("user="), span_make(c->user, c->user_len),
	    SPAN_LIT("\001auth=Bearer "), span_make(c->password, c->password_len), SPAN_LIT("\001\001")};

	return send_parts(c, parts, 5, CLIENT_FIRST);
}

enum sasl_client_step
sasl_client_begin(struct sasl_client *c)
{
	if (c->stage != CLIENT_BEGIN)
		return client_fail(c, c->reason ? c->reason : "out of turn");
	if (is_scram(c->mechanism))
		return client_scram_begin(c);
	switch (c->mechanism) {
	case SASL_PLAIN:
		return begin_plain(c);
	case SASL_OAUTHBEARER:
		return begin_oauthbearer(c);
	case SASL_XOAUTH2:
		return begin_xoauth2(c);
	default:
		return client_fail(c, "no such mechanism");
	}
}

/* What the server asks in words ("Username:") is not looked at: servers differ, the order does not. */
static enum sasl_client_step
challenge_login(struct sasl_client *c)
{
	const struct span user = span_make(c->user, c->user_len);
	const struct span password = span_make(c->password, c->password_len);

	if (c->stage == CLIENT_FIRST)
		return send_parts(c, &user, 1, CLIENT_SECOND);
	return send_parts(c, &password, 1, CLIENT_OVER);
}

/* The server's reasons for refusing, as JSON: it wants to be answered, and then says no (RFC 7628, 3.2.3). */
static enum sasl_client_step
challenge_bearer(struct sasl_client *c)
{
	const struct span answer = c->mechanism == SASL_OAUTHBEARER ? SPAN_LIT("\001") : SPAN_LIT("");

	return send_parts(c, &answer, 1, CLIENT_OVER);
}

enum sasl_client_step
sasl_client_challenge(struct sasl_client *c, struct span challenge)
{
	if (c->stage != CLIENT_FIRST && c->stage != CLIENT_SECOND)
		return client_fail(c, c->reason ? c->reason : "the server asks once too often");
	if (is_scram(c->mechanism))
		return c->stage == CLIENT_FIRST ? client_scram_first(c, challenge)
						: client_scram_final(c, challenge);
	return c->mechanism == SASL_LOGIN ? challenge_login(c) : challenge_bearer(c);
}

enum sasl_client_step
sasl_client_work(struct sasl_client *c)
{
	if (c->stage != CLIENT_WORKING)
		return client_fail(c, "out of turn");
	return client_scram_work(c);
}

struct span
sasl_client_message(const struct sasl_client *c)
{
	return span_make(c->message.bytes, c->message.len);
}

const char *
sasl_client_reason(const struct sasl_client *c)
{
	return c->reason ? c->reason : "";
}

bool
sasl_client_believes(const struct sasl_client *c)
{
	return !is_scram(c->mechanism) || c->scram.proven;
}
