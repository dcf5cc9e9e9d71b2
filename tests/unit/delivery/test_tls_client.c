#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/dns/dns.h"
#include "tests/unit/delivery/tls_fixture.h"

/* ---- each level with each server ---- */

enum { LEVELS = 6 };
static const char *const levels[LEVELS] = {"none", "may", "encrypt", "fingerprint", "verify", "secure"};

/*
 * want: what becomes of the message at each level. T: sent in TLS, P: sent in plain, B: TLS was tried, broke, and it was
 * sent in plain over another connection; D: deferred, and nothing of it was shown to the server; -: not tried.
 */
static const char silent[] = "silent in the handshake";

static const struct server_row {
	const char *why;
	bool no_tls;
	enum certificate certificate;
	int version;
	struct peer_row rows[3];
	const char *want;
	const char *text; /* of the deferrals at encrypt and above */
	const char *code;
} server_rows[] = {
    {"no TLS", true, GOOD, 0, {{0}}, "PPDDDD",
	"TLS is required, but was not offered by host mx.far.test[127.0.0.1]", "4.7.4"},
    {"good", false, GOOD, 0, {{0}}, "PTTTTT", NULL, NULL},
    {"TLS 1.2", false, GOOD, TLS1_2_VERSION, {{0}}, "-TTTTT", NULL, NULL},
    {"TLS 1.0 alone", false, GOOD, TLS1_VERSION, {{0}}, "-TDD--", "Cannot start TLS: handshake failure",
	"4.7.5"},
    {"self-signed", false, SELF_SIGNED, 0, {{0}}, "-TTDDD", "Server certificate not ", "4.7.5"},
    {"expired", false, EXPIRED, 0, {{0}}, "-TTDDD", "Server certificate not ", "4.7.5"},
    {"not valid yet", false, NOT_YET, 0, {{0}}, "-TTDDD", "Server certificate not ", "4.7.5"},
    {"another's name", false, WRONG_NAME, 0, {{0}}, "-TTDDD", "Server certificate not verified", "4.7.5"},
    {"the host's name, not the domain's", false, PARENT_NAME, 0, {{0}}, "-TTDTT", "not verified", "4.7.5"},
    {"any host of the domain", false, WILDCARD, 0, {{0}}, "-TTDTT", "not verified", "4.7.5"},
    {"its address alone", false, ADDRESS, 0, {{0}}, "-TTDDD", "not verified", "4.7.5"},
    {"454 to STARTTLS", false, GOOD, 0, {{"STARTTLS", 0, "454 4.7.0 not now"}}, "-PDD--",
	"TLS is required, but host mx.far.test[127.0.0.1] refused to start TLS: 454 4.7.0 not now", "4.7.0"},
    {"501 to STARTTLS: no bounce", false, GOOD, 0, {{"STARTTLS", 0, "501 5.5.4 what?"}}, "-PDD--",
	"refused to start TLS: 501 5.5.4 what?", "4.5.4"},
    {"421 to STARTTLS", false, GOOD, 0, {{"STARTTLS", 0, "!last 421 4.7.0 bye"}}, "-BDD--", "421 4.7.0 bye",
	"4.7.0"},
    {"closed at STARTTLS", false, GOOD, 0, {{"STARTTLS", 0, "!close"}}, "-BDD--",
	"lost connection with mx.far.test[127.0.0.1] while receiving the STARTTLS response", "4.4.2"},
    {"reset at STARTTLS", false, GOOD, 0, {{"STARTTLS", 0, "!reset"}}, "-BDD--",
	"while receiving the STARTTLS response", "4.4.2"},
    {"closed in the handshake", false, GOOD, 0, {{"STARTTLS", 0, "!last 220 go"}}, "-BDD--",
	"Cannot start TLS: handshake failure", "4.7.5"},
    {silent, false, GOOD, 0, {{"STARTTLS", 0, "!mute 220 go"}}, "-BD---",
	"Cannot start TLS: handshake failure (timeout)", "4.7.5"},
    {"no TLS in the handshake", false, GOOD, 0, {{"STARTTLS", 0, "!last 220 go\r\n250 what?"}}, "-BDD--",
	"Cannot start TLS", "4.7."},
    {"plain text behind the 220", false, GOOD, 0,
	{{"STARTTLS", 0, "220 go\r\n250-evil.test\r\n250 AUTH PLAIN"}}, "-BDD--",
	"Cannot start TLS: plain text behind the reply to STARTTLS", "4.7.0"},
    {"closed at EHLO in TLS", false, GOOD, 0, {{"EHLO", 2, "!close"}}, "-BDD--",
	"lost connection with mx.far.test[127.0.0.1] while performing the EHLO handshake", "4.4.2"},
    {"HELO alone", false, GOOD, 0, {{"EHLO", 0, "502 5.5.1 no"}}, "-PDD--",
	"TLS is required, but was not offered", "4.7.4"},
    {"EHLO refused in TLS: HELO", false, GOOD, 0, {{"EHLO", 2, "502 5.5.1 no"}}, "-TTTTT", NULL, NULL},
};

