/*
 * Sessions between our own two ends over a wire that the test pulls: facts, data, ends, and keys that are elsewhere.
 */
#include "tests/unit/tls/world.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

static struct party authority, server, rsa_server, ed_server;

static void
parties(void)
{
	authority = party_new(
	    &(struct wish){.kind = "EC P-256", .common_name = "Authority", .authority = 1, .from_s = -86400});
	server = party_new(&(struct wish){.kind = "EC P-256",
	    .common_name = "mx.example",
	    .names = "DNS:mx.example,DNS:*.pool.example",
	    .issuer = &authority});
	rsa_server = party_new(&(struct wish){
	    .kind = "RSA", .common_name = "rsa.example", .names = "DNS:rsa.example", .issuer = &authority});
	ed_server = party_new(&(struct wish){
	    .kind = "ED25519", .common_name = "ed.example", .names = "DNS:ed.example", .issuer = &authority});
}

static struct tls_trust *
trust(void)
{
	struct tls_trust *t = tls_trust_new();
	BIO *out = BIO_new(BIO_s_mem());
	struct error err;
	char *pem;
	long len;

	PEM_write_bio_X509(out, authority.certificate);
	len = BIO_get_mem_data(out, &pem);
	assert_int_equal(tls_trust_add_text(t, span_make(pem, (size_t)len), "authority", &err), 0);
	BIO_free(out);
	return t;
}

static int
set_up(void **state)
{
	static struct world w;

	world_open(&w);
	if (!authority.key)
		parties();
	world_identity(&w, "smtp", "", IDENTITY_SERVER, &server, NULL, 0);
	world_identities_end(&w);
	*state = &w;
	return 0;
}

static int
tear_down(void **state)
{
	world_close(*state);
	return 0;
}

static void
handshake_with_keys_elsewhere(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_shake(w, &s, &c, NULL);
	assert_string_equal(w->server.reason, "");
	assert_true(w->server.ok);
	assert_true(w->client.ok);
	assert_int_equal(w->asked, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(handshake_with_keys_elsewhere, set_up, tear_down),
	};

	(void)trust;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
