/*
 * What a certificate is worth: chains, names, fingerprints; and what all of it is called.
 */
#include <openssl/objects.h>
#include <openssl/ssl.h>
#include <string.h>

#include "common/tls/match.h"
#include "tests/unit/tls/fixture.h"

/* ---- names alone ---- */

static const struct {
	const char *why, *name, *wanted;
	bool match;
} name_cases[] = {
    {"the same", "mx.example", "mx.example", true},
    {"in any case", "MX.Example", "mx.eXample", true},
    {"a last dot is nothing", "mx.example.", "mx.example", true},
    {"on either side", "mx.example", "mx.example.", true},
    {"another", "mx.example", "mx2.example", false},
    {"longer", "mx.example.net", "mx.example", false},
    {"a part", "example", "mx.example", false},
    {"a wildcard for one label", "*.example.net", "mx.example.net", true},
    {"not for two", "*.example.net", "a.mx.example.net", false},
    {"not for none", "*.example.net", "example.net", false},
    {"not for a whole top level", "*.net", "example.net", false},
    {"not for all", "*", "example.net", false},
    {"not for all with a dot", "*.", "example.net", false},
    {"not within a label", "m*.example.net", "mx.example.net", false},
    {"not in another place", "mx.*.net", "mx.example.net", false},
    {"not twice", "*.*.example.net", "a.b.example.net", false},
    {"below a domain", "mx.example.net", ".example.net", true},
    {"far below a domain", "a.b.example.net", ".example.net", true},
    {"the domain is not below itself", "example.net", ".example.net", false},
    {"nor one that ends like it", "badexample.net", ".example.net", false},
    {"a wildcard stands for hosts below a domain, as in Postfix", "*.example.net", ".example.net", true},
    {"not for those beside it", "*.example.net", ".mx.example.net", false},
    {"below nothing", "mx.example", ".", false},
    {"nothing wanted", "mx.example", "", false},
    {"nothing named", "", "mx.example", false},
    {"an address matches no name", "192.0.2.1", "192.0.2.1", false},
    {"in brackets", "[192.0.2.1]", "[192.0.2.1]", false},
    {"of IPv6", "2001:db8::1", "2001:db8::1", false},
    {"a blank", "mx.example ", "mx.example ", false},
    {"no ASCII", "m\xc3\xbcx.example", "m\xc3\xbcx.example", false},
    {"a leading dot", ".example.net", ".example.net", false},
};

static void
names(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(name_cases) / sizeof(name_cases[0]); i++)
		if (match_name(span_of(name_cases[i].name), span_of(name_cases[i].wanted)) !=
		    name_cases[i].match)
			fail_msg("%s: \"%s\" for \"%s\"", name_cases[i].why, name_cases[i].name,
			    name_cases[i].wanted);
	assert_false(match_name(span_make("mx.example\0.evil", 16), span_of("mx.example")));
}

static void
fingerprints(void **state)
{
	(void)state;
	assert_true(match_fingerprint(span_of("AB:CD:01"), span_of("ab:cd:01")));
	assert_true(match_fingerprint(span_of("ABCD01"), span_of("ab:cd:01")));
	assert_false(match_fingerprint(span_of("AB:CD"), span_of("ab:cd:01")));
	assert_false(match_fingerprint(span_of("AB:CD:01"), span_of("ab:cd")));
	assert_false(match_fingerprint(span_of("AB:CD:01"), span_of("ab:cd:02")));
	assert_false(match_fingerprint(span_of(""), span_of("")));
	assert_false(match_fingerprint(span_of("::"), span_of(":")));
	assert_false(match_fingerprint(span_of("xy"), span_of("xy")));
	assert_false(match_fingerprint(span_of("ab"), span_of("abx")));
}

