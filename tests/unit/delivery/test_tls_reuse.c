#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/dns/dns.h"
#include "delivery/smtp/tls_client.h"
#include "delivery/smtp/transport_conf.h"
#include "tests/unit/delivery/tls_fixture.h"

/* ---- connections and sessions that are used again ---- */

/* A table that changes between two messages: the second must not go over the first one's connection. */
static void
connections_are_shared_under_one_policy_alone(void **state)
{
	static const struct {
		const char *why, *first, *second;
		unsigned connections;
	} rows[] = {
	    {"the same", "encrypt", "encrypt", 1},
	    {"plain, then encrypted", "none", "encrypt", 2},
	    {"encrypted, then plain", "encrypt", "none", 2},
	    {"anybody, then one", "encrypt", "secure", 2},
	    {"one name, then another", "secure match=far.test", "secure match=mx.far.test", 2},
	    {"the same names", "secure match=far.test", "secure match=far.test", 1},
	    {"not to be kept", "encrypt connection_reuse=no", "encrypt connection_reuse=no", 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct peer_row none[] = {{0}};
		const struct peer_tls tls = {.context = server_with(GOOD, 0)};
		struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
		struct world *w =
		    world_for("smtp_tls_policy_maps = hash:/x\nsmtp_connection_cache_time_limit = 1s\n");

		w->lookup_says = IPC_MAP_ANSWER;
		w->table_value = rows[i].first;
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
		assert_string_equal(w->outcomes[0].status, "2.0.0");
		w->table_value = rows[i].second;
		/* The peer serves one after the other: it comes to the second when the first has gone. */
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
		assert_string_equal(w->outcomes[0].status, "2.0.0");
		world_free(&w);
		peer_stop(p);
		if (peer_connections(p) != rows[i].connections)
			fail_msg("%s: %s", rows[i].why, peer_commands(p));
		peer_free(&p);
		SSL_CTX_free(tls.context);
	}
}

static void
sessions_are_resumed_under_one_policy_alone(void **state)
{
	static const struct {
		const char *why, *settings, *first, *second;
		int version;
		bool again;
	} rows[] = {
	    {"TLS 1.3", "", "encrypt", "encrypt", TLS1_3_VERSION, true},
	    {"TLS 1.2", "", "encrypt", "encrypt", TLS1_2_VERSION, true},
	    {"verified", "", "secure", "secure", TLS1_3_VERSION, true},
	    {"not verified, then to be", "", "may", "secure", TLS1_3_VERSION, false},
	    {"another SNI", "", "may", "may servername=hostname", TLS1_3_VERSION, false},
	    {"switched off", "smtp_tls_session_cache_timeout = 0\n", "encrypt", "encrypt", TLS1_3_VERSION,
		false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct peer_row none[] = {{0}};
		const struct peer_tls tls = {.context = server_with(GOOD, rows[i].version)};
		struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
		char conf[300];
		struct world *w;

		SSL_CTX_set_session_id_context(tls.context, (const unsigned char *)"peer", 4);
		snprintf(conf, sizeof(conf),
		    "smtp_tls_policy_maps = hash:/x\nsmtp_tls_connection_reuse = no\n%s", rows[i].settings);
		w = world_for(conf);
		w->lookup_says = IPC_MAP_ANSWER;
		w->table_value = rows[i].first;
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
		w->table_value = rows[i].second;
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
		assert_string_equal(w->outcomes[0].status, "2.0.0");
		world_free(&w);
		peer_stop(p);
		if ((strstr(peer_commands(p), "(tls again)") != NULL) != rows[i].again)
			fail_msg("%s: %s", rows[i].why, peer_commands(p));
		peer_free(&p);
		SSL_CTX_free(tls.context);
	}
}

/* ---- what breaks later ---- */

/* Postfix's rule: only mail that has waited goes out in plain for a transaction that broke in TLS. */
static void
transactions_that_break_in_tls(void **state)
{
	static const struct {
		const char *why, *level;
		struct peer_row rows[3];
		int64_t waited_s;
		const char *status;
		unsigned connections;
	} rows[] = {
	    {"new mail waits", "may", {{"MAIL", 1, "!close"}}, 0, "4.4.2", 1},
	    {"mail that has waited goes", "may", {{"MAIL", 1, "!close"}}, 1000, "2.0.0", 2},
	    {"behind DATA too", "may", {{"DATA", 1, "!close"}}, 1000, "2.0.0", 2},
	    {"never behind the final dot", "may", {{"DOT", 1, "!close"}}, 1000, "4.4.2", 1},
	    {"never where TLS must be", "encrypt", {{"MAIL", 1, "!close"}}, 1000, "4.4.2", 1},
	    {"once", "may", {{"MAIL", 0, "!close"}}, 1000, "4.4.2", 2},
	    {"a 421 is an answer", "may", {{"MAIL", 1, "!last 421 4.3.2 bye"}}, 1000, "4.3.2", 1},
	    {"a refusal is one", "may", {{"MAIL", 1, "550 5.7.1 no"}}, 1000, "5.7.1", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct peer_tls tls = {.context = server_with(GOOD, 0)};
		struct peer *p = peer_new_tls("127.0.0.1", 0, rows[i].rows, &tls);
		char conf[100];
		struct world *w;

		snprintf(conf, sizeof(conf), "smtp_tls_security_level = %s\n", rows[i].level);
		w = world_for(conf);
		assert_true(world_deliver(w, &(struct world_mail){.nexthop = to_peer(p),
						 .content = CONTENT,
						 .waited_us = rows[i].waited_s * US_PER_SECOND}));
		if (strcmp(w->outcomes[0].status, rows[i].status) != 0)
			fail_msg("%s: %s %s", rows[i].why, w->outcomes[0].status, w->outcomes[0].text);
		world_free(&w);
		peer_stop(p);
		if (peer_connections(p) != rows[i].connections)
			fail_msg("%s: %s", rows[i].why, peer_commands(p));
		peer_free(&p);
		SSL_CTX_free(tls.context);
	}
}

/* A relay host that takes mail from who logs in would refuse it for ever in plain text. */
static void
no_way_around_tls_where_there_is_a_login(void **state)
{
	static const struct peer_row closing[] = {{"STARTTLS", 0, "!close"}, {0}},
				     refusing[] = {{"STARTTLS", 0, "454 4.7.0 not now"}, {0}};
	static const struct {
		const char *login, *status;
		const struct peer_row *rows;
	} rows[] = {{"me:secret", "4.7.5", closing}, {NULL, "2.0.0", closing},
	    {"me:secret", "4.7.5", refusing}, {NULL, "2.0.0", refusing}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct peer_tls tls = {.context = server_with(GOOD, 0)};
		struct peer *p = peer_new_tls("127.0.0.1", 0, rows[i].rows, &tls);
		struct world *w =
		    world_for("smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/x\n");

		w->lookup_says = IPC_MAP_ANSWER;
		w->table_value = rows[i].login;
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = to_peer(p), .content = CONTENT}));
		if (strcmp(w->outcomes[0].status, rows[i].status) != 0)
			fail_msg("%s: %s", rows[i].status, w->outcomes[0].text);
		world_free(&w);
		peer_stop(p);
		assert_int_equal(strstr(peer_commands(p), "MAIL") != NULL, rows[i].login == NULL);
		peer_free(&p);
		SSL_CTX_free(tls.context);
	}
}

