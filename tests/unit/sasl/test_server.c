/*
 * Unit tests of the server's side of SASL: the examples of RFC 4616 and 7628, and who must not get in; SCRAM: test_server_scram.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/sasl/prep.h"
#include "common/sasl/server.h"

#define RESPONSE(text) ((struct span){(text), sizeof(text) - 1})

static const struct sasl_facts no_facts;
static const struct span no_initial = {NULL, 0};

static void
assert_span(struct span span, const char *text)
{
	if (!span_is(span, text))
		fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARG(span), text);
}

/* ---- tokens ---- */

#define S "\001"

static const struct {
	const char *name;
	enum sasl_mechanism mechanism;
	struct span response;
	const char *user; /* NULL: it is malformed */
} token_cases[] = {
    {"RFC 7628, 4.1", SASL_OAUTHBEARER,
	RESPONSE(
	    "n,a=user@example.com," S "host=server.example.com" S "port=143" S "auth=Bearer t0k.en==" S S),
	"user@example.com"},
    {"nobody named", SASL_OAUTHBEARER, RESPONSE("n,," S "auth=Bearer t0k.en==" S S), ""},
    {"'y', and a scheme in small letters", SASL_OAUTHBEARER, RESPONSE("y,a=u," S "auth=bearer t0k.en==" S S),
	"u"},
    {"a comma in the name", SASL_OAUTHBEARER, RESPONSE("n,a=a=2Cb," S "auth=Bearer t0k.en==" S S), "a,b"},
    {"channel binding", SASL_OAUTHBEARER, RESPONSE("p=tls-exporter,a=u," S "auth=Bearer t0k.en==" S S), NULL},
    {"no separator behind the header", SASL_OAUTHBEARER, RESPONSE("n,a=u,auth=Bearer t0k.en==" S S), NULL},
    {"no end", SASL_OAUTHBEARER, RESPONSE("n,a=u," S "auth=Bearer t0k.en==" S), NULL},
    {"more behind the end", SASL_OAUTHBEARER, RESPONSE("n,a=u," S "auth=Bearer t0k.en==" S S "x"), NULL},
    {"two tokens", SASL_OAUTHBEARER, RESPONSE("n,a=u," S "auth=Bearer a" S "auth=Bearer t0k.en==" S S), NULL},
    {"no token", SASL_OAUTHBEARER, RESPONSE("n,a=u," S "host=x" S S), NULL},
    {"an empty token", SASL_OAUTHBEARER, RESPONSE("n,a=u," S "auth=Bearer " S S), NULL},
    {"another scheme", SASL_OAUTHBEARER, RESPONSE("n,a=u," S "auth=MAC t0k.en==" S S), NULL},
    {"the answer to a refusal", SASL_OAUTHBEARER, RESPONSE(S), NULL},
    {"nothing", SASL_OAUTHBEARER, RESPONSE(""), NULL},
    {"as Google has it", SASL_XOAUTH2, RESPONSE("user=u@x" S "auth=Bearer t0k.en==" S S), "u@x"},
    {"nobody named", SASL_XOAUTH2, RESPONSE("user=" S "auth=Bearer t0k.en==" S S), NULL},
    {"no name", SASL_XOAUTH2, RESPONSE("auth=Bearer t0k.en==" S S), NULL},
    {"a token with a line end", SASL_XOAUTH2, RESPONSE("user=u" S "auth=Bearer t0k\r\nx" S S), NULL},
    {"a token with a NUL", SASL_XOAUTH2, RESPONSE("user=u" S "auth=Bearer t0\0k" S S), NULL},
    {"a name with a line end", SASL_XOAUTH2, RESPONSE("user=u\n" S "auth=Bearer t0k.en==" S S), NULL},
    {"a form of the other one", SASL_XOAUTH2, RESPONSE("n,a=u," S "auth=Bearer t0k.en==" S S), NULL},
};

