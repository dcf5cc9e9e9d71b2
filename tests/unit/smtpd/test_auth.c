/*
 * AUTH (RFC 4954) with back ends that are played: what is answered, what policy is told, what is logged and what is not; the
 * same when octets come one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/smtpd/fakes.h"

#define CONF                                                                                                 \
	"myhostname = mx.here.test\nmynetworks = 192.0.2.1/32\nsmtpd_sasl_auth_enable = yes\n"               \
	"smtpd_sasl_type = table\nsmtpd_tls_auth_only = no\nsmtpd_auth_failure_limit_delay = 0\n"            \
	"smtpd_error_sleep_time = 0\n"
#define WELL "235 2.7.0 Authentication successful\r\n"
#define WRONG "535 5.7.8 Error: authentication failed: authentication failure\r\n"
#define NOT_NOW "454 4.7.0 Temporary authentication failure\r\n"

/* "\0alice\0secret" and so on. */
#define ALICE_SECRET "AGFsaWNlAHNlY3JldA=="
#define ALICE_GUESS "AGFsaWNlAGd1ZXNz"
#define ALICE_TROUBLE "AGFsaWNlAHRyb3VibGU="
#define CLOSED_SECRET "AGNsb3NlZABzZWNyZXQ="
#define AS_ALICE "YWxpY2UAYWxpY2UAc2VjcmV0"
#define AS_BOB "Ym9iAGFsaWNlAHNlY3JldA=="

