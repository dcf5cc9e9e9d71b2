/* Which mechanism is used, of what a server offers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "delivery/smtp/sasl_choice.h"

#define EVERYTHING                                                                                           \
	"PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS EXTERNAL OAUTHBEARER "    \
	"XOAUTH2"

static const struct sasl_channel plain = {.tls = false};
static const struct sasl_channel tls = {.tls = true};
static const struct sasl_channel bound = {.tls = true, .verified = true, .binding_name = "tls-exporter"};
static const struct sasl_channel broken = {.tls = false, .tls_given_up = true};

static void
choices(void **state)
{
	static const struct {
		const char *name, *offered;
		const struct sasl_channel *channel;
		const char *options, *tls_options, *verified_options, *filter;
		bool bearer;
		const char *fault; /* NULL: none */
		enum sasl_mechanism chosen;
	} rows[] = {
	    {"the strongest", EVERYTHING, &bound, "", "", "", "", false, NULL, SASL_SCRAM_SHA_256_PLUS},
	    {"what binds needs a channel", EVERYTHING, &tls, "", "", "", "", false, NULL, SASL_SCRAM_SHA_256},
	    {"any case, twice, among strangers", "gssapi plain PLAIN  ntlm", &plain, "", "", "", "", false,
		NULL, SASL_PLAIN},
	    {"PLAIN before LOGIN", "LOGIN PLAIN", &plain, "", "", "", "", false, NULL, SASL_PLAIN},
	    {"a token is for its own mechanisms", EVERYTHING, &tls, "", "", "", "", true, NULL,
		SASL_OAUTHBEARER},
	    {"...and for nothing else", "PLAIN LOGIN", &tls, "", "", "", "", true, "", 0},
	    {"a password is no token", "XOAUTH2 OAUTHBEARER", &tls, "", "", "", "", false, "", 0},
	    {"nothing", "", &plain, "", "", "", "", false, "", 0},
	    {"nothing that we know", "GSSAPI DIGEST-MD5 CRAM-MD5", &plain, "", "", "", "", false, "", 0},
	    {"options without TLS", "PLAIN", &plain, "noplaintext", "", "", "", false,
		"no mechanism available", 0},
	    {"options with TLS", "PLAIN", &tls, "noplaintext", "noanonymous", "noplaintext", "", false, NULL,
		SASL_PLAIN},
	    {"options with a certificate", "PLAIN", &bound, "noplaintext", "noplaintext", "", "", false, NULL,
		SASL_PLAIN},
	    {"mutual authentication", "PLAIN SCRAM-SHA-1", &tls, "", "mutual_auth", "", "", false, NULL,
		SASL_SCRAM_SHA_1},
	    {"a word that is none lets nothing through", "PLAIN", &tls, "", "noplain", "", "", false,
		"a word in smtp_sasl_security_options or its kin is unknown", 0},
	    {"no password where TLS broke", "PLAIN LOGIN", &broken, "", "", "", "", false,
		"no mechanism available", 0},
	    {"...but its proof", "PLAIN SCRAM-SHA-256", &broken, "", "", "", "", false, NULL,
		SASL_SCRAM_SHA_256},
	    {"...nor a token", "XOAUTH2", &broken, "", "", "", "", true, "no mechanism available", 0},
	    {"a filter of names", EVERYTHING, &bound, "", "", "", "login, plain", false, NULL, SASL_PLAIN},
	    {"a filter of others", EVERYTHING, &bound, "", "", "",
		"!scram-sha-256-plus, !SCRAM-SHA-256, static:rest", false, NULL, SASL_SCRAM_SHA_1_PLUS},
	    {"a filter that leaves none", "PLAIN", &tls, "", "", "", "!plain, static:rest", false, "", 0},
	    {"what a filter does not name", "PLAIN", &tls, "", "", "", "!login", false, "", 0},
	    {"EXTERNAL is for those without a login", "EXTERNAL", &bound, "", "", "", "", false, "", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sasl_family f = {.filter = rows[i].filter,
		    .options = rows[i].options,
		    .tls_options = rows[i].tls_options,
		    .tls_verified_options = rows[i].verified_options};
		enum sasl_mechanism chosen = 0;
		const char *fault = sasl_choice_make(sasl_choice_parse(span_of(rows[i].offered)), &f,
		    rows[i].channel, rows[i].bearer, &chosen);

		if ((fault == NULL) != (rows[i].fault == NULL) ||
		    (fault && strcmp(fault, rows[i].fault) != 0))
			fail_msg("%s: %s", rows[i].name, fault ? fault : "chosen");
		if (!fault && chosen != rows[i].chosen)
			fail_msg("%s: %s", rows[i].name, sasl_mechanism_name(chosen));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(choices)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
