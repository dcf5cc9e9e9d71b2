/*
 * Peers that are not ours: OpenSSL alone on the other end of the wire, doing what an honest peer would not.
 */
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/unit/tls/fixture.h"

/* The other end, in memory. */
struct raw {
	SSL_CTX *context;
	SSL *ssl;
	BIO *in, *out;
	int wire;
};

static void
raw_open(struct raw *r, const SSL_METHOD *method, int wire)
{
	r->context = SSL_CTX_new(method);
	r->wire = wire;
	SSL_CTX_set_verify(r->context, SSL_VERIFY_NONE, NULL);
	r->in = BIO_new(BIO_s_mem());
	r->out = BIO_new(BIO_s_mem());
}

static void
raw_start(struct raw *r, bool server)
{
	r->ssl = SSL_new(r->context);
	SSL_set_bio(r->ssl, r->in, r->out);
	if (server)
		SSL_set_accept_state(r->ssl);
	else
		SSL_set_connect_state(r->ssl);
}

static void
raw_close(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->context);
	ERR_clear_error();
}

/* What OpenSSL wrote goes out, what came goes in. */
static void
raw_pump(struct world *w, struct raw *r)
{
	char bytes[65536];
	ssize_t n;
	int len;

	while ((len = BIO_read(r->out, bytes, sizeof(bytes))) > 0)
		(void)send(r->wire, bytes, (size_t)len, MSG_NOSIGNAL);
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	stream_flush_all();
	ipc_flush_all();
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	stream_flush_all();
	while ((n = recv(r->wire, bytes, sizeof(bytes), 0)) > 0)
		BIO_write(r->in, bytes, (int)n);
}

static void
raw_shake(struct world *w, struct raw *r)
{
	for (int i = 0; i < 20; i++) {
		ERR_clear_error();
		(void)SSL_do_handshake(r->ssl);
		raw_pump(w, r);
	}
}

/* Our server, their client, after the handshake. Nothing that parameters may say lets a client renegotiate. */
static void
served(struct world *w, struct raw *r, int version)
{
	struct tls_settings s = world_settings(TLS_SERVER);
	struct error err;

	s.options = SSL_OP_ALLOW_CLIENT_RENEGOTIATION | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION;
	tls_context_free(&w->server.context);
	w->server.context = tls_context_new(&s, w->keys, &err);
	world_connect(w);
	raw_open(r, TLS_client_method(), w->server.wire);
	SSL_CTX_set_max_proto_version(r->context, version);
	raw_start(r, false);
	world_start(&w->server, NULL);
	raw_shake(w, r);
	assert_true(w->server.ok);
	w->server.echo = true;
}

static void
assert_answers(struct world *w, struct raw *r)
{
	char got[10] = "";

	assert_int_equal(SSL_write(r->ssl, "NOOP", 4), 4);
	raw_pump(w, r);
	raw_pump(w, r);
	assert_int_equal(SSL_read(r->ssl, got, sizeof(got)), 4);
	assert_string_equal(got, "NOOP");
}

/* CVE-2009-3555, and the cost of handshakes without end. */
static void
renegotiation_is_refused(void **state)
{
	struct world *w = *state;
	struct raw r;
	int reason = 0;

	served(w, &r, TLS1_2_VERSION);
	assert_answers(w, &r);
	assert_int_equal(SSL_renegotiate(r.ssl), 1);
	for (int i = 0; i < 5 && reason == 0; i++) {
		ERR_clear_error();
		(void)SSL_do_handshake(r.ssl);
		reason = ERR_GET_REASON(ERR_peek_error());
		raw_pump(w, &r);
	}
	/* It was told so (RFC 5246, 7.2.2), which is what its OpenSSL gives up for. */
	assert_int_equal(reason, SSL_R_NO_RENEGOTIATION);
	assert_int_equal(w->asked, 1);
	assert_int_equal(SSL_num_renegotiations(r.ssl), 1);
	assert_int_equal(SSL_in_init(r.ssl), 1);
	raw_close(&r);
}

static void
a_new_key_is_taken(void **state)
{
	struct world *w = *state;
	struct raw r;

	served(w, &r, TLS1_3_VERSION);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_answers(w, &r);
	}
	assert_int_equal(w->server.events[STREAM_ERROR], 0);
	raw_close(&r);
}