static const struct {
	const char *name, *conf, *sent, *replies;
	unsigned results[AUTH_TEMPORARY + 1]; /* accepted, refused, temporary */
	const char *log, *not_log;
} rows[] = {
    {"a password at once", "", "AUTH PLAIN " ALICE_SECRET "\r\n", WELL, {1, 0, 0}, NULL, "secret"},
    {"a word in any case", "", "auth plain " ALICE_SECRET "\r\n", WELL, {1, 0, 0}, NULL, NULL},
    {"a password on a question", "", "AUTH PLAIN\r\n" ALICE_SECRET "\r\n", "334 \r\n" WELL, {1, 0, 0}, NULL,
	ALICE_SECRET},
    {"LOGIN", "", "AUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n", "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" WELL,
	{1, 0, 0}, NULL, "c2VjcmV0"},
    {"LOGIN with the name at once", "", "AUTH LOGIN YWxpY2U=\r\nc2VjcmV0\r\n", "334 UGFzc3dvcmQ6\r\n" WELL,
	{1, 0, 0}, NULL, NULL},
    {"a wrong password", "", "AUTH PLAIN " ALICE_GUESS "\r\n", WRONG, {0, 1, 0},
	"warning: unknown[192.0.2.99]: SASL PLAIN authentication failed: authentication failure, "
	"sasl_username=alice\n",
	"guess"},
    {"a wrong one, then the right one", "", "AUTH PLAIN " ALICE_GUESS "\r\nAUTH PLAIN " ALICE_SECRET "\r\n",
	WRONG WELL, {1, 1, 0}, NULL, NULL},
    {"a back end in trouble", "", "AUTH PLAIN " ALICE_TROUBLE "\r\n", NOT_NOW, {0, 0, 1}, NULL, "trouble"},
    {"an account that is closed: no back end hears of it", "", "AUTH PLAIN " CLOSED_SECRET "\r\n", NOT_NOW,
	{0, 0, 0}, "SASL PLAIN authentication failed: too many failures, sasl_username=closed\n", NULL},
    {"acting as oneself", "", "AUTH PLAIN " AS_ALICE "\r\n", WELL, {1, 0, 0}, NULL, NULL},
    {"acting as somebody else", "", "AUTH PLAIN " AS_BOB "\r\n", WRONG, {0, 1, 0},
	"not authorized to act as another user", NULL},
    {"a domain for names without one", "smtpd_sasl_local_domain = here.test\n",
	"AUTH PLAIN " ALICE_GUESS "\r\n", WRONG, {0, 1, 0}, "sasl_username=alice@here.test\n", NULL},
    {"SCRAM of nobody", "", "AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9eA==\r\nYz1iaXdzLHI9eCxwPUFBQUE=\r\n", NULL,
	{0, 1, 0}, "SASL SCRAM-SHA-256 authentication failed: authentication failure, sasl_username=user\n",
	NULL},
    {"cancelled", "", "AUTH LOGIN\r\n*\r\nNOOP\r\n",
	"334 VXNlcm5hbWU6\r\n501 5.7.0 Authentication aborted\r\n250 2.0.0 Ok\r\n", {0, 0, 0},
	"warning: unknown[192.0.2.99]: SASL LOGIN authentication aborted\n", NULL},
    {"no base64", "", "AUTH PLAIN a\r\nAUTH PLAIN\r\nx*==\r\n",
	"501 5.5.2 Error: cannot decode response\r\n334 \r\n501 5.5.2 Error: cannot decode response\r\n",
	{0, 0, 0},
	"SASL PLAIN authentication failed: Invalid base64 data in continued response, "
	"sasl_username=(unavailable)\n",
	NULL},
    {"no base64 at once", "", "AUTH PLAIN a\r\n", "501 5.5.2 Error: cannot decode response\r\n", {0, 0, 0},
	"SASL PLAIN authentication failed: Invalid base64 data in initial response, "
	"sasl_username=(unavailable)\n",
	NULL},
    {"a secret in the mechanism's place", "", "AUTH " ALICE_SECRET "\r\n",
	"504 5.5.4 Error: unrecognized authentication type\r\n", {0, 0, 0},
	"SASL (invalid) authentication failed: Invalid authentication mechanism", ALICE_SECRET},
    {"an empty initial response", "", "AUTH PLAIN =\r\n", WRONG, {0, 0, 0}, NULL, NULL},
    {"an empty later one", "", "AUTH PLAIN\r\n\r\n", "334 \r\n" WRONG, {0, 0, 0}, NULL, NULL},
    {"'=' is no later one", "", "AUTH PLAIN\r\n=\r\n", "334 \r\n501 5.5.2 Error: cannot decode response\r\n",
	{0, 0, 0}, NULL, NULL},
    {"twice", "", "AUTH PLAIN " ALICE_SECRET "\r\nAUTH PLAIN " ALICE_SECRET "\r\n",
	WELL "503 5.5.1 Error: already authenticated\r\n", {1, 0, 0}, NULL, NULL},
    {"in a transaction", "", "MAIL FROM:<a@b.test>\r\nAUTH PLAIN " ALICE_SECRET "\r\n",
	"250 2.1.0 Ok\r\n503 5.5.1 Error: MAIL transaction in progress\r\n", {0, 0, 0}, NULL, NULL},
    {"a mechanism that is not offered", "", "AUTH CRAM-MD5\r\nAUTH EXTERNAL =\r\nAUTH SCRAM-SHA-256-PLUS\r\n",
	"504 5.5.4 Error: unrecognized authentication type\r\n"
	"504 5.5.4 Error: unrecognized authentication type\r\n"
	"504 5.5.4 Error: unrecognized authentication type\r\n",
	{0, 0, 0},
	"warning: unknown[192.0.2.99]: SASL EXTERNAL authentication failed: "
	"Invalid authentication mechanism, sasl_username=(unavailable)\n",
	NULL},
    {"one that is filtered", "smtpd_sasl_mechanism_filter = !login, plain\n", "AUTH LOGIN\r\nAUTH PLAIN\r\n",
	"504 5.5.4 Error: unrecognized authentication type\r\n334 \r\n", {0, 0, 0}, NULL, NULL},
    {"no words, and too many", "", "AUTH\r\nAUTH PLAIN a b\r\n",
	"501 5.5.4 Syntax: AUTH mechanism\r\n501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n",
	{0, 0, 0}, NULL, NULL},
    {"before TLS", "smtpd_tls_auth_only = yes\n", "AUTH PLAIN " ALICE_SECRET "\r\n",
	"538 5.7.11 Encryption required for requested authentication mechanism\r\n", {0, 0, 0}, NULL,
	ALICE_SECRET},
    {"passwords within TLS alone",
	"smtpd_sasl_security_options = noplaintext\nsmtpd_sasl_tls_security_options =\n", "AUTH PLAIN\r\n",
	"538 5.7.11 Encryption required for requested authentication mechanism\r\n", {0, 0, 0}, NULL, NULL},
    {"passwords never", "smtpd_sasl_security_options = noplaintext\n", "AUTH PLAIN\r\n",
	"504 5.5.4 Error: unrecognized authentication type\r\n", {0, 0, 0}, NULL, NULL},
    {"not enabled", "smtpd_sasl_auth_enable = no\n",
	"AUTH PLAIN\r\nMAIL FROM:<a@b.test> AUTH=c@d.test\r\nMAIL FROM:<a@b.test> AUTH=<>\r\n",
	"503 5.5.1 Error: authentication not enabled\r\n503 5.5.4 Error: authentication disabled\r\n250 "
	"2.1.0 Ok\r\n",
	{0, 0, 0}, NULL, NULL},
    {"an exempted network", "smtpd_sasl_exceptions_networks = 192.0.2.0/24\n", "AUTH PLAIN\r\n",
	"503 5.5.1 Error: authentication not enabled\r\n", {0, 0, 0}, NULL, NULL},
    {"commands behind one response that is all (RFC 4954, 4)", "", "AUTH PLAIN " ALICE_SECRET "\r\nNOOP\r\n",
	WELL "250 2.0.0 Ok\r\n", {1, 0, 0}, NULL, NULL},
    {"AUTH= of a stranger is not believed", "",
	"MAIL FROM:<a@b.test> AUTH=first+40there.test\r\nRCPT TO:<alice@here.test>\r\n",
	"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n", {0, 0, 0}, ": client=unknown[192.0.2.99]\n", "sasl_sender"},
    {"of who is logged in it is", "",
	"AUTH PLAIN " ALICE_SECRET
	"\r\nMAIL FROM:<a@b.test> AUTH=first+40there.test\r\nRCPT TO:<r@far.test>\r\n",
	WELL "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n", {1, 0, 0},
	": client=unknown[192.0.2.99], sasl_method=PLAIN, sasl_username=alice, "
	"sasl_sender=first@there.test\n",
	NULL},
    {"forms of AUTH=", "",
	"MAIL FROM:<a@b.test> AUTH=<x@y> AUTH=<>\r\nMAIL FROM:<a@b.test> AUTH=a+4\r\nMAIL FROM:<a@b.test> "
	"AUTH=a+0Db\r\nMAIL FROM:<a@b.test> AUTH=\r\nMAIL FROM:<a@b.test> AUTH=<>\r\n",
	"501 5.5.4 Bad AUTH parameter syntax\r\n501 5.5.4 Bad AUTH parameter syntax\r\n501 5.5.4 Bad AUTH "
	"parameter syntax\r\n501 5.5.4 Error: parameter syntax\r\n250 2.1.0 Ok\r\n",
	{0, 0, 0}, NULL, NULL},
};