static char
what_became(const struct world *w, struct peer *p)
{
	const struct world_outcome *o = &w->outcomes[0];
	const char *commands = peer_commands(p), *mail = strstr(commands, "MAIL FROM"),
		   *last = strrchr(commands, '#');

	if (o->class == OUTCOME_DEFERRED)
		return mail ? '!' : 'D';
	if ((o->class != OUTCOME_DELIVERED && o->class != OUTCOME_RELAYED) || !mail || !last)
		return '?';
	if (mail < last)
		return '!';
	if (strstr(last, "(tls)"))
		return peer_connections(p) == 1 ? 'T' : '!';
	return peer_connections(p) == 1 ? 'P' : 'B';
}

static void
check_server(const struct server_row *row, int level)
{
	SSL_CTX *context = server_with(row->certificate, row->version);
	const struct peer_tls tls = {.context = context};
	struct peer *p =
	    row->no_tls ? peer_new("127.0.0.1", 0, row->rows) : peer_new_tls("127.0.0.1", 0, row->rows, &tls);
	char conf[500];
	struct world *w;
	const struct world_outcome *o;
	char got;

	/* The fingerprint is the good one's: at that level no other certificate will do. */
	snprintf(conf, sizeof(conf),
	    "smtp_tls_security_level = %s\nsmtp_tls_fingerprint_cert_match = %s\nsmtp_starttls_timeout = "
	    "%s\n",
	    levels[level], good_fingerprint, strcmp(row->why, silent) == 0 ? "1s" : "15s");
	w = world_for(conf);
	o = &w->outcomes[0];
	if (!world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}))
		fail_msg("%s at %s: no end", row->why, levels[level]);
	buf_append(&w->log, "", 1);
	peer_stop(p);
	got = what_became(w, p);
	if (got != row->want[level])
		fail_msg("%s at %s: %c instead of %c: %s %s; %s\n%s", row->why, levels[level], got,
		    row->want[level], o->status, o->text, peer_commands(p), buf_ptr(&w->log));
	if (got == 'D' &&
	    (!strstr(o->text, row->text) || strncmp(o->status, row->code, strlen(row->code)) != 0))
		fail_msg("%s at %s: %s %s", row->why, levels[level], o->status, o->text);
	if (got == 'T' && !strstr(buf_ptr(&w->log), " TLS connection established to mx.far.test[127.0.0.1]:"))
		fail_msg("%s at %s: %s", row->why, levels[level], buf_ptr(&w->log));
	world_free(&w);
	peer_free(&p);
	SSL_CTX_free(context);
}

static void
each_level_with_each_server(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(server_rows) / sizeof(server_rows[0]); i++)
		for (int level = 0; level < LEVELS; level++)
			if (server_rows[i].want[level] != '-')
				check_server(&server_rows[i], level);
}

/* ---- policies by destination ---- */

