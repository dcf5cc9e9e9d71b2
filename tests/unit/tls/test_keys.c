/*
 * Keys that are elsewhere: answers that come late, in any order, never, refused or wrong, and many at once; certificates
 * that are renewed; and client certificates.
 */
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "tests/unit/tls/fixture.h"

static char last_line[2000];

static void
keep_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	(void)level;
	(void)ident;
	(void)context;
	memcpy(last_line, text, len + 1);
}

static int
set_up(void **state)
{
	last_line[0] = '\0';
	log_set_sink(keep_line, NULL);
	return fixture_set_up(state);
}

static int
tear_down(void **state)
{
	log_set_sink(NULL, NULL);
	return fixture_tear_down(state);
}

static void
shake(struct world *w)
{
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_shake(w, &s, &c, NULL);
}

static void
a_late_answer(void **state)
{
	struct world *w = *state;

	w->signer = SIGNER_LATER;
	shake(w);
	assert_int_equal(w->asked, 1);
	assert_false(w->server.finished);
	world_sign_all(w);
	world_run(w);
	assert_true(w->server.ok && w->client.ok);
}

/* The whole text is told, in the form of RFC 8446, 4.4.3. */
static void
keys_sees_what_it_signs(void **state)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";
	struct world *w = *state;
	const char *text;

	w->signer = SIGNER_LATER;
	shake(w);
	assert_int_equal(w->texts[0].len, 64 + sizeof(context) + 48);
	text = buf_ptr(&w->texts[0]);
	for (int i = 0; i < 64; i++)
		assert_int_equal(text[i], ' ');
	assert_memory_equal(text + 64, context, sizeof(context));
}

static void
a_refusal(void **state)
{
	struct world *w = *state;

	w->signer = SIGNER_REFUSES;
	shake(w);
	assert_true(w->server.finished && !w->server.ok);
	assert_string_equal(w->server.reason, "no signature from the keys process");
	assert_non_null(strstr(last_line, "not your key"));
	assert_true(w->client.finished && !w->client.ok);
	w->signer = SIGNER_AT_ONCE;
	shake(w);
	assert_true(w->server.ok);
}

static void
a_wrong_signature(void **state)
{
	struct world *w = *state;

	w->signer = SIGNER_LIES;
	shake(w);
	assert_true(w->client.finished && !w->client.ok);
}

static void
keys_dies_while_it_is_asked(void **state)
{
	struct world *w = *state;
	struct ipc_channel *channel = w->signer_channel;

	w->signer = SIGNER_LATER;
	shake(w);
	ipc_channel_close(&channel);
	world_run(w);
	assert_true(w->server.finished && !w->server.ok);
	assert_true(w->client.finished && !w->client.ok);
	/* And while it is away. What it told before still holds, but nobody signs. */
	assert_true(tls_keys_has(w->keys, "smtp", IDENTITY_SERVER));
	shake(w);
	assert_true(w->server.finished && !w->server.ok);
	assert_non_null(strstr(last_line, "keys is not there"));
}

static void
closed_while_keys_is_asked(void **state)
{
	struct world *w = *state;

	w->signer = SIGNER_LATER;
	for (int late = 0; late < 2; late++) {
		shake(w);
		assert_int_equal(w->waiting_count, 1);
		stream_close(&w->server.stream);
		if (late)
			world_sign_all(w);
		world_forget(w);
		world_run(w);
		assert_false(w->server.finished);
		assert_true(w->client.finished && !w->client.ok);
	}
	w->signer = SIGNER_AT_ONCE;
	shake(w);
	assert_true(w->server.ok);
}

/* The peer goes, or talks on, while the signature is awaited: the answer finds out. */
static void
the_peer_goes_meanwhile(void **state)
{
	struct world *w = *state;
	char noise[100] = "noise";

	w->signer = SIGNER_LATER;
	shake(w);
	assert_int_equal(send(w->server.wire, noise, sizeof(noise), 0), sizeof(noise));
	world_run(w);
	assert_false(w->server.finished);
	stream_close(&w->client.stream);
	world_run(w);
	world_sign_all(w);
	world_run(w);
	assert_true(w->server.finished && !w->server.ok);
}

