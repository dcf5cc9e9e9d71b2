#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/base/log.h"
#include "common/conf/conf.h"
#include "delivery/smtp/tls_policy.h"
#include "delivery/smtp/tls_policy_find.h"

#define FP "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"
#define FP_PLAIN "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void
ignore(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	(void)level;
	(void)ident;
	(void)text;
	(void)len;
	(void)context;
}

static struct tls_policy *
policy(const char *conf, bool lmtp, const char *site, const char *entry)
{
	struct error err;
	struct conf *c = conf_from_text(conf, &err);
	struct tls_policy *p;

	if (!c)
		fail_msg("%s: %s", conf, err.text);
	log_set_sink(ignore, NULL);
	p = tls_policy_new(c->values, lmtp, span_of(site), SPAN_LIT("key"), span_of(entry));
	log_set_sink(NULL, NULL);
	conf_unref(&c);
	return p;
}

/* What parameters and an entry come to. NULL: not looked at. */
static const struct row {
	const char *why, *conf, *entry;
	enum tls_level level;
	const char *match, *protocols, *ciphers, *exclude, *servername;
} rows[] = {
    {"out of the box", "", NULL, TLS_LEVEL_MAY, "", ">=TLSv1", "medium", "", ""},
    {"switched off", "smtp_tls_security_level = none", NULL, TLS_LEVEL_NONE, "", NULL, NULL, NULL, NULL},
    {"encrypt", "smtp_tls_security_level = encrypt", NULL, TLS_LEVEL_ENCRYPT, "", ">=TLSv1.2", "medium",
	"  eNULL", ""},
    {"verify: the host's name", "smtp_tls_security_level = verify", NULL, TLS_LEVEL_VERIFY, "hostname",
	">=TLSv1.2", "medium", "  aNULL", NULL},
    {"secure: the next hop's", "smtp_tls_security_level = secure", NULL, TLS_LEVEL_SECURE,
	"nexthop, dot-nexthop", NULL, NULL, NULL, NULL},
    {"the old name of may", "smtp_tls_security_level =\nsmtp_use_tls = yes", NULL, TLS_LEVEL_MAY, "", NULL,
	NULL, NULL, NULL},
    {"the old name of verify", "smtp_enforce_tls = yes", NULL, TLS_LEVEL_VERIFY, "hostname", NULL, NULL, NULL,
	NULL},
    {"the old name of encrypt", "smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = no", NULL,
	TLS_LEVEL_ENCRYPT, "", NULL, NULL, NULL, NULL},
    {"the old name counts where the new one is empty", "smtp_tls_security_level =\nsmtp_enforce_tls = yes",
	NULL, TLS_LEVEL_VERIFY, "hostname", NULL, NULL, NULL, NULL},
    {"the new name goes before the old one", "smtp_tls_security_level = may\nsmtp_enforce_tls = yes", NULL,
	TLS_LEVEL_MAY, "", NULL, NULL, NULL, NULL},
    {"the entry goes before the parameter, also downwards", "smtp_tls_security_level = secure", "none",
	TLS_LEVEL_NONE, "", NULL, NULL, NULL, NULL},
    {"words in any case", "", "EnCrypt CIPHERS=High", TLS_LEVEL_ENCRYPT, "", NULL, "High", NULL, NULL},
    {"all attributes", "",
	"secure match=a.test:.b.test ciphers=high protocols=TLSv1.3 exclude=3DES servername=s.test",
	TLS_LEVEL_SECURE, "a.test:.b.test", "TLSv1.3", "high", "3DES aNULL", "s.test"},
    {"match twice is both", "", "verify match=a.test match=b.test", TLS_LEVEL_VERIFY, "a.test:b.test", NULL,
	NULL, NULL, NULL},
    {"commas", "", "verify, match=hostname,ciphers=high", TLS_LEVEL_VERIFY, "hostname", NULL, "high", NULL,
	NULL},
    {"an empty exclude excludes what parameters did not", "smtp_tls_exclude_ciphers = 3DES",
	"encrypt exclude=", TLS_LEVEL_ENCRYPT, "", NULL, NULL, " eNULL", NULL},
    {"excluded everywhere and where it must be",
	"smtp_tls_exclude_ciphers = A\nsmtp_tls_mandatory_exclude_ciphers = B", "encrypt", TLS_LEVEL_ENCRYPT,
	"", NULL, NULL, "A B eNULL", NULL},
    {"without TLS none of its parameters matters",
	"smtp_tls_security_level = none\nsmtp_tls_servername = no/host", NULL, TLS_LEVEL_NONE, "", NULL, NULL,
	NULL, NULL},
    {"attributes of none mean nothing", "", "none match=x", TLS_LEVEL_NONE, "", NULL, NULL, NULL, NULL},
    {"SNI of the parameter", "smtp_tls_servername = hostname", NULL, TLS_LEVEL_MAY, "", NULL, NULL, NULL,
	"hostname"},
};