static void
tables_of_policies(void **state)
{
	static const struct {
		const char *why, *value, *code, *text;
		bool in_tls;
		unsigned connections;
	} rows[] = {
	    {"not found: the parameter", NULL, "2.0.0", "queued", true, 1},
	    {"none", "none", "2.0.0", "queued", false, 1},
	    {"secure", "secure", "2.0.0", "queued", true, 1},
	    {"secure, another name", "secure match=other.test", "4.7.5", "not verified", true, 1},
	    {"a mistake", "secur", "4.7.5",
		"client TLS configuration problem: smtp_tls_policy_maps: far.test:", false, 0},
	    {"a protocol that is none", "encrypt protocols=TLSv9", "4.7.5",
		"client TLS configuration problem: unknown TLS protocol", false, 1},
	    {"a grade that is none", "encrypt ciphers=best", "4.7.5",
		"client TLS configuration problem: unknown cipher grade", false, 1},
	    {"authorities that were not read", "secure tafile=/nowhere", "4.7.5", "tafile=/nowhere", false,
		1},
	    {"trouble", "!", "4.3.0", "TLS policy lookup error: smtp_tls_policy_maps: a broken table", false,
		0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct peer_row none[] = {{0}};
		const struct peer_tls tls = {.context = server_with(GOOD, 0)};
		struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
		struct world *w = world_for("smtp_tls_policy_maps = hash:/x\n");

		w->lookup_says = IPC_MAP_ANSWER;
		w->table_value = rows[i].value;
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
		if (strcmp(w->outcomes[0].status, rows[i].code) != 0 ||
		    !strstr(w->outcomes[0].text, rows[i].text))
			fail_msg("%s: %s %s", rows[i].why, w->outcomes[0].status, w->outcomes[0].text);
		world_free(&w);
		peer_stop(p);
		if (peer_connections(p) != rows[i].connections ||
		    (strstr(peer_commands(p), "(tls)") != NULL) != rows[i].in_tls)
			fail_msg("%s: %s", rows[i].why, peer_commands(p));
		peer_free(&p);
		SSL_CTX_free(tls.context);
	}
}

static void
fingerprints_of_certificates_and_keys(void **state)
{
	static const struct {
		const char *fingerprint;
		bool good;
	} rows[] = {{good_fingerprint, true}, {good_key_fingerprint, true}, {NULL, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct peer_row none[] = {{0}};
		const struct peer_tls tls = {.context = server_with(rows[i].good ? GOOD : WRONG_NAME, 0)};
		struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
		char conf[300];
		struct world *w;

		snprintf(conf, sizeof(conf),
		    "smtp_tls_security_level = fingerprint\nsmtp_tls_fingerprint_cert_match = %s\n",
		    rows[i].fingerprint ? rows[i].fingerprint : good_fingerprint);
		w = world_for(conf);
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
		assert_string_equal(w->outcomes[0].status, rows[i].good ? "2.0.0" : "4.7.5");
		world_free(&w);
		peer_free(&p);
		SSL_CTX_free(tls.context);
	}
}

/* A certificate for an address is as good as one for a name; one for a name is none for an address. */
static void
next_hops_that_are_addresses(void **state)
{
	static const struct {
		const char *level;
		enum certificate certificate;
		const char *status;
	} rows[] = {{"verify", ADDRESS, "2.0.0"}, {"secure", ADDRESS, "2.0.0"}, {"verify", GOOD, "4.7.5"},
	    {"secure match=far.test", GOOD, "2.0.0"}, {"secure match=far.test", ADDRESS, "4.7.5"}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct peer_row none[] = {{0}};
		const struct peer_tls tls = {.context = server_with(rows[i].certificate, 0)};
		struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
		struct world *w = world_for("smtp_tls_policy_maps = hash:/x\n");
		char nexthop[64];

		snprintf(nexthop, sizeof(nexthop), "[127.0.0.1]:%u", peer_port(p));
		w->lookup_says = IPC_MAP_ANSWER;
		w->table_value = rows[i].level;
		assert_true(world_deliver(w, &(struct world_mail){.nexthop = nexthop, .content = CONTENT}));
		if (strcmp(w->outcomes[0].status, rows[i].status) != 0)
			fail_msg(
			    "%s with %d: %s", rows[i].level, (int)rows[i].certificate, w->outcomes[0].text);
		world_free(&w);
		peer_free(&p);
		SSL_CTX_free(tls.context);
	}
}

static void
lmtp_in_tls(void **state)
{
	static const struct peer_row none[] = {{0}};
	const struct peer_tls tls = {.context = server_with(GOOD, 0)};
	static const struct {
		const char *settings, *commands;
	} rows[] = {
	    {"", "#|LHLO mx.here.test|MAIL FROM:<s@here.test>|RCPT TO:<r@far.test>|DATA|QUIT|"},
	    {"lmtp_tls_security_level = secure\nlmtp_tls_secure_cert_match = far.test\n",
		"#|LHLO mx.here.test|STARTTLS|(tls)|LHLO mx.here.test|MAIL FROM:<s@here.test>|RCPT "
		"TO:<r@far.test>|DATA|QUIT|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
		char conf[300], nexthop[64];
		struct world *w;

		snprintf(conf, sizeof(conf), "lmtp_tls_CAfile = %s\n%s", ca_file, rows[i].settings);
		snprintf(nexthop, sizeof(nexthop), "inet:[127.0.0.1]:%u", peer_port(p));
		w = world_for(conf);
		assert_true(world_deliver(
		    w, &(struct world_mail){.nexthop = nexthop, .transport = "lmtp", .content = CONTENT}));
		assert_string_equal(w->outcomes[0].status, "2.0.0");
		world_free(&w);
		peer_stop(p);
		assert_string_equal(peer_commands(p), rows[i].commands);
		peer_free(&p);
	}
	SSL_CTX_free(tls.context);
}

/* "-o" in transport_services, as in master.cf. */
static void
transports_with_parameters_of_their_own(void **state)
{
	static const struct peer_row none[] = {{0}};
	const struct peer_tls tls = {.context = server_with(GOOD, 0)};
	struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
	struct world *w = world_for("transport_services = { strict smtp -o smtp_tls_security_level=secure "
				    "-o smtp_helo_name=$service_name.$myhostname -o max_use=20 "
				    "-o smtp_send_xforward_command=no } \n"
				    "smtp_tls_security_level = may\n");

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
	assert_true(world_deliver(
	    w, &(struct world_mail){.nexthop = to_peer(p), .transport = "strict", .content = CONTENT}));
	assert_string_equal(w->outcomes[0].status, "2.0.0");
	world_free(&w);
	peer_stop(p);
	assert_string_equal(peer_commands(p),
	    "#|EHLO mx.here.test|STARTTLS|(tls)|EHLO mx.here.test|MAIL FROM:<s@here.test>|RCPT "
	    "TO:<r@far.test> ORCPT=rfc822;r@far.test|DATA|QUIT|#|EHLO "
	    "strict.mx.here.test|STARTTLS|(tls)|EHLO strict.mx.here.test|MAIL FROM:<s@here.test>|RCPT "
	    "TO:<r@far.test> ORCPT=rfc822;r@far.test|DATA|QUIT|");
	peer_free(&p);
	SSL_CTX_free(tls.context);
}

/* RFC 3207, 4.2: what was said in plain text is forgotten. */
static void
keywords_from_before_do_not_count(void **state)
{
	static const struct peer_row rows[] = {
	    {"EHLO", 1, "250-peer.test\r\n250-SIZE 5\r\n250-DSN\r\n250 STARTTLS"},
	    {"EHLO", 0, "250-peer.test\r\n250 SIZE 1000"}, {0}};
	const struct peer_tls tls = {.context = server_with(GOOD, 0)};
	struct peer *p = peer_new_tls("127.0.0.1", 0, rows, &tls);
	struct world *w = world_for("");

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
	assert_string_equal(w->outcomes[0].status, "2.0.0");
	assert_int_equal(w->outcomes[0].class, OUTCOME_RELAYED);
	world_free(&w);
	peer_stop(p);
	assert_string_equal(peer_commands(p), "#|EHLO mx.here.test|STARTTLS|(tls)|EHLO mx.here.test|MAIL "
					      "FROM:<s@here.test> SIZE=20|RCPT TO:<r@far.test>|DATA|QUIT|");
	peer_free(&p);
	SSL_CTX_free(tls.context);
}

/* Not even where HELO names none in their place. */
static void
keywords_from_before_do_not_count_with_helo(void **state)
{
	static const struct peer_row rows[] = {
	    {"EHLO", 1, "250-peer.test\r\n250-SIZE 5\r\n250 STARTTLS"}, {"EHLO", 0, "502 5.5.1 no"}, {0}};
	const struct peer_tls tls = {.context = server_with(GOOD, 0)};
	struct peer *p = peer_new_tls("127.0.0.1", 0, rows, &tls);
	struct world *w = world_for("");

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
	assert_string_equal(w->outcomes[0].status, "2.0.0");
	world_free(&w);
	peer_free(&p);
	SSL_CTX_free(tls.context);
}

/* CVE-2009-3555: who prepended commands to our session has their replies come too early. */
static void
replies_that_come_too_early(void **state)
{
	static const struct peer_row rows[] = {
	    {"EHLO", 2, "250-peer.test\r\n250 PIPELINING\r\n250 2.1.0 Ok"}, {0}};
	const struct peer_tls tls = {.context = server_with(GOOD, 0)};
	struct peer *p = peer_new_tls("127.0.0.1", 0, rows, &tls);
	struct world *w = world_for("smtp_tls_block_early_mail_reply = yes\n");

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
	assert_string_equal(w->outcomes[0].status, "4.7.0");
	assert_string_equal(w->outcomes[0].text, "unexpected server message");
	world_free(&w);
	peer_stop(p);
	assert_null(strstr(peer_commands(p), "MAIL"));
	peer_free(&p);
	SSL_CTX_free(tls.context);
}

/* RFC 8314: port 465. */
static void
tls_from_the_first_octet(void **state)
{
	static const struct peer_row none[] = {{0}};
	const struct peer_tls tls = {.context = server_with(GOOD, 0), .wrapper = true};
	struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
	struct world *w = world_for("smtp_tls_wrappermode = yes\nsmtp_tls_security_level = secure\n");

	(void)state;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
	assert_string_equal(w->outcomes[0].status, "2.0.0");
	world_free(&w);
	peer_stop(p);
	assert_string_equal(peer_commands(p), "#|(tls)|EHLO mx.here.test|MAIL FROM:<s@here.test>|RCPT "
					      "TO:<r@far.test> ORCPT=rfc822;r@far.test|DATA|QUIT|");
	peer_free(&p);
	w = world_for("smtp_tls_wrappermode = yes\n");
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = "far.test", .content = CONTENT}));
	assert_non_null(strstr(w->outcomes[0].text, "requires \"smtp_tls_security_level = encrypt\""));
	world_free(&w);
	SSL_CTX_free(tls.context);
}

