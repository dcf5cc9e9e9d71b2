/* What endpoints of OAuth 2 may say, what becomes of it, and which URLs are endpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/map/oauth2.h"

enum { NOW = 1000000 };

static void
grants(void **state)
{
	static const struct {
		const char *name, *json, *access, *refresh;
		int64_t lifetime_s;
	} rows[] = {
	    {"all of it",
		"{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":3600,\"refresh_token\":"
		"\"r\",\"x\":[1]}",
		"a", "r", 3600},
	    {"the least, in another case", "{\"access_token\":\"a\",\"token_type\":\"bearer\"}", "a", "", 0},
	    {"a number as a string",
		"{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":\"60\"}", "a", "", 60},
	    {"null for nothing",
		"{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":null,\"refresh_token\":"
		"null}",
		"a", "", 0},
	    {"a part of a second", "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":1.5}",
		"a", "", 1},
	    {"no token", "{\"token_type\":\"Bearer\"}", NULL, NULL, 0},
	    {"an empty token", "{\"access_token\":\"\",\"token_type\":\"Bearer\"}", NULL, NULL, 0},
	    {"a token that is a number", "{\"access_token\":1,\"token_type\":\"Bearer\"}", NULL, NULL, 0},
	    {"a blank in it", "{\"access_token\":\"a b\",\"token_type\":\"Bearer\"}", NULL, NULL, 0},
	    {"a separator of SASL in it", "{\"access_token\":\"a\\u0001b\",\"token_type\":\"Bearer\"}", NULL,
		NULL, 0},
	    {"a NUL in it", "{\"access_token\":\"a\\u0000b\",\"token_type\":\"Bearer\"}", NULL, NULL, 0},
	    {"no type", "{\"access_token\":\"a\"}", NULL, NULL, 0},
	    {"another type", "{\"access_token\":\"a\",\"token_type\":\"DPoP\"}", NULL, NULL, 0},
	    {"negative time", "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":-1}", NULL,
		NULL, 0},
	    {"endless time", "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":1e300}", NULL,
		NULL, 0},
	    {"a refresh token that cannot be used",
		"{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"refresh_token\":\"\"}", NULL, NULL, 0},
	    {"twice", "{\"access_token\":\"a\",\"access_token\":\"b\",\"token_type\":\"Bearer\"}", NULL, NULL,
		0},
	    {"more behind it", "{\"access_token\":\"a\",\"token_type\":\"Bearer\"}{}", NULL, NULL, 0},
	    {"an array", "[\"access_token\"]", NULL, NULL, 0},
	    {"a form", "access_token=a&token_type=Bearer", NULL, NULL, 0},
	    {"nothing", "", NULL, NULL, 0},
	};
	struct oauth2_grant *grant = calloc(1, sizeof(*grant));
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err;
		int got = oauth2_grant_parse(span_of(rows[i].json), grant, &err);
		if ((got == 0) != (rows[i].access != NULL))
			fail_msg("%s: %d", rows[i].name, got);
		if (got == 0 && (strcmp(grant->access, rows[i].access) != 0 ||
				    strcmp(grant->refresh, rows[i].refresh) != 0 ||
				    grant->lifetime_s != rows[i].lifetime_s))
			fail_msg("%s: %s %s %lld", rows[i].name, grant->access, grant->refresh,
			    (long long)grant->lifetime_s);
	}
	free(grant);
}

static void
verdicts(void **state)
{
	static const struct oauth2_rules none = {"username, sub, email", "", "", ""},
					 all = {"sub", "mail, send", "postern", "https://id.test"};
#define GOOD                                                                                                 \
	"\"active\":true,\"sub\":\"s\",\"scope\":\"x send "                                                  \
	"mail\",\"aud\":\"postern\",\"iss\":\"https://id.test\""
	static const struct {
		const char *name, *json;
		const struct oauth2_rules *rules;
		const char *user; /* NULL: refused; "?": no answer at all */
	} rows[] = {
	    {"the first name counts", "{\"active\":true,\"sub\":\"s\",\"username\":\"u\"}", &none, "u"},
	    {"the next one", "{\"active\":true,\"email\":\"e@x\",\"sub\":\"s\"}", &none, "s"},
	    {"the last one", "{\"active\":true,\"email\":\"e@x\"}", &none, "e@x"},
	    {"no name", "{\"active\":true}", &none, NULL},
	    {"a name that is none", "{\"active\":true,\"username\":\"a b\",\"sub\":\"s\"}", &none, NULL},
	    {"a line end in it", "{\"active\":true,\"username\":\"a\\nb\"}", &none, NULL},
	    {"not active", "{\"active\":false,\"username\":\"u\"}", &none, NULL},
	    {"active as a string", "{\"active\":\"true\",\"username\":\"u\"}", &none, "?"},
	    {"active as a number", "{\"active\":1,\"username\":\"u\"}", &none, "?"},
	    {"not said", "{\"username\":\"u\"}", &none, "?"},
	    {"an error", "{\"error\":\"invalid_request\"}", &none, "?"},
	    {"no object", "true", &none, "?"},
	    {"time left", "{\"active\":true,\"username\":\"u\",\"exp\":1000001}", &none, "u"},
	    {"just over", "{\"active\":true,\"username\":\"u\",\"exp\":1000000}", &none, NULL},
	    {"a time that is none", "{\"active\":true,\"username\":\"u\",\"exp\":\"soon\"}", &none, NULL},
	    {"soon valid", "{\"active\":true,\"username\":\"u\",\"nbf\":1000060}", &none, "u"},
	    {"later valid", "{\"active\":true,\"username\":\"u\",\"nbf\":1000061}", &none, NULL},
	    {"all that is wanted", "{" GOOD "}", &all, "s"},
	    {"scope and audience in arrays",
		"{\"active\":true,\"sub\":\"s\",\"scope\":[\"mail\",\"send\"],\"aud\":[\"a\",\"postern\"],"
		"\"iss\":"
		"\"https://id.test\"}",
		&all, "s"},
	    {"a part of the scope",
		"{\"active\":true,\"sub\":\"s\",\"scope\":\"mail "
		"sender\",\"aud\":\"postern\",\"iss\":\"https://id.test\"}",
		&all, NULL},
	    {"no scope", "{\"active\":true,\"sub\":\"s\",\"aud\":\"postern\",\"iss\":\"https://id.test\"}",
		&all, NULL},
	    {"another audience",
		"{\"active\":true,\"sub\":\"s\",\"scope\":\"mail "
		"send\",\"aud\":\"postern2\",\"iss\":\"https://id.test\"}",
		&all, NULL},
	    {"words are no audience",
		"{\"active\":true,\"sub\":\"s\",\"scope\":\"mail send\",\"aud\":\"a "
		"postern\",\"iss\":\"https://id.test\"}",
		&all, NULL},
	    {"another issuer",
		"{\"active\":true,\"sub\":\"s\",\"scope\":\"mail "
		"send\",\"aud\":\"postern\",\"iss\":\"https://id.test.evil\"}",
		&all, NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct oauth2_verdict v;
		struct error err;
		int got = oauth2_verdict_parse(span_of(rows[i].json), rows[i].rules, NOW, &v, &err);
		const char *user = got < 0 ? "?" : v.active ? v.user : NULL;
		if ((user == NULL) != (rows[i].user == NULL) ||
		    (user != NULL && strcmp(user, rows[i].user) != 0))
			fail_msg("%s: %s (%s)", rows[i].name, user ? user : "refused",
			    got == 0 && v.why_not ? v.why_not : "");
	}
}