static void
the_deadline_holds_meanwhile(void **state)
{
	struct world *w = *state;

	w->signer = SIGNER_LATER;
	shake(w);
	stream_set_deadline(w->server.stream, 1);
	usleep(20000); /* libevent's clock is a coarse one */
	world_run(w);
	assert_int_equal(w->server.events[STREAM_TIMEOUT], 1);
	stream_close(&w->server.stream);
}

/* More handshakes than may wait for signatures at a time: the others wait for their turn. */
static void
more_than_there_are_jobs(void **state)
{
	enum { MANY = 300 };
	static struct world pairs[MANY];
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	struct error err;
	unsigned finished = 0, closed = 0, most = 0;

	w->server.context = tls_context_new(&s, w->keys, &err);
	w->client.context = tls_context_new(&c, NULL, &err);
	w->signer = SIGNER_LATER;
	for (int i = 0; i < MANY; i++) {
		pairs[i] = *w;
		pairs[i].client.world = pairs[i].server.world = &pairs[i];
		pairs[i].client.stream = pairs[i].server.stream = NULL;
		pairs[i].client.wire = pairs[i].server.wire = -1;
		world_connect(&pairs[i]);
		world_start(&pairs[i].server, NULL);
		world_start(&pairs[i].client, NULL);
	}
	for (int round = 0; round < 2000 && finished < MANY; round++) {
		finished = 0;
		for (int i = 0; i < MANY; i++) {
			world_step(&pairs[i]);
			finished += pairs[i].server.finished && pairs[i].client.finished;
			/* One in ten goes away, whether it has a job or waits for one. */
			if (round == 3 && i % 10 == 0 && !pairs[i].server.finished) {
				stream_close(&pairs[i].server.stream);
				pairs[i].server.finished = true;
				closed++;
			}
		}
		most = round < 3 ? w->waiting_count : most;
		if (round > 3)
			world_sign_all(w);
	}
	assert_int_equal(finished, MANY);
	assert_int_equal(most, 128);
	assert_int_equal(closed, MANY / 10);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(pairs[i].server.ok, i % 10 != 0);
		world_disconnect(&pairs[i]);
	}
}

static void
a_renewed_certificate(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	shake(w);
	assert_string_equal(tls_facts(w->client.stream)->subject_common_name, "mx.example");
	/* Told, but not to the end: keys died. What was there before goes on. */
	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_rsa, NULL, 0);
	world_run(w);
	tls_keys_connected(w->keys);
	shake(w);
	assert_string_equal(tls_facts(w->client.stream)->subject_common_name, "mx.example");
	world_connect(w);
	world_start(&w->server, NULL);
	world_start(&w->client, NULL);
	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_ed, NULL, 0);
	world_identities_end(w);
	assert_true(w->client.ok);
	shake(w);
	assert_string_equal(tls_facts(w->client.stream)->subject_common_name, "ed.example");
	/* All gone. */
	world_identities_end(w);
	assert_true(tls_keys_known(w->keys));
	assert_false(tls_keys_has(w->keys, "smtp", IDENTITY_SERVER));
	world_shake(w, &s, &c, NULL);
	assert_false(w->server.ok);
}

/* What keys must not tell: each is an error, and changes nothing. */
static void
identities_that_make_no_sense(void **state)
{
	struct world *w = *state;
	char number[32] = "", chain[100] = "";
	const struct {
		const char *why;
		struct span key, chain;
	} cases[] = {
	    {"no chain", {number, 32}, {NULL, 0}},
	    {"no number", {number, 0}, {chain, 10}},
	    {"a length beyond the end", {number, 32}, SPAN_LIT("\0\0\5abc")},
	    {"half a length", {number, 32}, SPAN_LIT("\0\0")},
	    {"no certificate", {number, 32}, SPAN_LIT("\0\0\3abc")},
	    {"an empty certificate", {number, 32}, SPAN_LIT("\0\0\0")},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct msg_identity m = {
		    .section = SPAN_LIT("smtp"), .key = cases[i].key, .chain = cases[i].chain};
		struct error err = {.text = ""};

		assert_int_equal(tls_keys_identity(w->keys, &m, &err), -1);
		assert_string_not_equal(err.text, "");
	}
	assert_int_equal(
	    tls_keys_tickets(w->keys, &(struct msg_ticket_keys){.current = {number, 32}}, &(struct error){0}),
	    -1);
	shake(w);
	assert_true(w->server.ok);
}