/* A host that is tried with TLS and without is one of smtp_mx_session_limit: the next one gets its chance. */
static void
the_second_try_is_no_second_host(void **state)
{
	static const struct dns_row two[] = {{"far.test", DNS_TYPE_MX, DNS_OK, "10 mx.far.test"},
	    {"far.test", DNS_TYPE_MX, DNS_OK, "20 mx2.far.test"},
	    {"mx.far.test", DNS_TYPE_A, DNS_OK, "127.0.0.1"},
	    {"mx2.far.test", DNS_TYPE_A, DNS_OK, "127.0.0.2"}, {0}};
	static const struct peer_row none[] = {{0}};
	static const struct {
		const char *why;
		struct peer_row rows[3];
	} rows[] = {
	    {"in the handshake", {{"STARTTLS", 0, "!close"}, {"RCPT", 0, "450 4.2.0 later"}}},
	    {"in the transaction", {{"MAIL", 1, "!close"}, {"RCPT", 0, "450 4.2.0 later"}}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct peer_tls tls = {.context = server_with(GOOD, 0)};
		struct peer *first = peer_new_tls("127.0.0.1", 0, rows[i].rows, &tls),
			    *second = peer_new_tls("127.0.0.2", peer_port(first), none, &tls);
		struct world *w = world_for("smtp_mx_session_limit = 2\n");

		w->dns = two;
		assert_true(world_deliver(w,
		    &(struct world_mail){
			.nexthop = to_peer(first), .content = CONTENT, .waited_us = 1000 * US_PER_SECOND}));
		if (strcmp(w->outcomes[0].status, "2.0.0") != 0)
			fail_msg("%s: %s", rows[i].why, w->outcomes[0].text);
		assert_non_null(strstr(w->outcomes[0].relay, "mx2.far.test[127.0.0.2]"));
		world_free(&w);
		peer_stop(first);
		assert_int_equal(peer_connections(first), 2);
		peer_free(&first);
		peer_free(&second);
		SSL_CTX_free(tls.context);
	}
}

/* ---- authorities ---- */

static void
write_file(const char *path, const struct party *who, size_t count)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(PEM_write_X509(f, who[i].certificate), 1);
	assert_int_equal(fclose(f), 0);
}

