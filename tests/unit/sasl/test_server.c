/*
 * Unit tests of the server's side of SASL: the examples of RFC 4616, 5802 and 7677, and who must not get in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/base64.h"
#include "common/sasl/prep.h"
#include "common/sasl/scram.h"
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

/* ---- SCRAM ---- */

struct stored {
	char salt[64];
	uint8_t client[SCRAM_HASH_MAX], stored[SCRAM_HASH_MAX], server[SCRAM_HASH_MAX];
	struct sasl_keys keys;
};

/* What a server keeps of "pencil". */
static void
store(struct stored *to, enum scram_hash hash, const char *salt, uint32_t iterations)
{
	uint8_t salted[SCRAM_HASH_MAX];
	size_t size = scram_hash_size(hash);
	ptrdiff_t len = base64_decode(span_of(salt), to->salt);

	assert_true(len > 0);
	to->keys = (struct sasl_keys){.status = AUTH_ACCEPTED,
	    .iterations = iterations,
	    .salt = span_make(to->salt, (size_t)len),
	    .stored_key = span_make(to->stored, size),
	    .server_key = span_make(to->server, size)};
	assert_int_equal(
	    scram_salted_password(hash, SPAN_LIT("pencil"), to->keys.salt, iterations, salted), 0);
	assert_int_equal(scram_keys(hash, salted, to->client, to->stored, to->server), 0);
}