static void
test_tokens(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(token_cases) / sizeof(token_cases[0]); i++) {
		struct sasl_server *s = sasl_server_new(token_cases[i].mechanism, &no_facts);
		enum sasl_step want = token_cases[i].user ? SASL_NEED_TOKEN : SASL_FAILED;

		if (sasl_server_begin(s, token_cases[i].response) != want)
			fail_msg("%s", token_cases[i].name);
		if (token_cases[i].user) {
			assert_span(sasl_server_user(s), token_cases[i].user);
			assert_span(sasl_server_password(s), "t0k.en==");
			assert_int_equal(sasl_server_checked(s, AUTH_ACCEPTED), SASL_DONE);
			assert_int_equal(sasl_server_password(s).len, 0);
		}
		sasl_server_free(&s);
	}
}

/* RFC 7628, 3.2.2 and 3.2.3: the reason, which the client acknowledges; whatever it says, it stays out. */
static void
test_a_token_that_is_refused(void **state)
{
	static const struct span answers[] = {
	    RESPONSE(S), RESPONSE(""), RESPONSE("n,," S "auth=Bearer t" S S)};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct sasl_server *s = sasl_server_new(SASL_OAUTHBEARER, &no_facts);

		assert_int_equal(sasl_server_begin(s, token_cases[0].response), SASL_NEED_TOKEN);
		assert_int_equal(sasl_server_checked(s, AUTH_REFUSED), SASL_CHALLENGE);
		assert_span(sasl_server_challenge(s), "{\"status\":\"invalid_token\"}");
		assert_int_equal(sasl_server_password(s).len, 0);
		assert_int_equal(sasl_server_response(s, answers[i]), SASL_FAILED);
		assert_int_equal(sasl_server_response(s, token_cases[0].response), SASL_FAILED);
		assert_int_equal(sasl_server_checked(s, AUTH_ACCEPTED), SASL_FAILED);
		sasl_server_free(&s);
	}
}

