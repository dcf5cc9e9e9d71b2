/*
 * Unit tests of Dovecot's lines, both ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/sasl/dovecot.h"
#include "common/sasl/mechanism.h"

static const struct {
	const char *name;
	struct span line;
	int result;
	enum dovecot_kind kind;
	uint32_t id;
	const char *user, *text; /* of FAIL: the reason; of CONT: the challenge */
	bool temporary;
} rows[] = {
    {"version", SPAN_LIT("VERSION\t1\t2"), 0, DOVECOT_VERSION, 0, "", "", false},
    {"no version", SPAN_LIT("VERSION"), -1, DOVECOT_VERSION, 0, "", "", false},
    {"a word of a later version", SPAN_LIT("CBIND\tx"), 0, DOVECOT_OTHER, 0, "", "", false},
    {"done", SPAN_LIT("DONE"), 0, DOVECOT_READY, 0, "", "", false},
    {"ok", SPAN_LIT("OK\t7\tuser=alice@x\toriginal_user=y"), 0, DOVECOT_OK, 7, "alice@x", "", false},
    {"an escaped name", SPAN_LIT("OK\t7\tuser=a\0011b"), -1, DOVECOT_OK, 0, "", "", false},
    {"a name with a line end", SPAN_LIT("OK\t7\tuser=a\001nb"), -1, DOVECOT_OK, 0, "", "", false},
    {"a refused name with one", SPAN_LIT("FAIL\t7\tuser=a\001nb"), 0, DOVECOT_FAIL, 7, "", "", false},
    {"a NUL", SPAN_LIT("OK\t7\tuser=a\0b"), -1, DOVECOT_OK, 0, "", "", false},
    {"an escaped NUL", SPAN_LIT("OK\t7\tuser=a\0010"), -1, DOVECOT_OK, 0, "", "", false},
    {"an escape cut short", SPAN_LIT("OK\t7\tuser=a\001"), -1, DOVECOT_OK, 0, "", "", false},
    {"no number", SPAN_LIT("OK"), -1, DOVECOT_OK, 0, "", "", false},
    {"a number that is none", SPAN_LIT("OK\t-1"), -1, DOVECOT_OK, 0, "", "", false},
    {"a number too large", SPAN_LIT("OK\t4294967296"), -1, DOVECOT_OK, 0, "", "", false},
    {"the largest number", SPAN_LIT("OK\t4294967295"), 0, DOVECOT_OK, 4294967295U, "", "", false},
    {"a reason", SPAN_LIT("FAIL\t7\tuser=u\treason=no\001tway"), 0, DOVECOT_FAIL, 7, "u", "no\tway", false},
    {"a temporary failure", SPAN_LIT("FAIL\t7\ttemp"), 0, DOVECOT_FAIL, 7, "", "", true},
    {"the same by its code", SPAN_LIT("FAIL\t7\tcode=temp_fail"), 0, DOVECOT_FAIL, 7, "", "", true},
    {"a challenge", SPAN_LIT("CONT\t7\tVXNlcm5hbWU6"), 0, DOVECOT_CONTINUE, 7, "", "VXNlcm5hbWU6", false},
    {"an empty challenge", SPAN_LIT("CONT\t7\t"), 0, DOVECOT_CONTINUE, 7, "", "", false},
    {"no challenge at all", SPAN_LIT("CONT\t7"), 0, DOVECOT_CONTINUE, 7, "", "", false},
    {"a challenge that is a reply", SPAN_LIT("CONT\t7\t250 Ok"), -1, DOVECOT_CONTINUE, 0, "", "", false},
    {"nothing", SPAN_LIT(""), -1, DOVECOT_OTHER, 0, "", "", false},
    {"a tab", SPAN_LIT("\t"), -1, DOVECOT_OTHER, 0, "", "", false},
};

static void
test_lines(void **state)
{
	char room[200];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dovecot_reply reply;

		if (dovecot_parse(rows[i].line, &reply, room) != rows[i].result)
			fail_msg("%s", rows[i].name);
		if (rows[i].result < 0)
			continue;
		if (reply.kind != rows[i].kind || reply.id != rows[i].id ||
		    !span_is(reply.user, rows[i].user) || reply.temporary != rows[i].temporary ||
		    !span_is(reply.kind == DOVECOT_FAIL ? reply.reason : reply.challenge, rows[i].text))
			fail_msg("%s: read otherwise", rows[i].name);
	}
}