/* Another exchanger may be in order. */
static void
the_next_host_is_tried(void **state)
{
	static const struct dns_row two[] = {{"far.test", DNS_TYPE_MX, DNS_OK, "10 mx.far.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "20 mx2.far.test"},
	    {"mx.far.test", DNS_TYPE_A, DNS_OK, "127.0.0.1"},
	    {"mx2.far.test", DNS_TYPE_A, DNS_OK, "127.0.0.2"}, {0}};
	static const struct peer_row none[] = {{0}};
	const struct peer_tls bad = {.context = server_with(SELF_SIGNED, 0)},
			      good = {.context = server_with(GOOD, 0)};
	struct peer *first = peer_new_tls("127.0.0.1", 0, none, &bad),
		    *second = peer_new_tls("127.0.0.2", peer_port(first), none, &good);
	struct world *w = world_for("smtp_tls_security_level = secure\n");

	(void)state;
	w->dns = two;
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(first), .content = CONTENT}));
	assert_string_equal(w->outcomes[0].status, "2.0.0");
	assert_non_null(strstr(w->outcomes[0].relay, "mx2.far.test[127.0.0.2]"));
	world_free(&w);
	peer_stop(first);
	assert_null(strstr(peer_commands(first), "MAIL"));
	peer_free(&first);
	peer_free(&second);
	SSL_CTX_free(bad.context);
	SSL_CTX_free(good.context);
}

