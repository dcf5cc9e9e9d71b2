#include "tests/unit/tls/fixture.h"

#include <openssl/pem.h>

struct party authority, server_ec, server_rsa, server_ed, server_ed448, server_pss, client_ec, stranger;

static void
make_parties(void)
{
	authority = party_new(
	    &(struct wish){.kind = "EC P-256", .common_name = "Authority", .authority = 1, .from_s = -86400});
	server_ec = party_new(&(struct wish){.kind = "EC P-256",
	    .common_name = "mx.example",
	    .names = "DNS:mx.example,DNS:*.pool.example",
	    .issuer = &authority});
	server_rsa = party_new(&(struct wish){
	    .kind = "RSA", .common_name = "rsa.example", .names = "DNS:rsa.example", .issuer = &authority});
	server_ed = party_new(&(struct wish){
	    .kind = "ED25519", .common_name = "ed.example", .names = "DNS:ed.example", .issuer = &authority});
	server_ed448 =
	    party_new(&(struct wish){.kind = "ED448", .common_name = "ed448.example", .issuer = &authority});
	server_pss =
	    party_new(&(struct wish){.kind = "RSA-PSS", .common_name = "pss.example", .issuer = &authority});
	client_ec = party_new(
	    &(struct wish){.kind = "EC P-256", .common_name = "client.example", .issuer = &authority});
	stranger = party_new(&(struct wish){.kind = "EC P-256", .common_name = "stranger.example"});
}

struct tls_trust *
fixture_trust(void)
{
	return fixture_trust_in(&authority);
}

struct tls_trust *
fixture_trust_in(const struct party *party)
{
	struct tls_trust *t = tls_trust_new();

	fixture_trust_also(t, party);
	return t;
}

void
fixture_trust_also(struct tls_trust *t, const struct party *party)
{
	BIO *out = BIO_new(BIO_s_mem());
	struct error err;
	char *pem;
	long len;

	PEM_write_bio_X509(out, party->certificate);
	len = BIO_get_mem_data(out, &pem);
	assert_int_equal(tls_trust_add_text(t, span_make(pem, (size_t)len), "authority", &err), 0);
	BIO_free(out);
}

int
fixture_set_up(void **state)
{
	static struct world w;

	world_open(&w);
	if (!authority.key)
		make_parties();
	world_identity(&w, "smtp", "", IDENTITY_SERVER, &server_ec, NULL, 0);
	world_identities_end(&w);
	*state = &w;
	return 0;
}

int
fixture_tear_down(void **state)
{
	world_close(*state);
	return 0;
}