static const struct {
	const char *why, *value, *other;
	int len;
	const char *entry;
} entries[] = {
    {"one", "mx.example", NULL, -1, "mx.example"},
    {"none", NULL, NULL, 0, ""},
    {"two: which is meant?", "mx.example", "other.example", -1, ""},
    {"NUL: CVE-2009-2408", "mx.example\0.evil", NULL, 16, ""},
    {"UTF-8", "m\xc3\xbcx", NULL, -1, "m\xc3\xbcx"},
};

static void
entries_of_a_subject(void **state)
{
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		X509_NAME *name = X509_NAME_new();

		if (entries[i].value)
			X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
			    (const unsigned char *)entries[i].value, entries[i].len, -1, 0);
		if (entries[i].other)
			X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
			    (const unsigned char *)entries[i].other, -1, -1, 0);
		buf_init(&out, 300);
		match_name_entry(name, NID_commonName, &out);
		if (!span_is(buf_span(&out), entries[i].entry))
			fail_msg("%s: \"%s\"", entries[i].why, buf_text(&out));
		buf_free(&out);
		X509_NAME_free(name);
	}
}

static void
names_of_a_policy(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	tls_match_names(&out, span_of("hostname: nexthop,dot-nexthop  other.example:.deep.example"),
	    "example.net", "mx.example.net");
	assert_string_equal(
	    buf_text(&out), "mx.example.net\nexample.net\n.example.net\nother.example\n.deep.example\n");
	buf_free(&out);
}

/* ---- certificates in a handshake ---- */

struct verdict {
	const char *why;
	struct wish wish;
	bool untrusted_authority; /* no trust anchor at all */
	const char *wanted; /* name */
	enum tls_standing standing;
	const char *why_untrusted, *matched;
};

#define EC .kind = "EC P-256"
#define ISSUED EC, .issuer = &authority

static const struct verdict verdicts[] = {
    {"a good one", {ISSUED, .names = "DNS:mx.example"}, false, "mx.example", TLS_VERIFIED, "", "mx.example"},
    {"of another", {ISSUED, .names = "DNS:mx.example"}, false, "mx2.example", TLS_TRUSTED, "", ""},
    {"no name wanted", {ISSUED, .names = "DNS:mx.example"}, false, NULL, TLS_TRUSTED, "", ""},
    {"the second name", {ISSUED, .names = "DNS:a.example,DNS:mx.example"}, false, "mx.example", TLS_VERIFIED,
	"", "mx.example"},
    {"a wildcard", {ISSUED, .names = "DNS:*.mail.example"}, false, "mx.mail.example", TLS_VERIFIED, "",
	"*.mail.example"},
    {"CN without other names", {ISSUED, .common_name = "mx.example"}, false, "mx.example", TLS_VERIFIED, "",
	"mx.example"},
    {"CN does not count beside DNS names",
	{ISSUED, .common_name = "mx.example", .names = "DNS:other.example"}, false, "mx.example", TLS_TRUSTED,
	"", ""},
    {"CN counts beside other kinds of names",
	{ISSUED, .common_name = "mx.example", .names = "email:a@mx.example,IP:192.0.2.1"}, false,
	"mx.example", TLS_VERIFIED, "", "mx.example"},
    {"NUL in a name", {ISSUED, .common_name = "x", .raw_name = "mx.example\0.evil", .raw_name_len = 16},
	false, "mx.example", TLS_TRUSTED, "", ""},
    {"CN does not help a name with NUL",
	{ISSUED, .common_name = "mx.example", .raw_name = "mx.example\0x", .raw_name_len = 12}, false,
	"mx.example", TLS_TRUSTED, "", ""},
    {"an address as a name", {ISSUED, .names = "DNS:192.0.2.1"}, false, "192.0.2.1", TLS_TRUSTED, "", ""},
    {"an address as an address", {ISSUED, .names = "IP:192.0.2.1"}, false, "192.0.2.1", TLS_VERIFIED, "",
	"192.0.2.1"},
    {"another address", {ISSUED, .names = "IP:192.0.2.1"}, false, "192.0.2.2", TLS_TRUSTED, "", ""},
    {"an address in brackets", {ISSUED, .names = "DNS:192.0.2.1,IP:192.0.2.1"}, false, "[192.0.2.1]",
	TLS_TRUSTED, "", ""},
    {"expired", {ISSUED, .names = "DNS:mx.example", .from_s = -1000, .to_s = -10}, false, "mx.example",
	TLS_UNTRUSTED, "certificate has expired", "mx.example"},
    {"not yet valid", {ISSUED, .names = "DNS:mx.example", .from_s = 5000}, false, "mx.example", TLS_UNTRUSTED,
	"certificate not yet valid", "mx.example"},
    {"self-signed", {EC, .common_name = "mx.example"}, false, "mx.example", TLS_UNTRUSTED,
	"self-signed certificate", "mx.example"},
    {"an authority that is not known", {ISSUED, .names = "DNS:mx.example"}, true, "mx.example", TLS_UNTRUSTED,
	"untrusted issuer /CN=Authority", "mx.example"},
    {"control characters in a name", {ISSUED, .common_name = "a\nb\x1b[0m"}, false, "a", TLS_TRUSTED, "", ""},
};

