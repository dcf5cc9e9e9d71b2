#include "common/sasl/server.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/sasl/prep.h"
#include "common/sasl/server_inside.h"

/* ---- what all of them do ---- */

int
sasl_keep(struct sasl_bytes *to, struct span bytes)
{
	if (bytes.len > sizeof(to->bytes))
		return -1;
	if (bytes.len)
		memcpy(to->bytes, bytes.ptr, bytes.len);
	to->len = bytes.len;
	return 0;
}

int
sasl_append(struct sasl_text *text, struct span bytes)
{
	if (bytes.len > sizeof(text->bytes) - text->len)
		return -1;
	if (bytes.len)
		memcpy(text->bytes + text->len, bytes.ptr, bytes.len);
	text->len += bytes.len;
	return 0;
}

enum sasl_step
sasl_fail(struct sasl_server *s, const char *reason)
{
	s->stage = STAGE_OVER;
	if (s->reason == NULL)
		s->reason = reason;
	return SASL_FAILED;
}

enum sasl_step
sasl_challenge(struct sasl_server *s, struct span text, enum sasl_stage next)
{
	s->challenge.len = 0;
	if (sasl_append(&s->challenge, text) < 0)
		return sasl_fail(s, "challenge too long");
	s->stage = next;
	return SASL_CHALLENGE;
}

/* SASLprep into a place of fixed size, leaving no other copy. */
static int
prepare(struct span text, char *out, size_t size, size_t *len)
{
	struct buf room;
	int result = -1;

	buf_init(&room, size);
	if (buf_reserve(&room, size) && sasl_prep(text, &room) == 0) {
		memcpy(out, buf_ptr(&room), room.len);
		*len = room.len;
		result = 0;
	}
	if (room.mem)
		explicit_bzero(room.mem, room.cap);
	buf_free(&room);
	return result;
}

int
sasl_take_user(struct sasl_server *s, struct span name)
{
	if (prepare(name, s->user, sizeof(s->user), &s->user_len) == 0)
		return 0;
	s->reason = "malformed user name";
	return -1;
}

int
sasl_take_authzid(struct sasl_server *s, struct span name)
{
	if (name.len == 0 || prepare(name, s->authzid, sizeof(s->authzid), &s->authzid_len) == 0)
		return 0;
	s->reason = "malformed authorization identity";
	return -1;
}

/* A user and a password have come whole. */
static enum sasl_step
ask_password(struct sasl_server *s, struct span password)
{
	if (prepare(password, s->password, SASL_PASSWORD_MAX, &s->password_len) < 0)
		return sasl_fail(s, password.len ? "malformed password" : "empty password");
	s->stage = STAGE_PASSWORD;
	return SASL_NEED_PASSWORD;
}

/* ---- PLAIN (RFC 4616, 2): [authzid] NUL authcid NUL passwd ---- */

static enum sasl_step
plain_first(struct sasl_server *s, struct span message)
{
	ptrdiff_t first = span_find(message, '\0'), second;
	struct span rest;

	if (first < 0)
		return sasl_fail(s, "malformed response");
	rest = span_from(message, (size_t)first + 1);
	second = span_find(rest, '\0');
	if (second < 0 || span_find(span_from(rest, (size_t)second + 1), '\0') >= 0)
		return sasl_fail(s, "malformed response");
	if (sasl_take_authzid(s, span_sub(message, 0, (size_t)first)) < 0 ||
	    sasl_take_user(s, span_sub(rest, 0, (size_t)second)) < 0)
		return sasl_fail(s, NULL);
	return ask_password(s, span_from(rest, (size_t)second + 1));
}

/* ---- LOGIN: each on a question of its own, the name perhaps at once ---- */

static enum sasl_step
login_first(struct sasl_server *s, struct span message)
{
	if (sasl_take_user(s, message) < 0)
		return sasl_fail(s, NULL);
	return sasl_challenge(s, SPAN_LIT("Password:"), STAGE_SECOND);
}

static enum sasl_step
login_second(struct sasl_server *s, struct span message)
{
	return ask_password(s, message);
}

/* ---- EXTERNAL (RFC 4422, appendix A): the authzid alone ---- */

static enum sasl_step
external_first(struct sasl_server *s, struct span message)
{
	struct span name = span_make(s->external.bytes, s->external.len);

	if (name.len == 0)
		return sasl_fail(s, "no client certificate with a name");
	if (sasl_take_user(s, name) < 0 || sasl_take_authzid(s, message) < 0)
		return sasl_fail(s, NULL);
	s->stage = STAGE_OVER;
	return SASL_DONE;
}

/* ---- the steps ---- */

typedef enum sasl_step step_function(struct sasl_server *s, struct span message);