static const char *
status_of(struct world *w, const struct peer *p, const char *transport)
{
	assert_true(world_deliver(
	    w, &(struct world_mail){.nexthop = to_peer(p), .transport = transport, .content = CONTENT}));
	return w->outcomes[0].status;
}

/* Reads its authorities, as delivery does when it starts. */
static void
load_transport(struct world *w, const char *name)
{
	struct transport_service service;
	struct error err;
	struct conf *own;

	transport_service_find(w->agent.conf->values, span_of(name), &service);
	own = transport_conf(w->agent.transports, w->agent.conf, &service, &err);
	assert_non_null(own);
	tls_client_load(w->agent.tls, own);
	conf_unref(&own);
}

/*
 * The same file means one thing as smtp_tls_trust_anchor_file, where whoever stands in it is believed, and another as
 * smtp_tls_CAfile, where that takes a root. Read anew it means the same.
 */
static void
trust_anchors_that_are_no_roots(void **state)
{
	static const struct peer_row none[] = {{0}};
	struct party middle = party_new(&(struct wish){.kind = "EC P-256",
	    .common_name = "Middle",
	    .issuer = &authority,
	    .from_s = -DAY,
	    .to_s = DAY,
	    .authority = 1});
	struct party server = party_new(&(struct wish){
	    .kind = "EC P-256", .names = "DNS:far.test", .issuer = &middle, .from_s = -DAY, .to_s = DAY});
	const struct party both[2] = {middle, server};
	const struct peer_tls tls = {.context = SSL_CTX_new(TLS_server_method())};
	char path[] = "/tmp/tls-anchors-XXXXXX", conf[500];
	struct peer *p = peer_new_tls("127.0.0.1", 0, none, &tls);
	struct world *w;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	SSL_CTX_use_certificate(tls.context, server.certificate);
	SSL_CTX_use_PrivateKey(tls.context, server.key);
	write_file(path, both, 1);
	snprintf(conf, sizeof(conf),
	    "smtp_tls_security_level = secure\nsmtp_tls_trust_anchor_file = %s\nsmtp_tls_connection_reuse = "
	    "no\n"
	    "transport_services = { roots smtp -o smtp_tls_trust_anchor_file= -o smtp_tls_CAfile=%s }\n",
	    path, path);
	w = world_for(conf);
	assert_string_equal(status_of(w, p, NULL), "2.0.0");
	load_transport(w, "roots");
	assert_string_equal(status_of(w, p, "roots"), "4.7.5");
	write_file(path, both, 2);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	tls_client_file_changed(w->agent.tls, path, fd);
	close(fd);
	assert_string_equal(status_of(w, p, NULL), "2.0.0");
	assert_string_equal(status_of(w, p, "roots"), "4.7.5");
	world_free(&w);
	unlink(path);
	peer_free(&p);
	SSL_CTX_free(tls.context);
	party_free(&middle);
	party_free(&server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(connections_are_shared_under_one_policy_alone),
	    cmocka_unit_test(sessions_are_resumed_under_one_policy_alone),
	    cmocka_unit_test(transactions_that_break_in_tls),
	    cmocka_unit_test(no_way_around_tls_where_there_is_a_login),
	    cmocka_unit_test(the_second_try_is_no_second_host),
	    cmocka_unit_test(trust_anchors_that_are_no_roots),
	};

	return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