static void
parameters_and_entries(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct tls_policy *p = policy(row->conf, false, "far.test", row->entry);

		if (p->level != row->level)
			fail_msg("%s: %s (%s)", row->why, tls_level_name(p->level), p->why.text);
		if (strcmp(p->match ? p->match : "", row->match) != 0)
			fail_msg("%s: match %s", row->why, p->match);
		if (row->protocols && strcmp(p->protocols, row->protocols) != 0)
			fail_msg("%s: protocols %s", row->why, p->protocols);
		if (row->ciphers && strcmp(p->ciphers, row->ciphers) != 0)
			fail_msg("%s: ciphers %s", row->why, p->ciphers);
		if (row->exclude && strcmp(p->exclude, row->exclude) != 0)
			fail_msg("%s: exclude '%s'", row->why, p->exclude);
		if (row->servername && strcmp(p->servername, row->servername) != 0)
			fail_msg("%s: servername %s", row->why, p->servername);
		tls_policy_free(&p);
		assert_null(p);
	}
}

/* Mail waits, for nothing of such an entry may be used. */
static void
mistakes_are_never_weaker(void **state)
{
	static const struct {
		const char *why, *conf, *entry, *text;
	} mistakes[] = {
	    {"an empty entry", "", "", "invalid empty policy"},
	    {"blanks alone", "", " ,\t", "invalid empty policy"},
	    {"a level that nobody knows", "", "encyrpt", "invalid security level \"encyrpt\""},
	    {"a level that is not done here", "", "dane-only", "invalid security level \"dane-only\""},
	    {"an attribute that nobody knows", "", "secure mtch=a", "invalid attribute name: \"mtch\""},
	    {"no attribute", "", "secure high", "malformed attribute/value pair \"high\""},
	    {"an empty value", "", "secure match=", "attribute \"match\" has empty value"},
	    {"ciphers twice", "", "may ciphers=high ciphers=medium", "specified multiple times"},
	    {"names where none are looked at", "", "encrypt match=a.test",
		"attribute \"match\" invalid at security level \"encrypt\""},
	    {"authorities where none are looked at", "", "may tafile=/x",
		"invalid at security level \"may\""},
	    {"no fingerprint", "", "fingerprint", "with no fingerprints to match"},
	    {"a short fingerprint", "", "fingerprint match=00:01", "\"00:01\" is no sha256 fingerprint"},
	    {"a long fingerprint", "", "fingerprint match=" FP_PLAIN "00", "is no sha256 fingerprint"},
	    {"no hexadecimal", "", "fingerprint match=zz" FP_PLAIN, "is no sha256 fingerprint"},
	    {"a digest that nobody knows", "smtp_tls_fingerprint_digest = crc32", "fingerprint match=" FP,
		"unknown digest \"crc32\""},
	    {"one bad among good ones", "", "fingerprint match=" FP "|x", "\"x\" is no sha256 fingerprint"},
	    {"reuse of what?", "", "may connection_reuse=maybe", "has bad value: \"maybe\""},
	    {"SNI that is no name", "", "may servername=a/b", "servername \"a/b\" is no host name"},
	    {"nothing to verify", "smtp_tls_verify_cert_match =", "verify", "with no names to match"},
	    {"wrapper mode in plain", "smtp_tls_wrappermode = yes", NULL,
		"smtp_tls_wrappermode requires \"smtp_tls_security_level = encrypt\" (or stronger)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct tls_policy *p = policy(mistakes[i].conf, false, "far.test", mistakes[i].entry);

		if (p->level != TLS_LEVEL_INVALID || !strstr(p->why.text, mistakes[i].text))
			fail_msg("%s: %s %s", mistakes[i].why, tls_level_name(p->level), p->why.text);
		assert_string_equal(p->why.code, "4.7.5");
		assert_int_equal(p->why.class, OUTCOME_DEFERRED);
		assert_non_null(strstr(p->why.text, "client TLS configuration problem: "));
		tls_policy_free(&p);
	}
}

static void
fingerprints(void **state)
{
	struct tls_policy *p =
	    policy("smtp_tls_fingerprint_cert_match = " FP_PLAIN, false, "x", "fingerprint");

	(void)state;
	assert_int_equal(p->fingerprint_count, 1);
	assert_string_equal(p->fingerprints[0], FP);
	tls_policy_free(&p);
	p = policy("smtp_tls_fingerprint_cert_match = " FP_PLAIN, false, "x",
	    "fingerprint match=" FP "|" FP_PLAIN " match=" FP);
	assert_int_equal(p->fingerprint_count, 3);
	tls_policy_free(&p);
}

static void
lmtp_has_its_own_parameters(void **state)
{
	struct tls_policy *p = policy("smtp_tls_security_level = secure", true, "x", NULL);

	(void)state;
	assert_int_equal(p->level, TLS_LEVEL_NONE);
	tls_policy_free(&p);
	p = policy("lmtp_tls_security_level = encrypt\nlmtp_tls_mandatory_ciphers = high", true, "x", NULL);
	assert_int_equal(p->level, TLS_LEVEL_ENCRYPT);
	assert_string_equal(p->ciphers, "high");
	assert_string_equal(p->origin, "lmtp_tls_security_level");
	tls_policy_free(&p);
	/* Postfix's default: a host below the next hop is another one. */
	p = policy("lmtp_tls_security_level = secure", true, "x", NULL);
	assert_string_equal(p->match, "nexthop");
	tls_policy_free(&p);
}

static void
the_domain_of_a_site(void **state)
{
	static const struct {
		const char *site, *domain;
	} sites[] = {{"Far.Test", "far.test"}, {"[mx.far.test]", "mx.far.test"},
	    {"[mx.far.test]:587", "mx.far.test"}, {"far.test:25", "far.test"}, {"far.test.", "far.test"},
	    {"[192.0.2.1]", "192.0.2.1"}, {"[IPv6:2001:db8::1]:25", "2001:db8::1"},
	    {"inet:far.test:24", "far.test"}, {"b\303\274cher.test", "xn--bcher-kva.test"},
	    {"/run/lmtp:x", "/run/lmtp:x"}, {"[open", "open"}};

	(void)state;
	for (size_t i = 0; i < sizeof(sites) / sizeof(sites[0]); i++) {
		struct tls_policy *p = policy("", false, sites[i].site, NULL);

		assert_string_equal(p->domain, sites[i].domain);
		assert_string_equal(p->site, sites[i].site);
		tls_policy_free(&p);
	}
}

/* Connections are kept under this key: what differs in anything that counts must not share one. */
static void
keys_tell_policies_apart(void **state)
{
	static const char *const different[] = {"none", "may", "encrypt", "verify", "secure",
	    "may ciphers=high", "may protocols=TLSv1.3", "may exclude=3DES", "may servername=hostname",
	    "may connection_reuse=no", "secure match=a.test", "secure match=b.test",
	    "secure match=a.test:b.test", "fingerprint match=" FP, "secure tafile=/a", "verify match=a.test"};
	enum { COUNT = sizeof(different) / sizeof(different[0]) };
	struct tls_policy *list[COUNT], *p, *q;

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		list[i] = policy("", false, "far.test", different[i]);
		assert_int_not_equal(list[i]->level, TLS_LEVEL_INVALID);
		for (size_t k = 0; k < i; k++)
			if (strcmp(list[i]->key, list[k]->key) == 0)
				fail_msg("%s and %s have one key", different[i], different[k]);
	}
	for (size_t i = 0; i < COUNT; i++)
		tls_policy_free(&list[i]);
	p = policy("", false, "far.test", NULL);
	q = policy("", false, "other.test", "may");
	assert_string_equal(p->key, q->key);
	tls_policy_free(&p);
	tls_policy_free(&q);
	p = policy("", false, "far.test", "secure");
	q = policy("", false, "other.test", "secure");
	assert_string_not_equal(p->key, q->key);
	tls_policy_free(&p);
	tls_policy_free(&q);
}

