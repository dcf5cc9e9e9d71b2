/*
 * Sessions between our own two ends: handshakes of all kinds, data, and how they end.
 */
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "tests/unit/tls/fixture.h"

static void
assert_shaken(struct world *w)
{
	assert_string_equal(w->server.reason, "");
	assert_string_equal(w->client.reason, "");
	assert_true(w->server.ok);
	assert_true(w->client.ok);
}

static const char *
summary(struct end *e)
{
	static char text[500];
	struct buf out;

	buf_init(&out, sizeof(text) - 1);
	tls_facts_summary(tls_facts(e->stream), &out);
	(void)span_copy(buf_span(&out), text, sizeof(text));
	buf_free(&out);
	return text;
}

/* ---- kinds of handshake ---- */

struct kind {
	const char *why;
	struct party *party;
	const char *protocols, *groups, *ciphers;
	uint32_t scheme;
	const char *summary;
};

static const struct kind kinds[] = {
    {"the usual", &server_ec, ">=TLSv1.2", "X25519", NULL, 0x0403,
	"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature "
	"ECDSA "
	"(prime256v1) server-digest SHA256"},
    {"RSA signs with PSS in TLS 1.3", &server_rsa, ">=TLSv1.2", "P-256", NULL, 0x0804,
	"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange ECDHE (prime256v1) "
	"server-signature RSA-PSS (2048 bits) server-digest SHA256"},
    {"Ed25519 has no digest", &server_ed, "TLSv1.3", "X25519", NULL, 0x0807,
	"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature "
	"ED25519"},
    {"TLS 1.2 says all in the cipher's name", &server_ec, "<=TLSv1.2", "P-256",
	"ECDHE-ECDSA-AES128-GCM-SHA256", 0x0403,
	"TLSv1.2 with cipher ECDHE-ECDSA-AES128-GCM-SHA256 (128/128 bits)"},
    {"TLS 1.2 with RSA", &server_rsa, "<=TLSv1.2", "P-256", "ECDHE-RSA-AES256-GCM-SHA384", 0x0804,
	"TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)"},
    {"TLS 1.2 with Ed25519", &server_ed, "<=TLSv1.2", "X25519", "ECDHE-ECDSA-CHACHA20-POLY1305", 0x0807,
	"TLSv1.2 with cipher ECDHE-ECDSA-CHACHA20-POLY1305 (256/256 bits)"},
    {"Ed448", &server_ed448, "TLSv1.3", "X25519", NULL, 0x0808,
	"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature "
	"ED448"},
    {"TLS 1.2 with Ed448", &server_ed448, "<=TLSv1.2", "X25519", "ECDHE-ECDSA-CHACHA20-POLY1305", 0x0808,
	"TLSv1.2 with cipher ECDHE-ECDSA-CHACHA20-POLY1305 (256/256 bits)"},
    {"RSA for PSS alone", &server_pss, "TLSv1.3", "X25519", NULL, 0x0809,
	"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 "
	"server-signature RSA-PSS (2048 bits) server-digest SHA256"},
    {"TLS 1.2 with RSA for PSS alone", &server_pss, "<=TLSv1.2", "P-256", "ECDHE-RSA-AES256-GCM-SHA384",
	0x0809, "TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)"},
};

static void
every_kind_of_handshake(void **state)
{
	struct world *w = *state;
	struct error err;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

		world_identity(w, "smtp", "", IDENTITY_SERVER, kinds[i].party, NULL, 0);
		world_identities_end(w);
		w->asked = 0;
		assert_int_equal(tls_protocols_parse(span_of(kinds[i].protocols), &c.protocols, &err), 0);
		c.groups = kinds[i].groups;
		c.ciphers = kinds[i].ciphers;
		world_shake(w, &s, &c, NULL);
		assert_shaken(w);
		assert_int_equal(w->asked, 1);
		assert_int_equal(w->schemes[0], kinds[i].scheme);
		assert_string_equal(summary(&w->client), kinds[i].summary);
		assert_string_equal(summary(&w->server), kinds[i].summary);
	}
}

static void
several_certificates_by_algorithm(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_rsa, NULL, 0);
	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_ec, NULL, 0);
	world_identities_end(w);
	c.protocols.ceiling = TLS1_2_VERSION;
	c.ciphers = "aRSA";
	world_shake(w, &s, &c, NULL);
	assert_shaken(w);
	assert_string_equal(tls_facts(w->client.stream)->subject_common_name, "rsa.example");
	c.ciphers = "aECDSA";
	world_shake(w, &s, &c, NULL);
	assert_shaken(w);
	assert_string_equal(tls_facts(w->client.stream)->subject_common_name, "mx.example");
}