static void
a_watched_conversation_shows_tls(void **state)
{
	static const struct peer_row none[] = {{0}};
	const struct peer_tls tls = {.context = server_with(GOOD, 0)};
	struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
	struct world *w = world_for("smtp_tls_security_level = secure\n");

	(void)state;
	assert_true(world_deliver(
	    w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT, .flags = MAIL_TRACE}));
	buf_append(&w->trace, "", 1);
	assert_non_null(
	    strstr(buf_ptr(&w->trace), ">>> STARTTLS\n220 2.0.0 go\nVerified TLS connection established to "
				       "mx.far.test[127.0.0.1]:"));
	assert_non_null(strstr(buf_ptr(&w->trace), "TLSv1.3 with cipher "));
	world_free(&w);
	peer_free(&p);
	SSL_CTX_free(tls.context);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_level_with_each_server),
	    cmocka_unit_test(tables_of_policies),
	    cmocka_unit_test(fingerprints_of_certificates_and_keys),
	    cmocka_unit_test(next_hops_that_are_addresses),
	    cmocka_unit_test(lmtp_in_tls),
	    cmocka_unit_test(transports_with_parameters_of_their_own),
	    cmocka_unit_test(keywords_from_before_do_not_count),
	    cmocka_unit_test(keywords_from_before_do_not_count_with_helo),
	    cmocka_unit_test(replies_that_come_too_early),
	    cmocka_unit_test(tls_from_the_first_octet),
	    cmocka_unit_test(the_next_host_is_tried),
	    cmocka_unit_test(a_watched_conversation_shows_tls),
	};

	return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