static void
server_names(void **state)
{
	struct tls_policy *p = policy("", false, "[far.test]:25", "may servername=nexthop");

	(void)state;
	assert_string_equal(tls_policy_servername(p, "mx.test"), "far.test");
	tls_policy_free(&p);
	p = policy("", false, "far.test", "may servername=hostname");
	assert_string_equal(tls_policy_servername(p, "mx.test"), "mx.test");
	tls_policy_free(&p);
	p = policy("", false, "far.test", "may servername=s.test");
	assert_string_equal(tls_policy_servername(p, "mx.test"), "s.test");
	tls_policy_free(&p);
	p = policy("", false, "far.test", NULL);
	assert_string_equal(tls_policy_servername(p, "mx.test"), "");
	tls_policy_free(&p);
}

static void
keep_policy(void *context, struct tls_policy *p)
{
	struct tls_policy **kept = context;

	assert_null(*kept);
	*kept = p;
}

/* Where tables decide and nobody can ask them, it is not known: nothing is sent with less than they may want. */
static void
while_lookup_is_away_no_policy_is_known(void **state)
{
	struct error err;
	struct conf *c = conf_from_text("smtp_tls_policy_maps = inline:{far.test=encrypt}", &err);
	struct agent agent = {.lookup = NULL};
	struct tls_policy *p = NULL;

	(void)state;
	assert_non_null(c);
	assert_null(tls_policy_find(&agent, c, false, SPAN_LIT("far.test"), keep_policy, &p));
	assert_non_null(p);
	assert_int_equal(p->level, TLS_LEVEL_INVALID);
	assert_int_equal(p->why.class, OUTCOME_DEFERRED);
	tls_policy_free(&p);
	/* LMTP has no tables here. */
	assert_null(tls_policy_find(&agent, c, true, SPAN_LIT("far.test"), keep_policy, &p));
	assert_non_null(p);
	assert_int_equal(p->level, TLS_LEVEL_NONE);
	tls_policy_free(&p);
	conf_unref(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parameters_and_entries),
	    cmocka_unit_test(mistakes_are_never_weaker),
	    cmocka_unit_test(fingerprints),
	    cmocka_unit_test(lmtp_has_its_own_parameters),
	    cmocka_unit_test(the_domain_of_a_site),
	    cmocka_unit_test(keys_tell_policies_apart),
	    cmocka_unit_test(server_names),
	    cmocka_unit_test(while_lookup_is_away_no_policy_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