/* As many as keys may tell of. OpenSSL shows the last of each algorithm. */
static void
more_certificates_than_algorithms(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	for (int i = 0; i < 15; i++)
		world_identity(w, "smtp", "", IDENTITY_SERVER, &server_rsa, NULL, 0);
	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_ec, NULL, 0);
	world_identities_end(w);
	assert_non_null(w->asker);
	world_shake(w, &s, &c, NULL);
	assert_shaken(w);
	assert_string_equal(tls_facts(w->client.stream)->subject_common_name, "mx.example");
}

static const struct {
	const char *why, *sent, *shown, *fact;
} names[] = {
    {"no name", NULL, "mx.example", ""},
    {"a name with its certificate", "rsa.example", "rsa.example", "rsa.example"},
    {"in any case", "RSA.Example", "rsa.example", "RSA.Example"},
    {"a last dot is not sent", "rsa.example.", "rsa.example", "rsa.example"},
    {"a name below .domain", "deep.below.ed.example", "ed.example", "deep.below.ed.example"},
    {".domain is not domain", "ed.example", "mx.example", ""},
    {"an unknown name gets the default", "other.example", "mx.example", ""},
    {"an address is not sent", "192.0.2.1", "mx.example", ""},
    {"nor is one of IPv6", "[2001:db8::1]", "mx.example", ""},
};

static void
certificates_by_name(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_ec, NULL, 0);
	world_identity(w, "smtp", "rsa.example", IDENTITY_SERVER, &server_rsa, NULL, 0);
	world_identity(w, "smtp", ".ed.example", IDENTITY_SERVER, &server_ed, NULL, 0);
	world_identity(w, "other", "other.example", IDENTITY_SERVER, &stranger, NULL, 0);
	world_identities_end(w);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		world_shake(w, &s, &c, &(struct tls_plan){.name = names[i].sent});
		assert_shaken(w);
		assert_string_equal(tls_facts(w->client.stream)->subject_common_name, names[i].shown);
		assert_string_equal(tls_facts(w->server.stream)->name, names[i].fact);
	}
}

static void
nothing_in_common(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	c.protocols.ceiling = TLS1_1_VERSION;
	world_shake(w, &s, &c, NULL);
	assert_true(w->server.finished && !w->server.ok);
	assert_true(w->client.finished && !w->client.ok);
	assert_string_equal(w->server.reason, "unsupported protocol");
	assert_string_equal(w->client.reason, "tlsv1 alert protocol version");
	assert_null(tls_facts(w->server.stream));
	assert_int_equal(w->asked, 0);
}

static void
no_certificate_for_the_section(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	assert_true(tls_keys_has(w->keys, "smtp", IDENTITY_SERVER));
	assert_false(tls_keys_has(w->keys, "smtps", IDENTITY_SERVER));
	s.section = "smtps";
	world_shake(w, &s, &c, NULL);
	assert_true(w->server.finished && !w->server.ok);
	assert_true(w->client.finished && !w->client.ok);
}

/* ---- the wire ---- */

static void
one_octet_at_a_time(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	w->step = 1;
	world_shake(w, &s, &c, NULL);
	assert_shaken(w);
	stream_write(w->client.stream, "MAIL", 4);
	world_run(w);
	assert_true(span_is(buf_span(&w->server.got), "MAIL"));
}

/* Cuts the wire from one side at each octet: both ends must learn of it, and nothing must be taken for done. */
static void
cut(struct world *w, bool client, int version, size_t at)
{
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	struct end *cut_end = client ? &w->client : &w->server, *other = client ? &w->server : &w->client;
	struct error err;
	bool *flag = client ? &w->cut_client : &w->cut_server;

	c.protocols.ceiling = version;
	tls_context_free(&w->client.context);
	tls_context_free(&w->server.context);
	w->server.context = tls_context_new(&s, w->keys, &err);
	w->client.context = tls_context_new(&c, NULL, &err);
	world_connect(w);
	world_start(&w->server, NULL);
	world_start(&w->client, NULL);
	for (int still = 0; cut_end->passed < at && still < 4;) {
		w->step = at - cut_end->passed;
		still = world_step(w) ? 0 : still + 1;
	}
	*flag = true;
	w->step = 0;
	shutdown(other->wire, SHUT_WR);
	world_run(w);
	assert_true(other->finished);
}