static const struct {
	const char *name;
	enum sasl_mechanism mechanism;
	enum scram_hash hash;
	const char *nonce, *salt, *first, *server_first, *final, *server_final;
} vectors[] = {
    {"RFC 5802, 5", SASL_SCRAM_SHA_1, SCRAM_SHA_1, "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
	"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
	"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
	"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
	"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
    {"RFC 7677, 3", SASL_SCRAM_SHA_256, SCRAM_SHA_256, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
	"W22ZaJ0SNY7soEsUEjb6gQ==", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
	"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

static void
test_scram_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct sasl_facts facts = {.nonce = span_of(vectors[i].nonce)};
		struct sasl_server *s = sasl_server_new(vectors[i].mechanism, &facts);
		struct stored stored;

		store(&stored, vectors[i].hash, vectors[i].salt, 4096);
		assert_int_equal(sasl_server_begin(s, span_of(vectors[i].first)), SASL_NEED_KEYS);
		assert_span(sasl_server_user(s), "user");
		assert_int_equal(sasl_server_hash(s), vectors[i].hash);
		assert_int_equal(sasl_server_keys(s, &stored.keys), SASL_CHALLENGE);
		assert_span(sasl_server_challenge(s), vectors[i].server_first);
		assert_int_equal(sasl_server_response(s, span_of(vectors[i].final)), SASL_CHALLENGE);
		assert_span(sasl_server_challenge(s), vectors[i].server_final);
		assert_int_equal(sasl_server_response(s, RESPONSE("")), SASL_DONE);
		sasl_server_free(&s);
	}
}

/* A client that does its arithmetic right and says what a case wants it to say. */
struct scram_case {
	const char *name;
	enum sasl_mechanism mechanism;
	const char *gs2; /* the header */
	const char *bare; /* NULL: the usual one */
	const char *channel; /* what c= holds behind the header */
	const char *nonce_end; /* of r= in the last message; NULL: as it came */
	const char *extension; /* between r= and p= */
	bool plus_offered, unknown_user, spoilt_proof;
	const char *after; /* the last response */
	enum sasl_step end;
};

static const struct scram_case scram_cases[] = {
    {.name = "a plain exchange", .mechanism = SASL_SCRAM_SHA_256, .gs2 = "n,,", .end = SASL_DONE},
    {.name = "a client that could bind, and nobody in the middle",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "y,,",
	.end = SASL_DONE},
    {.name = "-PLUS was offered and somebody took it away",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "y,,",
	.plus_offered = true,
	.end = SASL_FAILED},
    {.name = "-PLUS was offered to a client that cannot bind",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.plus_offered = true,
	.end = SASL_DONE},
    {.name = "binding without -PLUS",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "p=tls-exporter,,",
	.channel = "EXPORTER",
	.end = SASL_FAILED},
    {.name = "tls-exporter",
	.mechanism = SASL_SCRAM_SHA_256_PLUS,
	.gs2 = "p=tls-exporter,,",
	.channel = "EXPORTER",
	.plus_offered = true,
	.end = SASL_DONE},
    {.name = "tls-server-end-point",
	.mechanism = SASL_SCRAM_SHA_1_PLUS,
	.gs2 = "p=tls-server-end-point,,",
	.channel = "CERTIFICATE",
	.plus_offered = true,
	.end = SASL_DONE},
    {.name = "another channel",
	.mechanism = SASL_SCRAM_SHA_256_PLUS,
	.gs2 = "p=tls-exporter,,",
	.channel = "exporter",
	.end = SASL_FAILED},
    {.name = "no channel in c=",
	.mechanism = SASL_SCRAM_SHA_256_PLUS,
	.gs2 = "p=tls-exporter,,",
	.channel = "",
	.end = SASL_FAILED},
    {.name = "tls-unique where there is none (TLS 1.3)",
	.mechanism = SASL_SCRAM_SHA_256_PLUS,
	.gs2 = "p=tls-unique,,",
	.channel = "",
	.end = SASL_FAILED},
    {.name = "an unknown type of binding",
	.mechanism = SASL_SCRAM_SHA_256_PLUS,
	.gs2 = "p=tls-mind-reading,,",
	.channel = "",
	.end = SASL_FAILED},
    {.name = "-PLUS without binding", .mechanism = SASL_SCRAM_SHA_256_PLUS, .gs2 = "n,,", .end = SASL_FAILED},
    {.name = "acting as oneself", .mechanism = SASL_SCRAM_SHA_256, .gs2 = "n,a=user,", .end = SASL_DONE},
    {.name = "an empty authzid", .mechanism = SASL_SCRAM_SHA_256, .gs2 = "n,a=,", .end = SASL_FAILED},
    {.name = "a wrong escape in authzid",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,a=us=2cer,",
	.end = SASL_FAILED},
    {.name = "no flag", .mechanism = SASL_SCRAM_SHA_256, .gs2 = ",,", .end = SASL_FAILED},
    {.name = "an extension that must be understood",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.bare = "m=x,n=user,r=clientnonce",
	.end = SASL_FAILED},
    {.name = "an extension that need not be",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.bare = "n=user,r=clientnonce,x=y",
	.extension = ",x=z",
	.end = SASL_DONE},
    {.name = "one that must be, in the last message",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.extension = ",m=z",
	.end = SASL_FAILED},
    {.name = "a comma in the name, as it is written",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.bare = "n=us=2Cer=3D,r=clientnonce",
	.end = SASL_DONE},
    {.name = "an '=' as it is not written",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.bare = "n=us=er,r=clientnonce",
	.end = SASL_FAILED},
    {.name = "an escape cut short",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.bare = "n=us=3,r=clientnonce",
	.end = SASL_FAILED},
    {.name = "no name", .mechanism = SASL_SCRAM_SHA_256, .gs2 = "n,,", .bare = "n=,r=x", .end = SASL_FAILED},
    {.name = "no nonce",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.bare = "n=user,r=",
	.end = SASL_FAILED},
    {.name = "parts in another order",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.bare = "r=clientnonce,n=user",
	.end = SASL_FAILED},
    {.name = "another nonce in the end",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.nonce_end = "clientnonce",
	.end = SASL_FAILED},
    {.name = "a wrong proof",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.spoilt_proof = true,
	.end = SASL_FAILED},
    {.name = "a user who is not there",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.unknown_user = true,
	.end = SASL_FAILED},
    {.name = "words behind the end",
	.mechanism = SASL_SCRAM_SHA_256,
	.gs2 = "n,,",
	.after = "x",
	.end = SASL_FAILED},
};

static size_t
client_final(const struct scram_case *c, const struct stored *stored, const char *bare, struct span first,
    char *out, size_t size)
{
	enum scram_hash hash = c->mechanism == SASL_SCRAM_SHA_1_PLUS ? SCRAM_SHA_1 : SCRAM_SHA_256;
	size_t len = scram_hash_size(hash);
	char channel[200], encoded[300], proof[100], without[600], text[2000];
	uint8_t signature[SCRAM_HASH_MAX];
	struct span nonce, rest = first;

	assert_true(scram_take(&rest, 'r', &nonce));
	(void)snprintf(channel, sizeof(channel), "%s%s", c->gs2, c->channel ? c->channel : "");
	(void)base64_encode(span_of(channel), encoded);
	(void)snprintf(without, sizeof(without), "c=%s,r=%.*s%s", encoded,
	    c->nonce_end ? (int)strlen(c->nonce_end) : (int)nonce.len,
	    c->nonce_end ? c->nonce_end : nonce.ptr, c->extension ? c->extension : "");
	(void)snprintf(text, sizeof(text), "%s,%.*s,%s", bare, SPAN_ARG(first), without);
	assert_int_equal(scram_hmac(hash, span_make(stored->stored, len), span_of(text), signature), 0);
	for (size_t i = 0; i < len; i++)
		signature[i] ^= stored->client[i];
	signature[0] ^= c->spoilt_proof;
	(void)base64_encode(span_make(signature, len), proof);
	return (size_t)snprintf(out, size, "%s,p=%s", without, proof);
}

static void
test_scram_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scram_cases) / sizeof(scram_cases[0]); i++) {
		const struct scram_case *c = &scram_cases[i];
		struct sasl_facts facts = {.plus_offered = c->plus_offered,
		    .tls_exporter = SPAN_LIT("EXPORTER"),
		    .tls_server_end_point = SPAN_LIT("CERTIFICATE")};
		struct sasl_server *s = sasl_server_new(c->mechanism, &facts);
		const char *bare = c->bare ? c->bare : "n=user,r=clientnonce";
		enum sasl_step step;
		struct stored stored;
		char message[3000];

		store(&stored, sasl_server_hash(s), "W22ZaJ0SNY7soEsUEjb6gQ==", 4096);
		(void)snprintf(message, sizeof(message), "%s%s", c->gs2, bare);
		step = sasl_server_begin(s, span_of(message));
		if (step == SASL_NEED_KEYS) {
			if (c->unknown_user)
				stored.keys.status = AUTH_REFUSED;
			step = sasl_server_keys(s, &stored.keys);
			assert_int_equal(step, SASL_CHALLENGE);
			client_final(c, &stored, bare, sasl_server_challenge(s), message, sizeof(message));
			step = sasl_server_response(s, span_of(message));
		}
		if (step == SASL_CHALLENGE)
			step = sasl_server_response(s, span_of(c->after ? c->after : ""));
		if (step != c->end)
			fail_msg("%s: ended with %d (%s)", c->name, (int)step, sasl_server_reason(s));
		sasl_server_free(&s);
	}
}