static void
refusals(void **state)
{
	static const struct {
		const char *json, *want;
	} rows[] = {
	    {"{\"error\":\"invalid_grant\"}", "invalid_grant"},
	    {"{\"error\":\"invalid_grant\",\"error_description\":\"over\\r\\nand out\"}",
		"invalid_grant: over"},
	    {"{\"error\":\"invalid_grant\",\"error_description\":\"not hush hush\"}", "invalid_grant"},
	    {"{\"error\":\"hush hush\"}", ""},
	    {"<html>", ""},
	};
	const struct span secrets[] = {{NULL, 0}, SPAN_LIT("hush")};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text;
		buf_init(&text, 1000);
		oauth2_refusal_parse(span_of(rows[i].json), secrets, 2, &text);
		if (!span_starts(buf_span(&text), rows[i].want) ||
		    (rows[i].want[0] == '\0' && text.len > 0) ||
		    memchr(buf_text(&text), '\n', text.len) != NULL)
			fail_msg("%s: %s", rows[i].json, buf_text(&text));
		buf_free(&text);
	}
}

static void
endpoints(void **state)
{
	static const struct {
		const char *url;
		bool good, loopback;
	} rows[] = {
	    {"https://id.test/token", true, false},
	    {"HTTPS://id.test:8443?x=y", true, false},
	    {"https://[2001:db8::1]:443/", true, false},
	    {"http://127.0.0.1:80/t", true, true},
	    {"http://[::1]/t", true, true},
	    {"http://[::1]:80/t", true, true},
	    {"http://localhost", true, true},
	    {"http://id.test/", false, true},
	    {"http://localhost.id.test/", false, true},
	    {"http://localhost@id.test/", false, true},
	    {"https://name:password@id.test/", false, false},
	    {"https:///token", false, false},
	    {"https://id.test/a b", false, false},
	    {"https://id.test/a,https://b.test", false, false},
	    {"ftp://id.test/", false, false},
	    {"id.test", false, false},
	    {"", false, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool loopback = false;
		const char *fault = oauth2_endpoint_fault(rows[i].url, &loopback);
		if ((fault == NULL) != rows[i].good || (fault == NULL && loopback != rows[i].loopback))
			fail_msg("%s: %s", rows[i].url, fault ? fault : "taken");
	}
}

static void
forms(void **state)
{
	struct buf form;
	(void)state;
	buf_init(&form, 1000);
	oauth2_form_add(&form, "a", SPAN_LIT("b c&d=e+f\0g"));
	oauth2_form_add(&form, "h", SPAN_LIT("-._~09azAZ"));
	assert_string_equal(buf_text(&form), "a=b%20c%26d%3De%2Bf%00g&h=-._~09azAZ");
	buf_free(&form);
}

static int
load(void **state)
{
	struct error err;
	(void)state;
	return oauth2_json_load(&err);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grants),
	    cmocka_unit_test(verdicts),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(endpoints),
	    cmocka_unit_test(forms),
	};
	return cmocka_run_group_tests_name("map/oauth2", tests, load, NULL);
}