static void
certificates(void **state)
{
	struct world *w = *state;
	struct tls_trust *trust = fixture_trust();
	const struct tls_facts *f;

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		const struct verdict *v = &verdicts[i];
		struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
		struct party shown = party_new(&v->wish);

		w->known_count = 0;
		world_identity(w, "smtp", "", IDENTITY_SERVER, &shown, NULL, 0);
		world_identities_end(w);
		c.trust = v->untrusted_authority ? NULL : trust;
		world_shake(
		    w, &s, &c, &(struct tls_plan){.names = &v->wanted, .name_count = v->wanted ? 1 : 0});
		if (!w->client.ok)
			fail_msg("%s: %s", v->why, w->client.reason);
		f = tls_facts(w->client.stream);
		if (f->standing != v->standing)
			fail_msg("%s: %s", v->why, tls_standing_name(f->standing));
		assert_string_equal(f->why_untrusted, v->why_untrusted);
		assert_string_equal(f->matched_name, v->matched);
		assert_int_equal(f->matched, *v->matched != '\0');
		for (const char *at = f->subject_common_name; *at; at++)
			assert_true((unsigned char)*at >= ' ');
		party_free(&shown);
	}
	tls_trust_free(&trust);
}

static void
chains(void **state)
{
	struct world *w = *state;
	struct tls_trust *trust = fixture_trust();
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	struct party middle = party_new(&(struct wish){
	    .kind = "EC P-256", .common_name = "Middle", .issuer = &authority, .authority = 1});
	struct party no_authority = party_new(
	    &(struct wish){.kind = "EC P-256", .common_name = "No authority", .issuer = &authority});
	struct party leaf =
	    party_new(&(struct wish){.kind = "EC P-256", .common_name = "leaf.example", .issuer = &middle});
	struct party forged = party_new(
	    &(struct wish){.kind = "EC P-256", .common_name = "leaf.example", .issuer = &no_authority});
	const struct party *with_middle[] = {&middle}, *with_none[] = {&no_authority};
	struct buf print;

	c.trust = trust;
	world_identity(w, "smtp", "", IDENTITY_SERVER, &leaf, with_middle, 1);
	world_identities_end(w);
	world_shake(w, &s, &c, NULL);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_TRUSTED);
	buf_init(&print, 10000);
	tls_peer_chain_print(w->client.stream, &print);
	assert_non_null(strstr(buf_text(&print), "0: /CN=leaf.example issued by /CN=Middle, valid 20"));
	assert_non_null(
	    strstr(buf_text(&print), ", for leaf.example\n1: /CN=Middle issued by /CN=Authority"));
	buf_free(&print);

	/* The issuer was not sent. */
	world_identity(w, "smtp", "", IDENTITY_SERVER, &leaf, NULL, 0);
	world_identities_end(w);
	world_shake(w, &s, &c, NULL);
	assert_string_equal(tls_facts(w->client.stream)->why_untrusted, "untrusted issuer /CN=Middle");

	/* CVE-2002-0862: a certificate that is no authority's issues nothing. */
	world_identity(w, "smtp", "", IDENTITY_SERVER, &forged, with_none, 1);
	world_identities_end(w);
	world_shake(w, &s, &c, NULL);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_UNTRUSTED);
	assert_string_not_equal(tls_facts(w->client.stream)->why_untrusted, "");
	tls_trust_free(&trust);
	party_free(&middle);
	party_free(&no_authority);
	party_free(&leaf);
	party_free(&forged);
}

