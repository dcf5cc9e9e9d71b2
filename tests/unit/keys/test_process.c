/*
 * The keys process, with this test in the parts of master, of smtpd and of delivery: what a process that somebody has
 * taken over gets signed, and what it is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/keys/keys_world.h"

enum { CROWD = 3000, SLOW_CROWD = 300 };
enum { TLS13_LEN = 64 + 34 + 32, ECDSA_P256 = 0x0403, RSA_PSS = 0x0804 };

static void
each_is_told_of_its_own(void **state)
{
	static const char *const of_smtpd[] = {"[smtp] \"\" 0 0 first", "[submission] \"\" 0 0 second",
	    "[submission] \"sni.test\" 0 0 first", NULL};
	static const char *const of_delivery[] = {"[] \"\" 1 0 client", NULL};

	(void)state;
	told(&w.smtpd, of_smtpd);
	told(&w.delivery, of_delivery);
	assert_int_equal(w.delivery.tickets, 0);
	assert_non_null(strstr(w.notice, "expires first"));
}

static void
make_text(unsigned char text[TLS13_LEN], const char *who)
{
	memset(text, ' ', 64);
	snprintf((char *)text + 64, 35, "TLS 1.3, %s CertificateVerify", who);
	memset(text + 64 + 34, 'h', 32);
}

static int
ask(struct peer *p, const char *section, struct span key, uint32_t scheme, struct span text)
{
	struct msg_key_sign m = {.section = span_of(section), .key = key, .scheme = scheme, .text = text};
	size_t before = p->answers;

	p->status = -2;
	assert_true(ipc_ask(p->channel, IPC_KEY_SIGN, &m, 0, on_answer, p) != 0);
	WAIT(p->answers > before);
	return p->status;
}

static struct span
id_of(const struct pair *p)
{
	return span_make((const char *)p->id, KEY_ID_LEN);
}

static void
signatures_only_for_ones_own(void **state)
{
	static const struct {
		const char *name;
		bool from_delivery;
		const char *section;
		const struct pair *key;
		uint32_t scheme;
		const char *text;
		int status;
	} rows[] = {
	    {"a listener's own", false, "smtp", &first, ECDSA_P256, "server", KEY_DONE},
	    {"another listener's own", false, "submission", &second, RSA_PSS, "server", KEY_DONE},
	    {"that of a name", false, "submission", &first, ECDSA_P256, "server", KEY_DONE},
	    {"the client's own", true, "", &client, ECDSA_P256, "client", KEY_DONE},
	    {"a key of another listener", false, "smtp", &second, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"a listener without a key", false, "plain", &first, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"a listener that is none", false, "smtps", &first, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"no listener", false, "", &first, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"a key that nobody has", false, "smtp", &renewed, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"smtpd as the client", false, "", &client, ECDSA_P256, "client", KEY_UNKNOWN},
	    {"smtpd with the client's key", false, "smtp", &client, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"delivery as a listener", true, "smtp", &first, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"delivery with a listener's key", true, "", &first, ECDSA_P256, "client", KEY_UNKNOWN},
	    {"smtpd in the client's part", false, "smtp", &first, ECDSA_P256, "client", KEY_REFUSED},
	    {"delivery in the server's part", true, "", &client, ECDSA_P256, "server", KEY_REFUSED},
	    {"free text", false, "smtp", &first, ECDSA_P256, NULL, KEY_REFUSED},
	    {"free text of delivery", true, "", &client, ECDSA_P256, NULL, KEY_REFUSED},
	    {"a scheme of another kind of key", false, "smtp", &first, 0x0804, "server", KEY_REFUSED},
	    {"a scheme of another curve", false, "smtp", &first, 0x0503, "server", KEY_REFUSED},
	    {"no scheme", false, "smtp", &first, 0, "server", KEY_REFUSED},
	};
	unsigned char text[TLS13_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *p = rows[i].from_delivery ? &w.delivery : &w.smtpd;

		make_text(text, rows[i].text ? rows[i].text : "server");
		if (rows[i].text == NULL)
			memset(text, 'x', sizeof(text));
		if (ask(p, rows[i].section, id_of(rows[i].key), rows[i].scheme,
			span_make((const char *)text, sizeof(text))) != rows[i].status)
			fail_msg("%s: %d, %s", rows[i].name, p->status, p->reason);
		assert_true((p->signature_len > 0) == (rows[i].status == KEY_DONE));
		assert_true((p->reason[0] != '\0') == (rows[i].status != KEY_DONE));
	}
	/* Numbers that are none. */
	make_text(text, "server");
	assert_int_equal(ask(&w.smtpd, "smtp", span_sub(id_of(&first), 0, 31), ECDSA_P256,
			     span_make((const char *)text, sizeof(text))),
	    KEY_UNKNOWN);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", SPAN_LIT(""), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_UNKNOWN);
	assert_int_equal(ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, SPAN_LIT("")), KEY_REFUSED);
}

