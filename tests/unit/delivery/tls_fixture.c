#include "tests/unit/delivery/tls_fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/dns/dns.h"

static const struct dns_row dns[] = {{"far.test", DNS_TYPE_MX, DNS_OK, "10 mx.far.test"},
    {"mx.far.test", DNS_TYPE_A, DNS_OK, "127.0.0.1"}, {0}};

struct party authority;
static struct party certificates[CERTIFICATES];
char ca_file[] = "/tmp/tls-client-ca-XXXXXX";
char good_fingerprint[3 * 32 + 1], good_key_fingerprint[3 * 32 + 1];

static void
hex_of(const unsigned char *octets, char *out)
{
	for (size_t i = 0; i < 32; i++)
		snprintf(out + 3 * i, 4, "%02x%s", octets[i], i < 31 ? ":" : "");
}

int
make_certificates(void **state)
{
	static const struct wish wishes[CERTIFICATES] = {
	    [GOOD] = {.names = "DNS:mx.far.test,DNS:far.test"},
	    [SELF_SIGNED] = {.names = "DNS:mx.far.test,DNS:far.test"},
	    [EXPIRED] = {.names = "DNS:mx.far.test,DNS:far.test", .from_s = -2L * DAY, .to_s = -1L * DAY},
	    [NOT_YET] = {.names = "DNS:mx.far.test,DNS:far.test", .from_s = 1L * DAY, .to_s = 2L * DAY},
	    [WRONG_NAME] = {.names = "DNS:mx.other.test"},
	    [PARENT_NAME] = {.names = "DNS:mx.far.test"},
	    [ADDRESS] = {.names = "IP:127.0.0.1"},
	    [WILDCARD] = {.names = "DNS:*.far.test"},
	};
	unsigned char digest[32];
	FILE *f;

	(void)state;
	authority = party_new(&(struct wish){
	    .kind = "EC P-256", .common_name = "Test CA", .from_s = -DAY, .to_s = DAY, .authority = 1});
	for (int i = 0; i < CERTIFICATES; i++) {
		struct wish wish = wishes[i];

		wish.kind = "EC P-256";
		wish.issuer = i == SELF_SIGNED ? NULL : &authority;
		if (wish.to_s == 0) {
			wish.from_s = -DAY;
			wish.to_s = DAY;
		}
		certificates[i] = party_new(&wish);
	}
	X509_digest(certificates[GOOD].certificate, EVP_sha256(), digest, NULL);
	hex_of(digest, good_fingerprint);
	party_number(&certificates[GOOD], digest);
	hex_of(digest, good_key_fingerprint);
	f = fdopen(mkstemp(ca_file), "w");
	return f && PEM_write_X509(f, authority.certificate) == 1 && fclose(f) == 0 ? 0 : -1;
}

int
drop_certificates(void **state)
{
	(void)state;
	unlink(ca_file);
	party_free(&authority);
	for (int i = 0; i < CERTIFICATES; i++)
		party_free(&certificates[i]);
	return 0;
}

SSL_CTX *
server_with(enum certificate which, int version)
{
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_security_level(c, 0);
	SSL_CTX_use_certificate(c, certificates[which].certificate);
	SSL_CTX_use_PrivateKey(c, certificates[which].key);
	if (version != 0) {
		SSL_CTX_set_min_proto_version(c, version);
		SSL_CTX_set_max_proto_version(c, version);
		SSL_CTX_set_cipher_list(c, "ALL:@SECLEVEL=0");
	}
	return c;
}

struct world *
world_for(const char *settings)
{
	char conf[2000];
	struct world *w;

	snprintf(conf, sizeof(conf),
	    "myhostname = mx.here.test\nsmtp_helo_timeout = 15s\nsmtp_starttls_timeout = 15s\n"
	    "smtp_mail_timeout = 15s\nsmtp_tls_CAfile = %s\nsmtp_tls_loglevel = 1\n%s",
	    ca_file, settings);
	w = world_new(conf);
	w->dns = dns;
	return w;
}

const char *
to_peer(const struct peer *p)
{
	static char nexthop[64];

	snprintf(nexthop, sizeof(nexthop), "far.test:%u", peer_port(p));
	return nexthop;
}