static void
new_keys_without_end_are_not(void **state)
{
	struct world *w = *state;
	struct raw r;

	served(w, &r, TLS1_3_VERSION);
	for (int i = 0; i < 31; i++) {
		assert_int_equal(SSL_key_update(r.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		(void)SSL_do_handshake(r.ssl);
		raw_pump(w, &r);
	}
	assert_answers(w, &r);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(SSL_key_update(r.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		(void)SSL_do_handshake(r.ssl);
		raw_pump(w, &r);
	}
	assert_int_equal(w->server.events[STREAM_ERROR], 1);
	raw_close(&r);
}

/* Who asks for new keys and reads nothing fills the socket: reading waits for it, and goes on when there is room again. */
static void
a_peer_that_does_not_read(void **state)
{
	enum { LEN = 1 << 20 };
	struct world *w = *state;
	struct raw r;
	char *much = calloc(1, LEN), bytes[65536];
	size_t got = 0;
	ssize_t n;
	int len;

	served(w, &r, TLS1_3_VERSION);
	w->server.echo = false;
	stream_write(w->server.stream, much, LEN);
	stream_flush_all();
	assert_true(stream_unsent(w->server.stream) > 0);
	SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED);
	assert_int_equal(SSL_write(r.ssl, "HELP", 4), 4);
	while ((len = BIO_read(r.out, bytes, sizeof(bytes))) > 0)
		assert_int_equal(send(r.wire, bytes, (size_t)len, 0), len);
	for (int i = 0; i < 10; i++) {
		event_base_loop(w->base, EVLOOP_NONBLOCK);
		stream_flush_all();
	}
	for (int i = 0; i < 1000 && got < LEN; i++) {
		raw_pump(w, &r);
		while ((n = SSL_read(r.ssl, bytes, sizeof(bytes))) > 0)
			got += (size_t)n;
	}
	raw_pump(w, &r);
	assert_int_equal(got, LEN);
	assert_true(span_is(buf_span(&w->server.got), "HELP"));
	assert_int_equal(w->server.events[STREAM_ERROR], 0);
	free(much);
	raw_close(&r);
}

/* Reading waits for the socket although nothing is to be written otherwise. */
static void
the_answer_to_a_new_key_finds_no_room(void **state)
{
	struct world *w = *state;
	struct raw r;
	char bytes[65536] = "";
	int small = 1, len, updates = 0, turns;
	ssize_t n;

	served(w, &r, TLS1_3_VERSION);
	w->server.echo = false;
	setsockopt(stream_fd(w->server.stream), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	/* Fills what the socket takes, past the session. */
	while ((n = send(stream_fd(w->server.stream), bytes, 1, MSG_DONTWAIT)) > 0)
		;
	for (; updates < 5; updates++) {
		SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED);
		assert_int_equal(SSL_write(r.ssl, "HELP", 4), 4);
		while ((len = BIO_read(r.out, bytes, sizeof(bytes))) > 0)
			assert_int_equal(send(r.wire, bytes, (size_t)len, 0), len);
	}
	for (turns = 0; turns < 50; turns++)
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	while ((n = recv(r.wire, bytes, sizeof(bytes), 0)) > 0)
		;
	for (turns = 0; turns < 50; turns++) {
		event_base_loop(w->base, EVLOOP_NONBLOCK);
		stream_flush_all();
	}
	assert_int_equal(w->server.got.len, 4 * 5);
	raw_close(&r);
}

/* ---- chains ---- */

/* Their server, our client. */
static void
huge_chain(struct world *w, int certificates, bool ok)
{
	struct tls_settings c = world_settings(TLS_CLIENT);
	struct error err;
	struct raw r;

	tls_context_free(&w->client.context);
	w->client.context = tls_context_new(&c, NULL, &err);
	world_connect(w);
	raw_open(&r, TLS_server_method(), w->client.wire);
	assert_int_equal(SSL_CTX_use_certificate(r.context, server_ec.certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(r.context, server_ec.key), 1);
	for (int i = 0; i < certificates; i++)
		assert_int_equal(SSL_CTX_add1_chain_cert(r.context, authority.certificate), 1);
	raw_start(&r, true);
	world_start(&w->client, NULL);
	raw_shake(w, &r);
	assert_true(w->client.finished);
	assert_int_equal(w->client.ok, ok);
	if (!ok)
		assert_string_equal(w->client.reason, "excessive message size");
	raw_close(&r);
}

static void
huge_chains(void **state)
{
	struct world *w = *state;

	huge_chain(w, 20, true);
	huge_chain(w, 1000, false);
}

/* ---- slow and silly ---- */

/* An octet now and then does not move the deadline. */
static void
a_slow_peer_meets_the_deadline(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER);
	const char hello[] = "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03";
	struct error err;

	w->server.context = tls_context_new(&s, w->keys, &err);
	world_connect(w);
	world_start(&w->server, NULL);
	stream_set_deadline(w->server.stream, clock_mono_us() + 100000);
	for (int i = 0; i < 60 && !w->server.events[STREAM_TIMEOUT]; i++) {
		assert_int_equal(send(w->server.wire, &hello[i % 11], 1, 0), 1);
		usleep(10000);
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(w->server.events[STREAM_TIMEOUT], 1);
	assert_false(w->server.finished);
	stream_close(&w->server.stream);
}

/* Records that a ClientHello could be: none may be taken, none may do harm. */
static void
things_that_are_no_client_hello(void **state)
{
	static const struct {
		const char *why, *bytes;
		size_t len;
	} cases[] = {
	    {"SSLv2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80", 17},
	    {"an empty record", "\x16\x03\x01\x00\x00", 5},
	    {"a record too long", "\x16\x03\x01\xff\xff\x01\x00\xff\xfb", 9},
	    {"an alert", "\x15\x03\x01\x00\x02\x02\x28", 7},
	    {"data at once", "\x17\x03\x03\x00\x05hello", 10},
	    {"a change of ciphers at once", "\x14\x03\x03\x00\x01\x01", 6},
	    {"a ServerHello", "\x16\x03\x03\x00\x04\x02\x00\x00\x00", 9},
	    {"SMTP", "EHLO x\r\n", 8},
	    {"HTTP", "GET / HTTP/1.0\r\n\r\n", 18},
	};
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER);
	struct error err;

	w->server.context = tls_context_new(&s, w->keys, &err);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_connect(w);
		world_start(&w->server, NULL);
		assert_int_equal(send(w->server.wire, cases[i].bytes, cases[i].len, 0), cases[i].len);
		world_run(w);
		shutdown(w->server.wire, SHUT_WR);
		world_run(w);
		if (!w->server.finished || w->server.ok || w->server.got.len)
			fail_msg("%s", cases[i].why);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(renegotiation_is_refused),
	    TEST(a_new_key_is_taken),
	    TEST(new_keys_without_end_are_not),
	    TEST(a_peer_that_does_not_read),
	    TEST(the_answer_to_a_new_key_finds_no_room),
	    TEST(huge_chains),
	    TEST(a_slow_peer_meets_the_deadline),
	    TEST(things_that_are_no_client_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