/* Line by line, as a client would, or octet by octet. */
static void
send_all(struct fakes *f, const char *text, bool octets)
{
	struct span rest = span_of(text);

	while (rest.len) {
		size_t len = octets ? 1 : (size_t)span_find(rest, '\n') + 1;

		fakes_send(f, rest.ptr, len);
		rest = span_from(rest, len);
	}
}

static void
run(size_t i, bool octets)
{
	struct fakes f;
	char conf[2000];
	const char *replies;

	(void)snprintf(conf, sizeof(conf), CONF "%s", rows[i].conf);
	fakes_init(&f, conf, "192.0.2.99");
	fakes_send(&f, "EHLO h.test\r\n", 13);
	(void)fakes_replies(&f);
	/* What a table has for SCRAM is known at the second EHLO. */
	fakes_send(&f, "EHLO h.test\r\n", 13);
	(void)fakes_replies(&f);
	send_all(&f, rows[i].sent, octets);
	replies = fakes_replies(&f);
	if (rows[i].replies && strcmp(replies, rows[i].replies) != 0)
		fail_msg("%s: answered\n%s", rows[i].name, replies);
	for (size_t k = 0; k <= AUTH_TEMPORARY; k++)
		if (f.auth_results[k] != rows[i].results[k])
			fail_msg("%s: policy was told %u of status %zu", rows[i].name, f.auth_results[k], k);
	if (rows[i].log && strstr(buf_text(&f.log), rows[i].log) == NULL)
		fail_msg("%s: the log has\n%s", rows[i].name, buf_text(&f.log));
	if (rows[i].not_log && strstr(buf_text(&f.log), rows[i].not_log) != NULL)
		fail_msg("%s: the log has\n%s", rows[i].name, buf_text(&f.log));
	fakes_fini(&f);
}

static void
test_line_by_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run(i, false);
}

static void
test_octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strlen(rows[i].sent) < 150)
			run(i, true);
}

/* A client that goes in the middle of an exchange takes everything with it. */
static void
test_gone(void **state)
{
	static const char *const lines[] = {"AUTH LOGIN\r\n", "AUTH LOGIN YWxpY2U=\r\n",
	    "AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9eA==\r\n", "AUTH PLAIN " ALICE_SECRET "\r\n"};
	struct fakes f;

	(void)state;
	fakes_init(&f, CONF, "192.0.2.99");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		fakes_connect(&f, "192.0.2.99");
		fakes_send(&f, "EHLO h.test\r\n", 13);
		fakes_send(&f, lines[i], strlen(lines[i]));
	}
	fakes_fini(&f);
}

/* The server's questions fit any line that RFC 4954 allows; the client's answers are bounded. */
static void
test_long_lines(void **state)
{
	struct fakes f;
	char line[20000];

	(void)state;
	fakes_init(&f, CONF, "192.0.2.99");
	fakes_send(&f, "EHLO h.test\r\n", 13);
	(void)fakes_replies(&f);
	memset(line, 'A', sizeof(line));
	memcpy(line + 12288, "\r\n", 2);
	fakes_send(&f, "AUTH PLAIN\r\n", 12);
	fakes_send(&f, line, 12290);
	assert_string_equal(fakes_replies(&f), "334 \r\n" WRONG);
	memset(line, 'A', sizeof(line));
	memcpy(line + 12291, "\r\n", 2);
	fakes_send(&f, "AUTH PLAIN\r\n", 12);
	fakes_send(&f, line, 12293);
	assert_string_equal(
	    fakes_replies(&f), "334 \r\n500 5.5.6 Authentication Exchange line is too long\r\n");
	fakes_send(&f, "NOOP\r\n", 6);
	assert_string_equal(fakes_replies(&f), "250 2.0.0 Ok\r\n");
	fakes_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_line_by_line),
	    cmocka_unit_test(test_octet_by_octet), cmocka_unit_test(test_gone),
	    cmocka_unit_test(test_long_lines)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