/* What helps a client to a better token; what JSON would have to escape is left out. */
static void
test_what_a_refusal_tells(void **state)
{
	static const struct {
		enum sasl_mechanism mechanism;
		struct sasl_facts facts;
		const char *told;
	} rows[] = {
	    {SASL_OAUTHBEARER,
		{.token_scope = SPAN_LIT("mail openid"),
		    .token_configuration = SPAN_LIT("https://id.test/.well-known/openid-configuration")},
		"{\"status\":\"invalid_token\",\"scope\":\"mail openid\","
		"\"openid-configuration\":\"https://id.test/.well-known/openid-configuration\"}"},
	    {SASL_OAUTHBEARER, {.token_configuration = SPAN_LIT("https://id.test/")},
		"{\"status\":\"invalid_token\",\"openid-configuration\":\"https://id.test/\"}"},
	    {SASL_XOAUTH2,
		{.token_scope = SPAN_LIT("mail"), .token_configuration = SPAN_LIT("https://id.test/")},
		"{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}"},
	    {SASL_OAUTHBEARER,
		{.token_scope = SPAN_LIT("a\"b"), .token_configuration = SPAN_LIT("https://\\x\n")},
		"{\"status\":\"invalid_token\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sasl_server *s = sasl_server_new(rows[i].mechanism, &rows[i].facts);

		assert_int_equal(sasl_server_begin(s, rows[i].mechanism == SASL_XOAUTH2
							  ? RESPONSE("user=u" S "auth=Bearer t" S S)
							  : RESPONSE("n,," S "auth=Bearer t" S S)),
		    SASL_NEED_TOKEN);
		assert_int_equal(sasl_server_checked(s, AUTH_REFUSED), SASL_CHALLENGE);
		assert_span(sasl_server_challenge(s), rows[i].told);
		sasl_server_free(&s);
	}
}

static void
test_a_token_nobody_can_judge_now(void **state)
{
	struct sasl_server *s = sasl_server_new(SASL_XOAUTH2, &no_facts);

	(void)state;
	assert_int_equal(sasl_server_begin(s, RESPONSE("user=u" S "auth=Bearer t" S S)), SASL_NEED_TOKEN);
	assert_int_equal(sasl_server_checked(s, AUTH_TEMPORARY), SASL_TROUBLE);
	sasl_server_free(&s);
}

/* ---- PLAIN ---- */

static const struct {
	const char *name;
	struct span response;
	enum sasl_step step;
	const char *user, *authzid, *password;
} plain_cases[] = {
    {"RFC 4616, the first example", RESPONSE("\0tim\0tanstaaftanstaaf"), SASL_NEED_PASSWORD, "tim", "",
	"tanstaaftanstaaf"},
    {"RFC 4616, the second example: acting as somebody else", RESPONSE("Ursel\0Kurt\0xipj3plmq"),
	SASL_NEED_PASSWORD, "Kurt", "Ursel", "xipj3plmq"},
    {"blanks and an '@' in the name", RESPONSE("\0a b@x\0p w"), SASL_NEED_PASSWORD, "a b@x", "", "p w"},
    {"nothing at all", RESPONSE(""), SASL_FAILED, NULL, NULL, NULL},
    {"one NUL", RESPONSE("tim\0pw"), SASL_FAILED, NULL, NULL, NULL},
    {"three NULs: the name or the password would have one", RESPONSE("\0tim\0p\0w"), SASL_FAILED, NULL, NULL,
	NULL},
    {"a NUL at the end", RESPONSE("\0tim\0pw\0"), SASL_FAILED, NULL, NULL, NULL},
    {"no name", RESPONSE("\0\0pw"), SASL_FAILED, NULL, NULL, NULL},
    {"no password", RESPONSE("\0tim\0"), SASL_FAILED, NULL, NULL, NULL},
    {"a line end in the name", RESPONSE("\0tim\r\nx\0pw"), SASL_FAILED, NULL, NULL, NULL},
    {"a name that is not UTF-8", RESPONSE("\0t\xedm\0pw"), SASL_FAILED, NULL, NULL, NULL},
    {"an overlong form of NUL", RESPONSE("\0tim\xc0\x80\0pw"), SASL_FAILED, NULL, NULL, NULL},
};

static void
test_plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(plain_cases) / sizeof(plain_cases[0]); i++) {
		struct sasl_server *s = sasl_server_new(SASL_PLAIN, &no_facts);

		if (sasl_server_begin(s, plain_cases[i].response) != plain_cases[i].step)
			fail_msg("%s", plain_cases[i].name);
		if (plain_cases[i].user) {
			assert_span(sasl_server_user(s), plain_cases[i].user);
			assert_span(sasl_server_authzid(s), plain_cases[i].authzid);
			assert_span(sasl_server_password(s), plain_cases[i].password);
			assert_int_equal(sasl_server_checked(s, AUTH_ACCEPTED), SASL_DONE);
			assert_int_equal(sasl_server_password(s).len, 0);
		}
		sasl_server_free(&s);
		assert_null(s);
	}
}

static void
test_plain_without_an_initial_response(void **state)
{
	struct sasl_server *s = sasl_server_new(SASL_PLAIN, &no_facts);

	(void)state;
	assert_int_equal(sasl_server_begin(s, no_initial), SASL_CHALLENGE);
	assert_int_equal(sasl_server_challenge(s).len, 0);
	assert_int_equal(sasl_server_response(s, RESPONSE("\0a\0b")), SASL_NEED_PASSWORD);
	assert_int_equal(sasl_server_checked(s, AUTH_REFUSED), SASL_FAILED);
	assert_int_equal(sasl_server_checked(s, AUTH_ACCEPTED), SASL_FAILED);
	sasl_server_free(&s);
}