static void
the_signature_is_the_keys(void **state)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char text[TLS13_LEN];

	(void)state;
	make_text(text, "server");
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
	assert_int_equal(EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, first.key, NULL), 1);
	assert_int_equal(
	    EVP_DigestVerify(context, w.smtpd.signature, w.smtpd.signature_len, text, sizeof(text)), 1);
	EVP_MD_CTX_free(context);
}

static void
ask_crowd(const char *section, const struct pair *key, uint32_t scheme, size_t count)
{
	struct msg_key_sign m = {.section = span_of(section), .key = id_of(key), .scheme = scheme};
	unsigned char text[TLS13_LEN];

	make_text(text, "server");
	m.text = span_make((const char *)text, sizeof(text));
	for (size_t i = 0; i < count; i++)
		assert_true(ipc_ask(w.smtpd.channel, IPC_KEY_SIGN, &m, 0, on_answer, &w.smtpd) != 0);
}

static void
many_at_once_are_answered(void **state)
{
	(void)state;
	ask_crowd("submission", &second, RSA_PSS, SLOW_CROWD);
	ask_crowd("smtp", &first, ECDSA_P256, CROWD);
	WAIT(w.smtpd.answers == SLOW_CROWD + CROWD);
	assert_int_equal(w.smtpd.good, SLOW_CROWD + CROWD);
}

/* Signatures that are under way are nobody's then; the others go on. */
static void
who_asks_may_die(void **state)
{
	unsigned char text[TLS13_LEN];

	(void)state;
	make_text(text, "client");
	ask_crowd("submission", &second, RSA_PSS, SLOW_CROWD);
	ipc_flush_all();
	ipc_channel_close(&w.smtpd.channel);
	connect_peer(&w.smtpd, ROLE_SMTPD);
	WAIT(w.smtpd.ends == 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(&w.delivery, "", id_of(&client), ECDSA_P256,
				     span_make((const char *)text, sizeof(text))),
		    KEY_DONE);
		ask_crowd("submission", &second, RSA_PSS, 10);
		WAIT(w.smtpd.answers == 10 * (size_t)(i + 1));
	}
	assert_int_equal(waitpid(w.pid, NULL, WNOHANG), 0);
}

