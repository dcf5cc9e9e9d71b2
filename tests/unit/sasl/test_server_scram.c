/*
 * Unit tests of the server's side of SCRAM: the examples of RFC 5802 and 7677, and who must not get in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/base64.h"
#include "common/sasl/scram.h"
#include "common/sasl/server.h"

static const struct sasl_facts no_facts;

static void
assert_span(struct span span, const char *text)
{
	if (!span_is(span, text))
		fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARG(span), text);
}

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
		assert_int_equal(sasl_server_response(s, SPAN_LIT("")), SASL_DONE);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_scram_vectors),
	    cmocka_unit_test(test_scram_cases), cmocka_unit_test(test_scram_back_end)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