static void
cut_at_every_octet(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	/* Its signatures are all of one length: so are the handshakes. */
	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_ed, NULL, 0);
	world_identities_end(w);
	for (int v = 0; v < 2; v++) {
		size_t whole[2];

		c.protocols.ceiling = versions[v];
		world_shake(w, &s, &c, NULL);
		assert_shaken(w);
		whole[0] = w->server.passed;
		whole[1] = w->client.passed;
		for (int client = 0; client < 2; client++)
			for (size_t at = 0; at < whole[client]; at++) {
				cut(w, client, versions[v], at);
				/* TLS 1.3: the server's last octets are a ticket, which nobody waits for. */
				if (client || versions[v] == TLS1_2_VERSION)
					assert_false((client ? &w->server : &w->client)->ok);
			}
	}
}

/* Plain octets in place of TLS, at the beginning and behind any flight. */
static void
plain_text_instead_of_tls(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER);
	struct error err;

	w->server.context = tls_context_new(&s, w->keys, &err);
	world_connect(w);
	world_start(&w->server, NULL);
	assert_int_equal(send(w->server.wire, "EHLO client.example\r\n", 21, 0), 21);
	world_run(w);
	assert_true(w->server.finished && !w->server.ok);
	assert_int_equal(w->server.got.len, 0);
	assert_int_equal(w->server.events[STREAM_ERROR], 0);
}

/* RFC 3207, 4.2: what came in the same segment as STARTTLS is gone; it is not the first thing seen in TLS. */
static void
text_before_tls_is_dropped(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	struct error err;

	w->server.context = tls_context_new(&s, w->keys, &err);
	w->client.context = tls_context_new(&c, NULL, &err);
	world_connect(w);
	w->server.consume_at_most = 10;
	stream_write(w->client.stream, "STARTTLS\r\nMAIL FROM:<injected@example>\r\n", 40);
	world_run(w);
	assert_true(span_is(buf_span(&w->server.got), "STARTTLS\r\n"));
	w->server.consume_at_most = SIZE_MAX;
	stream_write(w->server.stream, "220 go\r\n", 8);
	world_start(&w->server, NULL);
	assert_true(tls_is_on(w->server.stream));
	world_run(w);
	assert_true(span_is(buf_span(&w->client.got), "220 go\r\n"));
	world_start(&w->client, NULL);
	world_run(w);
	assert_shaken(w);
	stream_write(w->client.stream, "EHLO\r\n", 6);
	world_run(w);
	assert_true(span_is(buf_span(&w->server.got), "STARTTLS\r\nEHLO\r\n"));
}

/* ---- data ---- */

static void
fill(char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
}

static void
much_data_both_ways(void **state)
{
	enum { LEN = 3000000 };
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	char *sent = mem_alloc(LEN);

	fill(sent, LEN);
	world_shake(w, &s, &c, NULL);
	assert_shaken(w);
	w->server.echo = true;
	stream_write_more(w->client.stream, sent, 100000);
	stream_write_more(w->client.stream, sent + 100000, 10);
	stream_write_more(w->client.stream, sent + 100010, LEN - 100010 - 5);
	stream_write(w->client.stream, sent + LEN - 5, 5);
	stream_want_written(w->client.stream);
	world_run(w);
	assert_int_equal(w->server.got.len, LEN);
	assert_memory_equal(buf_ptr(&w->server.got), sent, LEN);
	assert_int_equal(w->client.got.len, LEN);
	assert_memory_equal(buf_ptr(&w->client.got), sent, LEN);
	assert_int_equal(stream_unsent(w->client.stream), 0);
	assert_int_equal(w->client.events[STREAM_WRITTEN], 1);
	free(sent);
}

/* What is decrypted and not shown yet is shown without the socket's help. */
static void
a_pause_loses_nothing(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	char sent[60000];
	int turns = 0;

	fill(sent, sizeof(sent));
	world_shake(w, &s, &c, NULL);
	w->server.pause_after_input = true;
	w->server.consume_at_most = 3000;
	stream_write(w->client.stream, sent, sizeof(sent));
	world_run(w);
	assert_int_equal(w->server.got.len, 3000);
	while (w->server.got.len < sizeof(sent) && turns++ < 100) {
		stream_resume(w->server.stream);
		world_run(w);
	}
	assert_int_equal(w->server.got.len, sizeof(sent));
	assert_memory_equal(buf_ptr(&w->server.got), sent, sizeof(sent));
}