/* ---- the client's certificate ---- */

struct showing {
	const char *why;
	enum tls_ask ask;
	const struct party *shown; /* NULL: none */
	int version;
	bool ok;
	enum tls_standing standing;
	const char *why_untrusted;
};

static const struct showing showings[] = {
    {"not asked, not shown", TLS_ASK_NOTHING, &client_ec, TLS1_3_VERSION, true, TLS_ANONYMOUS, ""},
    {"asked, none there", TLS_ASK_CERTIFICATE, NULL, TLS1_3_VERSION, true, TLS_ANONYMOUS, ""},
    {"required, none there", TLS_REQUIRE_CERTIFICATE, NULL, TLS1_3_VERSION, false, TLS_ANONYMOUS, ""},
    {"required, none there, TLS 1.2", TLS_REQUIRE_CERTIFICATE, NULL, TLS1_2_VERSION, false, TLS_ANONYMOUS,
	""},
    {"asked and shown", TLS_ASK_CERTIFICATE, &client_ec, TLS1_3_VERSION, true, TLS_TRUSTED, ""},
    {"in TLS 1.2 too", TLS_ASK_CERTIFICATE, &client_ec, TLS1_2_VERSION, true, TLS_TRUSTED, ""},
    {"with RSA", TLS_ASK_CERTIFICATE, &server_rsa, TLS1_2_VERSION, true, TLS_TRUSTED, ""},
    {"a stranger's", TLS_ASK_CERTIFICATE, &stranger, TLS1_3_VERSION, true, TLS_UNTRUSTED,
	"self-signed certificate"},
};

static void
client_certificates(void **state)
{
	struct world *w = *state;
	struct tls_trust *trust = fixture_trust();
	const struct tls_facts *f;

	for (size_t i = 0; i < sizeof(showings) / sizeof(showings[0]); i++) {
		const struct showing *one = &showings[i];
		struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

		w->known_count = 0;
		world_identity(w, "smtp", "", IDENTITY_SERVER, &server_ec, NULL, 0);
		if (one->shown)
			world_identity(w, "", "", IDENTITY_CLIENT, one->shown, NULL, 0);
		world_identities_end(w);
		s.ask = one->ask;
		s.trust = trust;
		c.client_identity = true;
		c.protocols.ceiling = one->version;
		world_shake(w, &s, &c, NULL);
		assert_int_equal(w->server.ok, one->ok);
		if (!one->ok)
			continue;
		f = tls_facts(w->server.stream);
		assert_int_equal(f->standing, one->standing);
		assert_string_equal(f->why_untrusted, one->why_untrusted);
		if (one->standing == TLS_ANONYMOUS) {
			assert_string_equal(f->certificate_fingerprint, "");
			continue;
		}
		assert_int_equal(strlen(f->certificate_fingerprint), 32 * 3 - 1);
		assert_int_equal(strlen(f->key_fingerprint), 32 * 3 - 1);
		assert_string_equal(f->client_signature,
		    one->version == TLS1_3_VERSION ? (one->shown == &server_rsa ? "RSA-PSS" : "ECDSA") : "");
	}
	tls_trust_free(&trust);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_late_answer),
	    TEST(keys_sees_what_it_signs),
	    TEST(a_refusal),
	    TEST(a_wrong_signature),
	    TEST(keys_dies_while_it_is_asked),
	    TEST(closed_while_keys_is_asked),
	    TEST(the_peer_goes_meanwhile),
	    TEST(the_deadline_holds_meanwhile),
	    TEST(more_than_there_are_jobs),
	    TEST(a_renewed_certificate),
	    TEST(identities_that_make_no_sense),
	    TEST(client_certificates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