/* An anchor that is no root ends a chain only where that is wanted. */
static void
partial_chains(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	struct party middle = party_new(&(struct wish){
	    .kind = "EC P-256", .common_name = "Middle", .issuer = &authority, .authority = 1});
	struct party leaf =
	    party_new(&(struct wish){.kind = "EC P-256", .common_name = "leaf.example", .issuer = &middle});

	world_identity(w, "smtp", "", IDENTITY_SERVER, &leaf, NULL, 0);
	world_identities_end(w);
	for (int partial = 0; partial < 2; partial++) {
		c.trust = fixture_trust_in(&middle);
		if (partial)
			tls_trust_partial_chains(c.trust);
		world_shake(w, &s, &c, NULL);
		assert_int_equal(
		    tls_facts(w->client.stream)->standing, partial ? TLS_TRUSTED : TLS_UNTRUSTED);
		tls_trust_free(&c.trust);
	}
	party_free(&middle);
	party_free(&leaf);
}

static void
a_fingerprint_needs_no_chain(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	const char *wanted[2] = {"00:11", NULL};
	struct tls_plan plan = {.fingerprints = wanted, .fingerprint_count = 2};
	char certificate[200], key[200];

	world_shake(w, &s, &c, NULL);
	(void)span_copy(span_of(tls_facts(w->client.stream)->certificate_fingerprint), certificate, 200);
	(void)span_copy(span_of(tls_facts(w->client.stream)->key_fingerprint), key, 200);
	assert_int_equal(strlen(certificate), 95);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_UNTRUSTED);

	wanted[1] = certificate;
	world_shake(w, &s, &c, &plan);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_VERIFIED);
	wanted[1] = key;
	world_shake(w, &s, &c, &plan);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_VERIFIED);
	wanted[1] = "ab:cd";
	world_shake(w, &s, &c, &plan);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_UNTRUSTED);
	c.digest = "md5";
	world_shake(w, &s, &c, NULL);
	assert_int_equal(strlen(tls_facts(w->client.stream)->certificate_fingerprint), 47);
}

/* ---- channel bindings ---- */

static void
both_ends_have_the_same_bindings(void **state)
{
	struct world *w = *state;
	const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	unsigned char one[TLS_BINDING_MAX], other[TLS_BINDING_MAX];
	size_t len;

	for (int i = 0; i < 2; i++) {
		struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

		c.protocols.ceiling = versions[i];
		world_shake(w, &s, &c, NULL);
		for (enum tls_binding b = TLS_BINDING_EXPORTER; b <= TLS_BINDING_SERVER_END_POINT; b++) {
			len = tls_channel_binding(w->client.stream, b, one);
			assert_int_equal(tls_channel_binding(w->server.stream, b, other), len);
			assert_memory_equal(one, other, len);
			assert_int_equal(len == 0, b == TLS_BINDING_UNIQUE && versions[i] == TLS1_3_VERSION);
		}
	}
	world_connect(w);
	assert_int_equal(tls_channel_binding(w->client.stream, TLS_BINDING_EXPORTER, one), 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names),
	    cmocka_unit_test(fingerprints),
	    cmocka_unit_test(entries_of_a_subject),
	    cmocka_unit_test(names_of_a_policy),
	    TEST(certificates),
	    TEST(chains),
	    TEST(partial_chains),
	    TEST(a_fingerprint_needs_no_chain),
	    TEST(both_ends_have_the_same_bindings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