/* Whoever speaks out of place loses the connection; the others do not. */
static void
what_is_not_permitted_costs_the_connection(void **state)
{
	struct msg_identity identity = {.section = SPAN_LIT("smtp"), .key = id_of(&first)};
	unsigned char text[TLS13_LEN];

	(void)state;
	ipc_send(w.smtpd.channel, IPC_IDENTITY, 0, &identity);
	WAIT(w.smtpd.downs > 0);
	make_text(text, "client");
	assert_int_equal(
	    ask(&w.delivery, "", id_of(&client), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
	connect_peer(&w.smtpd, ROLE_SMTPD);
	WAIT(w.smtpd.ends == 1 && w.smtpd.tickets == 1);
	assert_int_equal(w.smtpd.told_count, 3);
}

static void
renewed_files_are_told_and_bad_ones_are_not(void **state)
{
	static const char *const expected[] = {"[smtp] \"\" 0 0 renewed", "[submission] \"\" 0 0 second",
	    "[submission] \"sni.test\" 0 0 renewed", NULL};
	static struct pair bad = {.pem = "-----BEGIN PRIVATE KEY-----\nrubbish\n"};
	unsigned char text[TLS13_LEN];

	(void)state;
	make_text(text, "server");
	w.smtpd.told_count = 0;
	w.notice[0] = '\0';
	send_files(&bad);
	WAIT(w.notice[0] != '\0');
	assert_string_equal(w.notice, "smtpd_tls_chain_files: /t/first: malformed PEM");
	w.notice[0] = '\0';
	send_files(NULL);
	WAIT(w.notice[0] != '\0');
	assert_string_equal(w.notice, "smtpd_tls_chain_files: /t/first: No such file or directory");
	settle();
	assert_int_equal(w.smtpd.told_count, 0);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
	send_files(&renewed);
	WAIT(w.smtpd.ends == 2);
	told(&w.smtpd, expected);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&renewed), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
	/* Handshakes that chose the old certificate a moment ago get their signature; after some seconds there are none. */
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
	assert_int_equal(ask(&w.smtpd, "submission", id_of(&client), ECDSA_P256,
			     span_make((const char *)text, sizeof(text))),
	    KEY_UNKNOWN);
	WAIT(ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))) ==
	     KEY_UNKNOWN);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&renewed), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
}

static void
a_reload_changes_who_has_what(void **state)
{
	static const char *const expected[] = {"[plain] \"\" 0 0 first", NULL};
	unsigned char text[TLS13_LEN];

	(void)state;
	make_text(text, "server");
	w.smtpd.told_count = w.delivery.told_count = 0;
	send_conf(
	    "[smtp]\nlisten = 127.0.0.1:1\n[plain]\nlisten = 127.0.0.1:3\nsmtpd_tls_chain_files = /t/first\n",
	    2);
	send_files(&first);
	WAIT(w.smtpd.ends == 2 && w.delivery.ends == 2);
	told(&w.smtpd, expected);
	assert_int_equal(w.delivery.told_count, 0);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_UNKNOWN);
	assert_int_equal(
	    ask(&w.smtpd, "plain", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
}

/* The first start fails with the file's name; a later one serves what is good. */
static void
a_start_without_a_file(void **state)
{
	static const char *const expected[] = {"[submission] \"\" 0 0 second", NULL};
	int status;

	(void)state;
	start(usual, NULL, 0);
	WAIT(w.failed[0] != '\0' || w.ready);
	assert_string_equal(w.failed, "smtpd_tls_chain_files: /t/first: No such file or directory");
	assert_int_equal(waitpid(w.pid, &status, 0), w.pid);
	w.pid = fork();
	if (w.pid == 0)
		_exit(0);
	end(NULL);
	start(usual, NULL, 1);
	WAIT(w.ready && w.smtpd.ends > 0);
	told(&w.smtpd, expected);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_is_told_of_its_own, begin, end),
	    cmocka_unit_test_setup_teardown(signatures_only_for_ones_own, begin, end),
	    cmocka_unit_test_setup_teardown(the_signature_is_the_keys, begin, end),
	    cmocka_unit_test_setup_teardown(many_at_once_are_answered, begin, end),
	    cmocka_unit_test_setup_teardown(who_asks_may_die, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_not_permitted_costs_the_connection, begin, end),
	    cmocka_unit_test_setup_teardown(renewed_files_are_told_and_bad_ones_are_not, begin, end),
	    cmocka_unit_test_setup_teardown(a_reload_changes_who_has_what, begin, end),
	    cmocka_unit_test_teardown(a_start_without_a_file, end),
	};

	if (geteuid() == 0 && is_out_of_reach())
		return 77;
	pairs_make();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