static void
test_limits_of_plain(void **state)
{
	static char room[2 * SASL_PASSWORD_MAX];
	struct sasl_server *s = sasl_server_new(SASL_PLAIN, &no_facts);

	(void)state;
	memset(room, 'x', sizeof(room));
	room[0] = room[1 + SASL_USER_MAX] = '\0';
	assert_int_equal(
	    sasl_server_begin(s, span_make(room, 2 + SASL_USER_MAX + SASL_PASSWORD_MAX)), SASL_NEED_PASSWORD);
	sasl_server_free(&s);
	s = sasl_server_new(SASL_PLAIN, &no_facts);
	assert_int_equal(
	    sasl_server_begin(s, span_make(room, 2 + SASL_USER_MAX + SASL_PASSWORD_MAX + 1)), SASL_FAILED);
	sasl_server_free(&s);
	room[1 + SASL_USER_MAX] = 'x';
	room[2 + SASL_USER_MAX] = '\0';
	s = sasl_server_new(SASL_PLAIN, &no_facts);
	assert_int_equal(sasl_server_begin(s, span_make(room, 10 + SASL_USER_MAX)), SASL_FAILED);
	sasl_server_free(&s);
}

/* ---- LOGIN, EXTERNAL ---- */

static void
test_login(void **state)
{
	struct sasl_server *s = sasl_server_new(SASL_LOGIN, &no_facts);

	(void)state;
	assert_int_equal(sasl_server_begin(s, no_initial), SASL_CHALLENGE);
	assert_span(sasl_server_challenge(s), "Username:");
	assert_int_equal(sasl_server_response(s, RESPONSE("tim")), SASL_CHALLENGE);
	assert_span(sasl_server_challenge(s), "Password:");
	assert_int_equal(sasl_server_response(s, RESPONSE("secret")), SASL_NEED_PASSWORD);
	assert_span(sasl_server_user(s), "tim");
	assert_span(sasl_server_password(s), "secret");
	assert_int_equal(sasl_server_checked(s, AUTH_TEMPORARY), SASL_TROUBLE);
	sasl_server_free(&s);
	s = sasl_server_new(SASL_LOGIN, &no_facts);
	assert_int_equal(sasl_server_begin(s, RESPONSE("tim")), SASL_CHALLENGE);
	assert_span(sasl_server_challenge(s), "Password:");
	assert_int_equal(sasl_server_response(s, RESPONSE("")), SASL_FAILED);
	sasl_server_free(&s);
	s = sasl_server_new(SASL_LOGIN, &no_facts);
	assert_int_equal(sasl_server_begin(s, RESPONSE("tim\0x")), SASL_FAILED);
	sasl_server_free(&s);
}

static void
test_external(void **state)
{
	struct sasl_facts facts = {.external = SPAN_LIT("alice")};
	struct sasl_server *s = sasl_server_new(SASL_EXTERNAL, &facts);

	(void)state;
	assert_int_equal(sasl_server_begin(s, RESPONSE("")), SASL_DONE);
	assert_span(sasl_server_user(s), "alice");
	assert_span(sasl_server_authzid(s), "");
	sasl_server_free(&s);
	s = sasl_server_new(SASL_EXTERNAL, &facts);
	assert_int_equal(sasl_server_begin(s, no_initial), SASL_CHALLENGE);
	assert_int_equal(sasl_server_response(s, RESPONSE("bob")), SASL_DONE);
	assert_span(sasl_server_user(s), "alice");
	assert_span(sasl_server_authzid(s), "bob");
	sasl_server_free(&s);
	s = sasl_server_new(SASL_EXTERNAL, &no_facts);
	assert_int_equal(sasl_server_begin(s, RESPONSE("alice")), SASL_FAILED);
	sasl_server_free(&s);
}

/* ---- SASLprep ---- */