static void
test_scram_back_end(void **state)
{
	struct sasl_server *s = sasl_server_new(SASL_SCRAM_SHA_256, &no_facts);
	struct sasl_keys keys = {.status = AUTH_TEMPORARY};

	(void)state;
	assert_int_equal(sasl_server_begin(s, SPAN_LIT("n,,n=user,r=x")), SASL_NEED_KEYS);
	assert_int_equal(sasl_server_keys(s, &keys), SASL_TROUBLE);
	sasl_server_free(&s);
	keys =
	    (struct sasl_keys){AUTH_ACCEPTED, 4096, SPAN_LIT("salt"), SPAN_LIT("short"), SPAN_LIT("short")};
	s = sasl_server_new(SASL_SCRAM_SHA_256, &no_facts);
	assert_int_equal(sasl_server_begin(s, SPAN_LIT("n,,n=user,r=x")), SASL_NEED_KEYS);
	assert_int_equal(sasl_server_keys(s, &keys), SASL_TROUBLE);
	sasl_server_free(&s);
	s = sasl_server_new(SASL_SCRAM_SHA_256, &no_facts);
	assert_int_equal(sasl_server_begin(s, SPAN_LIT("n,,n=user,r=x")), SASL_NEED_KEYS);
	assert_int_equal(sasl_server_response(s, SPAN_LIT("c=biws,r=x,p=")), SASL_FAILED);
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
	    cmocka_unit_test(test_login), cmocka_unit_test(test_external),
	    cmocka_unit_test(test_scram_vectors), cmocka_unit_test(test_scram_cases),
	    cmocka_unit_test(test_scram_back_end), cmocka_unit_test(test_prep),
	    cmocka_unit_test(test_user_in)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
