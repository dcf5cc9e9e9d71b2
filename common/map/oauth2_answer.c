#include "config.h"

#ifdef HAVE_OAUTH2

#include "common/map/oauth2_answer.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/map/client_library.h"
#include "common/map/oauth2_memory.h"

#define JSON_SYMBOLS(S)                                                                                      \
	S(json_loadb)                                                                                        \
	S(json_delete)                                                                                       \
	S(json_object_seed)                                                                                  \
	S(json_object_get)                                                                                   \
	S(json_string_value)                                                                                 \
	S(json_string_length)                                                                                \
	S(json_number_value)                                                                                 \
	S(json_array_size)                                                                                   \
	S(json_array_get)                                                                                    \
	S(json_set_alloc_funcs)
#define MEMBER(function) __typeof__(function) *function;
#define ROW(function) {#function, (void **)&lib.function},

static struct {
	JSON_SYMBOLS(MEMBER)
} lib;
static const struct client_symbol symbols[] = {JSON_SYMBOLS(ROW){NULL, NULL}};

/* Times are counted in what a double holds exactly. */
static const double seconds_max = 9e15;

enum { NOT_BEFORE_SLACK_S = 60, CODE_MAX = 60, MEMBER_NAME_MAX = 100 };

/* Answers hold tokens: what the library frees is overwritten. Its seed is read while files may be. */
static void
initialize(void)
{
	lib.json_set_alloc_funcs(oauth2_alloc, oauth2_free);
	lib.json_object_seed(0);
}

int
oauth2_json_load(struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static int loaded;

	if (client_library_load(JANSSON_SONAME, symbols, &loaded, err) < 0)
		return -1;
	(void)pthread_once(&once, initialize);
	return 0;
}

bool
oauth2_token_valid(struct span token, size_t max)
{
	for (size_t i = 0; i < token.len; i++)
		if (token.ptr[i] <= ' ' || token.ptr[i] >= 127)
			return false;
	return token.len > 0 && token.len <= max;
}

/* ---- members ---- */

/* The whole answer, an object. The library bounds how deep it may be; names that come twice, and NULs, are errors. */
static json_t *
load(struct span json, struct error *err)
{
	json_error_t where;
	json_t *root = NULL;

	if (json.len > 0 && json.len <= OAUTH2_ANSWER_MAX)
		root = lib.json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &where);
	if (root != NULL && json_is_object(root))
		return root;
	if (root != NULL)
		lib.json_delete(root);
	error_set(err, "the answer is no JSON object");
	return NULL;
}

static struct span
text_of(const json_t *value)
{
	return value != NULL && json_is_string(value)
		   ? span_make(lib.json_string_value(value), lib.json_string_length(value))
		   : span_make(NULL, 0);
}

static struct span
member(const json_t *object, const char *name)
{
	return text_of(lib.json_object_get(object, name));
}

/* 1, 0 if it is not there, -1 if it is no number of seconds. Some endpoints write numbers as strings. */
static int
seconds(const json_t *object, const char *name, int64_t *value)
{
	const json_t *found = lib.json_object_get(object, name);
	uint64_t number;

	if (found == NULL || json_is_null(found))
		return 0;
	if (json_is_string(found)) {
		if (number_parse(text_of(found), 0, (uint64_t)seconds_max, &number) < 0)
			return -1;
		*value = (int64_t)number;
		return 1;
	}
	double d = json_is_number(found) ? lib.json_number_value(found) : -1;
	if (!isfinite(d) || d < 0 || d > seconds_max)
		return -1;
	*value = (int64_t)d;
	return 1;
}

/* ---- tokens ---- */

static int
read_grant(const json_t *root, struct oauth2_grant *grant, struct error *err)
{
	struct span access = member(root, "access_token"), refresh = member(root, "refresh_token");
	const json_t *renewed = lib.json_object_get(root, "refresh_token");

	if (!oauth2_token_valid(access, OAUTH2_TOKEN_MAX))
		return error_set(err, "the answer has no access_token that can be used");
	if (!span_is_nocase(member(root, "token_type"), "bearer"))
		return error_set(err, "the answer's token_type is not Bearer");
	if (seconds(root, "expires_in", &grant->lifetime_s) < 0)
		return error_set(err, "the answer's expires_in is no number of seconds");
	if (renewed != NULL && !json_is_null(renewed) && !oauth2_token_valid(refresh, OAUTH2_SECRET_MAX))
		return error_set(err, "the answer's refresh_token cannot be used");
	(void)span_copy(access, grant->access, sizeof(grant->access));
	(void)span_copy(refresh, grant->refresh, sizeof(grant->refresh));
	return 0;
}