static void
output_before_the_end_of_the_handshake(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	struct error err;

	w->server.context = tls_context_new(&s, w->keys, &err);
	w->client.context = tls_context_new(&c, NULL, &err);
	world_connect(w);
	world_start(&w->server, NULL);
	world_start(&w->client, NULL);
	stream_write(w->client.stream, "early", 5);
	stream_want_written(w->server.stream);
	world_run(w);
	assert_shaken(w);
	assert_true(span_is(buf_span(&w->server.got), "early"));
	assert_int_equal(w->server.events[STREAM_WRITTEN], 1);
}

/* ---- ends ---- */

static void
orderly_and_cut_ends_are_told_apart(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_shake(w, &s, &c, NULL);
	stream_close(&w->client.stream);
	world_run(w);
	assert_int_equal(w->server.events[STREAM_EOF], 1);
	assert_false(tls_truncated(w->server.stream));

	world_shake(w, &s, &c, NULL);
	shutdown(w->server.wire, SHUT_WR);
	world_run(w);
	assert_int_equal(w->server.events[STREAM_EOF], 1);
	assert_true(tls_truncated(w->server.stream));
}

static void
the_last_reply_goes_out_before_the_close(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_shake(w, &s, &c, NULL);
	stream_write(w->server.stream, "221 Bye\r\n", 9);
	stream_close_after_flush(&w->server.stream, 1000000);
	world_run(w);
	assert_true(span_is(buf_span(&w->client.got), "221 Bye\r\n"));
	assert_int_equal(w->client.events[STREAM_EOF], 1);
	assert_false(tls_truncated(w->client.stream));
}

static void
data_in_front_of_an_end_is_shown_first(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_shake(w, &s, &c, NULL);
	stream_write(w->client.stream, "QUIT\r\n", 6);
	stream_close_after_flush(&w->client.stream, 0);
	world_run(w);
	assert_true(span_is(buf_span(&w->server.got), "QUIT\r\n"));
	assert_int_equal(w->server.events[STREAM_EOF], 1);
	assert_int_equal(w->server.events[STREAM_ERROR], 0);
}

/* A changed octet in a record is an error for its reader, and nothing of the record is shown. */
static void
a_changed_octet_is_an_error(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	char record[1000];
	ssize_t n;

	world_shake(w, &s, &c, NULL);
	stream_write(w->client.stream, "MAIL", 4);
	stream_flush_all();
	n = recv(w->client.wire, record, sizeof(record), 0);
	assert_true(n > 10);
	record[n - 1] ^= 1;
	assert_int_equal(send(w->server.wire, record, (size_t)n, 0), n);
	world_run(w);
	assert_int_equal(w->server.got.len, 0);
	assert_int_equal(w->server.events[STREAM_ERROR], 1);
	stream_write(w->server.stream, "ignored", 7);
	world_run(w);
}

/* Closed by its owner after every octet that passed, on either side. */
static void
closed_at_each_step(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	struct error err;

	w->server.context = tls_context_new(&s, w->keys, &err);
	w->client.context = tls_context_new(&c, NULL, &err);
	for (int side = 0; side < 2; side++)
		for (int steps = 0; steps < 60; steps++) {
			world_connect(w);
			world_start(&w->server, NULL);
			world_start(&w->client, NULL);
			w->step = 50;
			for (int i = 0; i < steps; i++)
				world_step(w);
			stream_close(side ? &w->server.stream : &w->client.stream);
			world_run(w);
			assert_true((side ? &w->client : &w->server)->finished);
		}
}

static void
closed_in_done(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	w->client.close_in_done = true;
	world_shake(w, &s, &c, NULL);
	assert_true(w->client.ok);
	assert_null(w->client.stream);
	assert_true(w->server.ok);
	assert_int_equal(w->server.events[STREAM_EOF], 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(every_kind_of_handshake),
	    TEST(several_certificates_by_algorithm),
	    TEST(more_certificates_than_algorithms),
	    TEST(certificates_by_name),
	    TEST(nothing_in_common),
	    TEST(no_certificate_for_the_section),
	    TEST(one_octet_at_a_time),
	    TEST(cut_at_every_octet),
	    TEST(plain_text_instead_of_tls),
	    TEST(text_before_tls_is_dropped),
	    TEST(much_data_both_ways),
	    TEST(a_pause_loses_nothing),
	    TEST(output_before_the_end_of_the_handshake),
	    TEST(orderly_and_cut_ends_are_told_apart),
	    TEST(the_last_reply_goes_out_before_the_close),
	    TEST(data_in_front_of_an_end_is_shown_first),
	    TEST(a_changed_octet_is_an_error),
	    TEST(closed_at_each_step),
	    TEST(closed_in_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