static void
test_mechanisms(void **state)
{
	struct dovecot_reply reply;
	char room[200];

	(void)state;
	assert_int_equal(
	    dovecot_parse(SPAN_LIT("MECH\tPLAIN\tplaintext\tdictionary\tnew-word"), &reply, room), 0);
	assert_true(span_is(reply.mechanism, "PLAIN"));
	assert_int_equal(reply.properties, SASL_PLAINTEXT | SASL_DICTIONARY);
	assert_int_equal(dovecot_parse(SPAN_LIT("MECH\tX\tprivate"), &reply, room), 0);
	assert_int_equal(reply.kind, DOVECOT_OTHER);
	assert_int_equal(dovecot_parse(SPAN_LIT("MECH\tA B"), &reply, room), -1);
	assert_int_equal(dovecot_parse(SPAN_LIT("MECH\tABCDEFGHIJKLMNOPQRSTU"), &reply, room), -1);
	assert_int_equal(dovecot_parse(SPAN_LIT("MECH"), &reply, room), -1);
}

static void
test_questions(void **state)
{
	const struct dovecot_client client = {.service = "smtp",
	    .local_address = "192.0.2.1",
	    .remote_address = "2001:db8::1",
	    .local_port = 587,
	    .remote_port = 4000,
	    .secured = true,
	    .certificate_user = "a\tb\nc\001d",
	    .server_name = "mx.test"};
	const struct dovecot_client nobody = {.service = "smtp"};
	struct buf out;

	(void)state;
	buf_init(&out, 40000);
	assert_int_equal(dovecot_append_auth(&out, 9, SPAN_LIT("PLAIN"), &client, SPAN_LIT("AGEAYg==")), 0);
	assert_string_equal(buf_text(&out),
	    "AUTH\t9\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=2001:db8::1\tlport=587\trport=4000\t"
	    "secured\tvalid-client-cert\tcert_username=a\001tb\001nc\0011d\tlocal_name=mx.test\tresp=AGEAYg=="
	    "\n");
	buf_clear(&out);
	assert_int_equal(dovecot_append_auth(&out, 9, SPAN_LIT("LOGIN"), &nobody, span_make(NULL, 0)), 0);
	assert_int_equal(dovecot_append_response(&out, 9, SPAN_LIT("YQ==")), 0);
	assert_string_equal(buf_text(&out), "AUTH\t9\tLOGIN\tservice=smtp\tnologin\nCONT\t9\tYQ==\n");
	buf_free(&out);
}

static void
test_too_long(void **state)
{
	static char response[DOVECOT_LINE_MAX];
	struct buf out;

	(void)state;
	memset(response, 'A', sizeof(response));
	buf_init(&out, 40000);
	assert_int_equal(dovecot_append_response(&out, 9, span_make(response, 16000)), 0);
	buf_clear(&out);
	assert_int_equal(dovecot_append_response(&out, 9, span_make(response, sizeof(response))), -1);
	assert_int_equal(out.len, 0);
	buf_free(&out);
}

/* ---- smtpd_sasl_security_options ---- */

static void
test_security(void **state)
{
	struct sasl_security security;
	struct span unknown;

	(void)state;
	assert_int_equal(sasl_security_parse(SPAN_LIT("noanonymous, noplaintext"), &security, &unknown), 0);
	assert_false(sasl_security_allows(&security, SASL_PLAINTEXT));
	assert_false(sasl_security_allows(&security, SASL_ANONYMOUS | SASL_MUTUAL_AUTH));
	assert_true(sasl_security_allows(&security, SASL_MUTUAL_AUTH));
	assert_true(sasl_security_allows(&security, 0));
	assert_int_equal(sasl_security_parse(SPAN_LIT("mutual_auth"), &security, &unknown), 0);
	assert_false(sasl_security_allows(&security, SASL_PLAINTEXT));
	assert_true(sasl_security_allows(&security, SASL_MUTUAL_AUTH));
	assert_int_equal(sasl_security_parse(SPAN_LIT("noplaintxt"), &security, &unknown), -1);
	assert_true(span_is(unknown, "noplaintxt"));
	assert_int_equal(sasl_security_parse(SPAN_LIT(""), &security, &unknown), 0);
	assert_true(sasl_security_allows(&security, SASL_PLAINTEXT | SASL_ANONYMOUS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_mechanisms),
	    cmocka_unit_test(test_questions), cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_security)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