int
oauth2_grant_parse(struct span json, struct oauth2_grant *grant, struct error *err)
{
	json_t *root = load(json, err);

	*grant = (struct oauth2_grant){.lifetime_s = 0};
	if (root == NULL)
		return -1;
	int result = read_grant(root, grant, err);
	lib.json_delete(root);
	return result;
}

static bool
repeats(struct span text, const struct span *secrets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (secrets[i].len > 0 && span_find_span(text, secrets[i]) >= 0)
			return true;
	return false;
}

void
oauth2_refusal_parse(struct span json, const struct span *secrets, size_t count, struct buf *text)
{
	struct error ignored;
	json_t *root = load(json, &ignored);

	if (root == NULL)
		return;
	struct span code = member(root, "error"), more = member(root, "error_description");
	if (code.len > 0 && !repeats(code, secrets, count)) {
		text_append_printable(text, code, CODE_MAX);
		if (more.len > 0 && !repeats(more, secrets, count)) {
			(void)buf_append_text(text, ": ");
			text_append_printable(text, more, OAUTH2_REASON_MAX);
		}
	}
	lib.json_delete(root);
}

/* ---- introspection ---- */

static bool
has_word(struct span words, struct span wanted)
{
	struct span word;

	while (span_next_word(&words, " ", &word))
		if (span_equal(word, wanted))
			return true;
	return false;
}

/* A string of words (scope), one string (aud), or an array of strings. */
static bool
has(const json_t *value, struct span wanted, bool words)
{
	struct span text = text_of(value);

	if (value == NULL)
		return false;
	if (!json_is_array(value))
		return words ? has_word(text, wanted) : span_equal(text, wanted);
	for (size_t i = 0; i < lib.json_array_size(value); i++)
		if (span_equal(text_of(lib.json_array_get(value, i)), wanted))
			return true;
	return false;
}

static bool
has_scope(const json_t *root, const char *scope)
{
	struct span rest = span_of(scope), word;

	while (conf_list_next(&rest, &word))
		if (!has(lib.json_object_get(root, "scope"), word, true))
			return false;
	return true;
}

/* The name goes into log lines, headers and tables. */
static bool
is_name(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 127)
			return false;
	return text.len > 0 && text.len <= OAUTH2_USER_MAX && utf8_valid(text);
}

static bool
take_user(const json_t *root, const char *members, struct oauth2_verdict *v)
{
	struct span rest = span_of(members), word;
	char name[MEMBER_NAME_MAX];

	while (conf_list_next(&rest, &word)) {
		struct span text = span_copy(word, name, sizeof(name)) ? member(root, name) : word;
		if (text.len > 0)
			return is_name(text) && span_copy(text, v->user, sizeof(v->user));
	}
	return false;
}

/* NULL, or what the token lacks. */
static const char *
fault_of(const json_t *root, const struct oauth2_rules *r, int64_t now_s, struct oauth2_verdict *v)
{
	int64_t not_before_s = 0;
	int expires = seconds(root, "exp", &v->expires_s), begins = seconds(root, "nbf", &not_before_s);

	if (!json_is_true(lib.json_object_get(root, "active")))
		return "the token is not active";
	if (expires < 0 || (expires > 0 && v->expires_s <= now_s))
		return "the token has expired";
	if (begins < 0 || not_before_s > now_s + NOT_BEFORE_SLACK_S)
		return "the token is not valid yet";
	if (!has_scope(root, r->scope))
		return "the token has not the scope that is needed";
	if (r->audience[0] != '\0' && !has(lib.json_object_get(root, "aud"), span_of(r->audience), false))
		return "the token is for another audience";
	if (r->issuer[0] != '\0' && !span_is(member(root, "iss"), r->issuer))
		return "the token is of another issuer";
	return take_user(root, r->user_members, v) ? NULL : "the token names no user";
}

int
oauth2_verdict_parse(struct span json, const struct oauth2_rules *rules, int64_t now_s,
    struct oauth2_verdict *verdict, struct error *err)
{
	json_t *root = load(json, err);

	*verdict = (struct oauth2_verdict){.active = false};
	if (root == NULL)
		return -1;
	const json_t *active = lib.json_object_get(root, "active");
	int result = active != NULL && json_is_boolean(active)
			 ? 0
			 : error_set(err, "the answer does not say whether the token is active");
	if (result == 0) {
		verdict->why_not = fault_of(root, rules, now_s, verdict);
		verdict->active = verdict->why_not == NULL;
	}
	lib.json_delete(root);
	return result;
}

#endif
