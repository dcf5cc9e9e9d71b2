/* The client's side of SASL: against our own server's side, against the RFCs' examples, against servers that mean no good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/sasl/client.h"
#include "common/sasl/scram.h"
#include "common/sasl/server.h"

#define USER SPAN_LIT("user")
#define PASSWORD SPAN_LIT("pencil")
#define SALT SPAN_LIT("0123456789abcdef")

static enum sasl_client_step
finish_work(struct sasl_client *c, enum sasl_client_step step)
{
	while (step == SASL_CLIENT_WORK)
		step = sasl_client_work(c);
	return step;
}

static void
assert_message(const struct sasl_client *c, const char *text, size_t len)
{
	struct span m = sasl_client_message(c);

	if (m.len != len || memcmp(m.ptr, text, len) != 0)
		fail_msg("\"%.*s\" is not \"%.*s\"", SPAN_ARG(m), (int)len, text);
}

/* ---- examples ---- */

static void
plain(void **state)
{
	const struct sasl_client_plan plan = {
	    .mechanism = SASL_PLAIN, .user = SPAN_LIT("tim"), .password = SPAN_LIT("tanstaaftanstaaf")};
	struct sasl_client *c = sasl_client_new(&plan);

	(void)state;
	assert_false(sasl_client_waits(c));
	assert_int_equal(sasl_client_begin(c), SASL_CLIENT_SEND);
	assert_message(c, "\0tim\0tanstaaftanstaaf", 21);
	assert_true(sasl_client_believes(c));
	assert_int_equal(sasl_client_challenge(c, SPAN_LIT("more?")), SASL_CLIENT_FAILED);
	sasl_client_free(&c);
	assert_null(c);
}

static void
login(void **state)
{
	const struct sasl_client_plan plan = {.mechanism = SASL_LOGIN, .user = USER, .password = PASSWORD};
	struct sasl_client *c = sasl_client_new(&plan);

	(void)state;
	assert_true(sasl_client_waits(c));
	assert_int_equal(sasl_client_challenge(c, SPAN_LIT("Username:")), SASL_CLIENT_SEND);
	assert_message(c, "user", 4);
	assert_int_equal(sasl_client_challenge(c, SPAN_LIT("")), SASL_CLIENT_SEND);
	assert_message(c, "pencil", 6);
	assert_int_equal(sasl_client_challenge(c, SPAN_LIT("Username:")), SASL_CLIENT_FAILED);
	sasl_client_free(&c);
}