/* first_question: what is sent where the client began without a response. */
static const struct {
	struct span first_question;
	step_function *first, *second, *last;
} steps[SASL_MECHANISM_COUNT] = {
    [SASL_PLAIN] = {{"", 0}, plain_first, NULL, NULL},
    [SASL_LOGIN] = {{"Username:", 9}, login_first, login_second, NULL},
    [SASL_SCRAM_SHA_1] = {{"", 0}, scram_first, scram_final, scram_over},
    [SASL_SCRAM_SHA_1_PLUS] = {{"", 0}, scram_first, scram_final, scram_over},
    [SASL_SCRAM_SHA_256] = {{"", 0}, scram_first, scram_final, scram_over},
    [SASL_SCRAM_SHA_256_PLUS] = {{"", 0}, scram_first, scram_final, scram_over},
    [SASL_EXTERNAL] = {{"", 0}, external_first, NULL, NULL},
    [SASL_OAUTHBEARER] = {{"", 0}, bearer_first, NULL, bearer_over},
    [SASL_XOAUTH2] = {{"", 0}, bearer_first, NULL, bearer_over},
};

struct sasl_server *
sasl_server_new(enum sasl_mechanism mechanism, const struct sasl_facts *facts)
{
	struct sasl_server *s = mem_alloc(sizeof(*s));

	if (mechanism >= SASL_MECHANISM_COUNT || steps[mechanism].first == NULL)
		panic("no server's side of SASL mechanism %d", (int)mechanism);
	s->mechanism = mechanism;
	s->plus_offered = facts->plus_offered;
	s->scram.hash =
	    mechanism == SASL_SCRAM_SHA_1 || mechanism == SASL_SCRAM_SHA_1_PLUS ? SCRAM_SHA_1 : SCRAM_SHA_256;
	/* What does not fit is not there: the exchange fails. */
	(void)sasl_keep(&s->external, facts->external);
	(void)sasl_keep(&s->tls_exporter, facts->tls_exporter);
	(void)sasl_keep(&s->tls_unique, facts->tls_unique);
	(void)sasl_keep(&s->tls_server_end_point, facts->tls_server_end_point);
	(void)sasl_keep(&s->token_scope, facts->token_scope);
	(void)sasl_keep(&s->token_configuration, facts->token_configuration);
	(void)sasl_keep(&s->scram.fixed_nonce, facts->nonce);
	return s;
}

void
sasl_server_free(struct sasl_server **server)
{
	struct sasl_server *s = *server;

	*server = NULL;
	if (s)
		explicit_bzero(s, sizeof(*s));
	free(s);
}

enum sasl_step
sasl_server_begin(struct sasl_server *s, struct span initial)
{
	if (s->stage != STAGE_BEGIN)
		return sasl_fail(s, "out of turn");
	s->stage = STAGE_FIRST;
	if (initial.ptr == NULL)
		return sasl_challenge(s, steps[s->mechanism].first_question, STAGE_FIRST);
	return sasl_server_response(s, initial);
}

enum sasl_step
sasl_server_response(struct sasl_server *s, struct span response)
{
	step_function *step = NULL;

	if (s->stage == STAGE_FIRST)
		step = steps[s->mechanism].first;
	else if (s->stage == STAGE_SECOND)
		step = steps[s->mechanism].second;
	else if (s->stage == STAGE_LAST)
		step = steps[s->mechanism].last;
	if (step == NULL)
		return sasl_fail(s, "out of turn");
	return step(s, response);
}

enum sasl_step
sasl_server_checked(struct sasl_server *s, enum auth_status status)
{
	if (s->stage != STAGE_PASSWORD)
		return sasl_fail(s, "out of turn");
	explicit_bzero(s->password, sizeof(s->password));
	s->password_len = 0;
	s->stage = STAGE_OVER;
	if (status == AUTH_ACCEPTED)
		return SASL_DONE;
	if (status == AUTH_REFUSED && sasl_mechanism_bears(s->mechanism))
		return bearer_refuse(s);
	return status == AUTH_REFUSED ? sasl_fail(s, "authentication failure") : SASL_TROUBLE;
}

enum sasl_step
sasl_server_keys(struct sasl_server *s, const struct sasl_keys *keys)
{
	if (s->stage != STAGE_KEYS)
		return sasl_fail(s, "out of turn");
	return scram_have_keys(s, keys);
}

/* ---- what there is to see ---- */

struct span
sasl_server_challenge(const struct sasl_server *s)
{
	return span_make(s->challenge.bytes, s->challenge.len);
}

struct span
sasl_server_user(const struct sasl_server *s)
{
	return span_make(s->user, s->user_len);
}

struct span
sasl_server_password(const struct sasl_server *s)
{
	return span_make(s->password, s->password_len);
}

struct span
sasl_server_authzid(const struct sasl_server *s)
{
	return span_make(s->authzid, s->authzid_len);
}

enum scram_hash
sasl_server_hash(const struct sasl_server *s)
{
	return s->scram.hash;
}

const char *
sasl_server_reason(const struct sasl_server *s)
{
	return s->reason ? s->reason : "authentication failure";
}