static const struct {
	const char *name;
	struct span text;
	const char *prepared; /* NULL: refused */
	bool needs_library;
} prep_cases[] = {
    {"RFC 4013, 3: no. 2", SPAN_LIT("user"), "user", false},
    {"RFC 4013, 3: no. 3, case is kept", SPAN_LIT("USER"), "USER", false},
    {"RFC 4013, 3: no. 1, a soft hyphen goes", SPAN_LIT("I\xc2\xadX"), "IX", true},
    {"RFC 4013, 3: no. 4, NFKC", SPAN_LIT("\xc2\xaa"), "a", true},
    {"RFC 4013, 3: no. 5", SPAN_LIT("\xe2\x85\xa8"), "IX", true},
    {"RFC 4013, 3: no. 6, a control character", SPAN_LIT("\x07"), NULL, false},
    {"RFC 4013, 3: no. 7, two directions", SPAN_LIT("\xd8\xa7\x31"), NULL, false},
    {"a no-break space becomes one",
	SPAN_LIT("a\xc2\xa0"
		 "b"),
	"a b", true},
    {"younger than Unicode 3.2", SPAN_LIT("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80", true},
    {"nothing", SPAN_LIT(""), NULL, false},
    {"nothing is left", SPAN_LIT("\xc2\xad"), NULL, false},
    {"NUL", SPAN_LIT("a\0b"), NULL, false},
    {"NUL beside others", SPAN_LIT("a\0\xc3\xa4"), NULL, false},
    {"Latin-1", SPAN_LIT("\xe4"), NULL, false},
};

static void
test_prep(void **state)
{
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof(prep_cases) / sizeof(prep_cases[0]); i++) {
		const char *wanted = prep_cases[i].prepared;

		if (prep_cases[i].needs_library && !sasl_prep_is_whole())
			wanted = NULL;
		buf_init(&out, 100);
		if ((sasl_prep(prep_cases[i].text, &out) == 0) != (wanted != NULL))
			fail_msg("%s", prep_cases[i].name);
		if (wanted)
			assert_string_equal(buf_text(&out), wanted);
		buf_free(&out);
	}
}

/* ---- names in messages of mechanisms that Dovecot runs ---- */

static const struct {
	enum sasl_mechanism mechanism;
	struct span message;
	const char *user;
} user_cases[] = {
    {SASL_PLAIN, SPAN_LIT("\0tim\0secret"), "tim"},
    {SASL_PLAIN, SPAN_LIT("tim"), ""},
    {SASL_LOGIN, SPAN_LIT("tim"), "tim"},
    {SASL_SCRAM_SHA_256, SPAN_LIT("n,,n=us=2Cer,r=x"), "us,er"},
    {SASL_SCRAM_SHA_256_PLUS, SPAN_LIT("p=tls-exporter,,n=user,r=x"), "user"},
    {SASL_OAUTHBEARER, SPAN_LIT("n,a=u@x,\1auth=Bearer secret\1\1"), "u@x"},
    {SASL_XOAUTH2, SPAN_LIT("user=u@x\1auth=Bearer secret\1\1"), "u@x"},
    {SASL_XOAUTH2, SPAN_LIT("user=u@x"), ""},
    {SASL_EXTERNAL, SPAN_LIT("x"), ""},
};

static void
test_user_in(void **state)
{
	char room[SASL_USER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(user_cases) / sizeof(user_cases[0]); i++)
		assert_span(
		    sasl_user_in(user_cases[i].mechanism, true, user_cases[i].message, room, sizeof(room)),
		    user_cases[i].user);
	assert_span(sasl_user_in(SASL_LOGIN, false, SPAN_LIT("secret"), room, sizeof(room)), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_tokens),
	    cmocka_unit_test(test_a_token_that_is_refused), cmocka_unit_test(test_what_a_refusal_tells),
	    cmocka_unit_test(test_a_token_nobody_can_judge_now), cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_plain_without_an_initial_response), cmocka_unit_test(test_limits_of_plain),
	    cmocka_unit_test(test_login), cmocka_unit_test(test_external), cmocka_unit_test(test_prep),
	    cmocka_unit_test(test_user_in)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