/* RFC 7628, 4.1 and 4.3; Google's "XOAUTH2 protocol". */
static void
bearers(void **state)
{
	static const struct {
		enum sasl_mechanism mechanism;
		const char *first;
		const char *answer;
	} rows[] = {
	    {SASL_OAUTHBEARER,
		"n,a=u=2Cser@example.com,\001host=server.example.com\001port=587\001auth=Bearer tok\001\001",
		"\001"},
	    {SASL_XOAUTH2, "user=u,ser@example.com\001auth=Bearer tok\001\001", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sasl_client_plan plan = {.mechanism = rows[i].mechanism,
		    .user = SPAN_LIT("u,ser@example.com"),
		    .password = SPAN_LIT("tok"),
		    .host = SPAN_LIT("server.example.com"),
		    .port = 587};
		struct sasl_client *c = sasl_client_new(&plan);

		assert_int_equal(sasl_client_begin(c), SASL_CLIENT_SEND);
		assert_message(c, rows[i].first, strlen(rows[i].first));
		assert_int_equal(
		    sasl_client_challenge(c, SPAN_LIT("{\"status\":\"401\"}")), SASL_CLIENT_SEND);
		assert_message(c, rows[i].answer, strlen(rows[i].answer));
		assert_int_equal(sasl_client_challenge(c, SPAN_LIT("{}")), SASL_CLIENT_FAILED);
		sasl_client_free(&c);
		plan.password = SPAN_LIT("tok\001auth=x");
		c = sasl_client_new(&plan);
		assert_int_equal(sasl_client_begin(c), SASL_CLIENT_FAILED);
		sasl_client_free(&c);
	}
}

/* RFC 5802, 5; RFC 7677, 3. */
static void
scram_examples(void **state)
{
	static const struct {
		enum sasl_mechanism mechanism;
		const char *nonce, *first, *server_first, *final, *server_final;
	} rows[] = {
	    {SASL_SCRAM_SHA_1, "fyko+d2lbbFgONRv9qkxdawL", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
		"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
		"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
		"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
	    {SASL_SCRAM_SHA_256, "rOprNGfwEbeRWgbNEkqO", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sasl_client_plan plan = {.mechanism = rows[i].mechanism,
		    .user = USER,
		    .password = PASSWORD,
		    .nonce = span_of(rows[i].nonce)};
		struct sasl_client *c = sasl_client_new(&plan);

		assert_int_equal(sasl_client_begin(c), SASL_CLIENT_SEND);
		assert_message(c, rows[i].first, strlen(rows[i].first));
		assert_int_equal(finish_work(c, sasl_client_challenge(c, span_of(rows[i].server_first))),
		    SASL_CLIENT_SEND);
		assert_message(c, rows[i].final, strlen(rows[i].final));
		assert_false(sasl_client_believes(c));
		assert_int_equal(sasl_client_challenge(c, span_of(rows[i].server_final)), SASL_CLIENT_SEND);
		assert_message(c, "", 0);
		assert_true(sasl_client_believes(c));
		sasl_client_free(&c);
	}
}

/* ---- both sides ---- */

static struct sasl_keys
keys_of(enum scram_hash hash, uint8_t stored[SCRAM_HASH_MAX], uint8_t server[SCRAM_HASH_MAX])
{
	uint8_t salted[SCRAM_HASH_MAX], client[SCRAM_HASH_MAX];

	assert_int_equal(scram_salted_password(hash, PASSWORD, SALT, 5000, salted), 0);
	assert_int_equal(scram_keys(hash, salted, client, stored, server), 0);
	return (struct sasl_keys){.status = AUTH_ACCEPTED,
	    .iterations = 5000,
	    .salt = SALT,
	    .stored_key = span_make(stored, scram_hash_size(hash)),
	    .server_key = span_make(server, scram_hash_size(hash))};
}

/* The end of the exchange as the server sees it. */
static enum sasl_step
converse(const struct sasl_client_plan *plan, const struct sasl_facts *facts, bool *believed)
{
	struct sasl_client *c = sasl_client_new(plan);
	struct sasl_server *s = sasl_server_new(plan->mechanism, facts);
	uint8_t stored[SCRAM_HASH_MAX], server[SCRAM_HASH_MAX];
	enum sasl_client_step client = SASL_CLIENT_SEND;
	enum sasl_step step;

	if (sasl_client_waits(c))
		step = sasl_server_begin(s, span_make(NULL, 0));
	else {
		client = sasl_client_begin(c);
		step = sasl_server_begin(s, sasl_client_message(c));
	}
	while (client == SASL_CLIENT_SEND &&
	       (step == SASL_CHALLENGE || step == SASL_NEED_PASSWORD || step == SASL_NEED_KEYS))
		if (step == SASL_CHALLENGE) {
			client = finish_work(c, sasl_client_challenge(c, sasl_server_challenge(s)));
			step = client == SASL_CLIENT_SEND ? sasl_server_response(s, sasl_client_message(c))
							  : SASL_FAILED;
		} else if (step == SASL_NEED_PASSWORD)
			step = sasl_server_checked(s, span_equal(sasl_server_password(s), PASSWORD) &&
							      span_equal(sasl_server_user(s), USER)
							  ? AUTH_ACCEPTED
							  : AUTH_REFUSED);
		else {
			struct sasl_keys keys = keys_of(sasl_server_hash(s), stored, server);
			step = sasl_server_keys(s, &keys);
		}
	*believed = sasl_client_believes(c);
	sasl_client_free(&c);
	sasl_server_free(&s);
	return step;
}

static void
our_own_server(void **state)
{
	static const struct {
		const char *name;
		enum sasl_mechanism mechanism;
		const char *password, *binding_name, *client_binding, *server_binding;
		bool plus_missing, plus_offered;
		enum sasl_step end;
	} rows[] = {
	    {"plain", SASL_PLAIN, "pencil", NULL, "", "", false, false, SASL_DONE},
	    {"wrong", SASL_PLAIN, "pencils", NULL, "", "", false, false, SASL_FAILED},
	    {"login", SASL_LOGIN, "pencil", NULL, "", "", false, false, SASL_DONE},
	    {"scram", SASL_SCRAM_SHA_256, "pencil", NULL, "", "", false, false, SASL_DONE},
	    {"scram, wrong", SASL_SCRAM_SHA_256, "Pencil", NULL, "", "", false, false, SASL_FAILED},
	    {"old scram", SASL_SCRAM_SHA_1, "pencil", NULL, "", "", false, false, SASL_DONE},
	    {"bound", SASL_SCRAM_SHA_256_PLUS, "pencil", "tls-exporter", "abc", "abc", false, true,
		SASL_DONE},
	    {"bound, old", SASL_SCRAM_SHA_1_PLUS, "pencil", "tls-server-end-point", "abc", "abc", false, true,
		SASL_DONE},
	    {"bound to somebody else", SASL_SCRAM_SHA_256_PLUS, "pencil", "tls-exporter", "abc", "abd", false,
		true, SASL_FAILED},
	    {"nothing to bind to", SASL_SCRAM_SHA_256_PLUS, "pencil", NULL, "", "abc", false, true,
		SASL_FAILED},
	    {"the server binds, and its offer was lost on the way", SASL_SCRAM_SHA_256, "pencil",
		"tls-exporter", "abc", "abc", true, true, SASL_FAILED},
	    {"it does not bind", SASL_SCRAM_SHA_256, "pencil", "tls-exporter", "abc", "", true, false,
		SASL_DONE},
	    {"it does, and we do not want to", SASL_SCRAM_SHA_256, "pencil", "tls-exporter", "abc", "abc",
		false, true, SASL_DONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sasl_client_plan plan = {.mechanism = rows[i].mechanism,
		    .user = USER,
		    .password = span_of(rows[i].password),
		    .binding_name = rows[i].binding_name,
		    .binding = span_of(rows[i].client_binding),
		    .plus_missing = rows[i].plus_missing};
		const struct sasl_facts facts = {.plus_offered = rows[i].plus_offered,
		    .tls_exporter = span_of(rows[i].server_binding),
		    .tls_server_end_point = span_of(rows[i].server_binding)};
		bool believed = false;
		enum sasl_step end = converse(&plan, &facts, &believed);

		if (end != rows[i].end || (end == SASL_DONE && !believed))
			fail_msg("%s: %d, %sbelieved", rows[i].name, end, believed ? "" : "not ");
	}
}

/* ---- hostile servers ---- */

#define N "rOprNGfwEbeRWgbNEkqO"

static void
hostile_scram(void **state)
{
	static const struct {
		const char *name, *first, *final; /* final: NULL: the first fails */
	} rows[] = {
	    {"nothing", "", NULL},
	    {"another nonce", "r=x" N "y,s=QSXCR+Q6sek8bf92,i=4096", NULL},
	    {"our nonce alone", "r=" N ",s=QSXCR+Q6sek8bf92,i=4096", NULL},
	    {"a nonce cut short", "r=rOpr,s=QSXCR+Q6sek8bf92,i=4096", NULL},
	    {"no salt", "r=" N "x,s=,i=4096", NULL},
	    {"a salt that is none", "r=" N "x,s=QSXC!,i=4096", NULL},
	    {"one round", "r=" N "x,s=QSXCR+Q6sek8bf92,i=1", NULL},
	    {"no rounds", "r=" N "x,s=QSXCR+Q6sek8bf92", NULL},
	    {"rounds for a year", "r=" N "x,s=QSXCR+Q6sek8bf92,i=4294967295", NULL},
	    {"fewer than none", "r=" N "x,s=QSXCR+Q6sek8bf92,i=-1", NULL},
	    {"another order", "s=QSXCR+Q6sek8bf92,r=" N "x,i=4096", NULL},
	    {"an extension that must be understood", "m=x,r=" N "x,s=QSXCR+Q6sek8bf92,i=4096", NULL},
	    {"no signature", "r=" N "x,s=QSXCR+Q6sek8bf92,i=4096", ""},
	    {"a signature of somebody else", "r=" N "x,s=QSXCR+Q6sek8bf92,i=4096",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
	    {"half a signature", "r=" N "x,s=QSXCR+Q6sek8bf92,i=4096", "v=6rriTRBi23WpRR/wtuo="},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sasl_client_plan plan = {.mechanism = SASL_SCRAM_SHA_256,
		    .user = USER,
		    .password = PASSWORD,
		    .nonce = SPAN_LIT(N)};
		struct sasl_client *c = sasl_client_new(&plan);
		enum sasl_client_step step;

		assert_int_equal(sasl_client_begin(c), SASL_CLIENT_SEND);
		step = finish_work(c, sasl_client_challenge(c, span_of(rows[i].first)));
		if (step != (rows[i].final ? SASL_CLIENT_SEND : SASL_CLIENT_FAILED))
			fail_msg("%s: %s", rows[i].name, sasl_client_reason(c));
		if (rows[i].final)
			assert_int_equal(
			    sasl_client_challenge(c, span_of(rows[i].final)), SASL_CLIENT_FAILED);
		assert_false(sasl_client_believes(c));
		assert_string_not_equal(sasl_client_reason(c), "");
		assert_int_equal(sasl_client_challenge(c, span_of(rows[i].first)), SASL_CLIENT_FAILED);
		sasl_client_free(&c);
	}
}

/* The server says why it refuses, in a challenge: then its reply is waited for. */
static void
a_refusal_in_words(void **state)
{
	const struct sasl_client_plan plan = {
	    .mechanism = SASL_SCRAM_SHA_256, .user = USER, .password = PASSWORD, .nonce = SPAN_LIT(N)};
	struct sasl_client *c = sasl_client_new(&plan);

	(void)state;
	assert_int_equal(sasl_client_begin(c), SASL_CLIENT_SEND);
	assert_int_equal(
	    finish_work(c, sasl_client_challenge(c, SPAN_LIT("r=" N "x,s=QSXCR+Q6sek8bf92,i=4096"))),
	    SASL_CLIENT_SEND);
	assert_int_equal(sasl_client_challenge(c, SPAN_LIT("e=invalid-proof")), SASL_CLIENT_SEND);
	assert_message(c, "", 0);
	assert_false(sasl_client_believes(c));
	sasl_client_free(&c);
}

static void
credentials_that_cannot_be_used(void **state)
{
	static char long_text[SASL_TOKEN_MAX + 1];
	const struct {
		struct span user, password;
	} rows[] = {
	    {SPAN_LIT(""), PASSWORD},
	    {SPAN_LIT("a\0b"), PASSWORD},
	    {USER, SPAN_LIT("a\0b")},
	    {USER, span_make(long_text, sizeof(long_text))},
	    {span_make(long_text, SASL_USER_MAX + 1), PASSWORD},
	};

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (enum sasl_mechanism m = SASL_PLAIN; m < SASL_MECHANISM_COUNT; m++) {
			const struct sasl_client_plan plan = {
			    .mechanism = m, .user = rows[i].user, .password = rows[i].password};
			struct sasl_client *c = sasl_client_new(&plan);

			if (sasl_client_waits(c))
				assert_int_equal(sasl_client_challenge(c, SPAN_LIT("")), SASL_CLIENT_FAILED);
			else
				assert_int_equal(sasl_client_begin(c), SASL_CLIENT_FAILED);
			sasl_client_free(&c);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain),
	    cmocka_unit_test(login),
	    cmocka_unit_test(bearers),
	    cmocka_unit_test(scram_examples),
	    cmocka_unit_test(our_own_server),
	    cmocka_unit_test(hostile_scram),
	    cmocka_unit_test(a_refusal_in_words),
	    cmocka_unit_test(credentials_that_cannot_be_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
