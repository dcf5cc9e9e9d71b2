#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
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
	static const struct {
		const char *login, *status;
	} rows[] = {{"me:secret", "4.7.5"}, {NULL, "2.0.0"}};
	static const struct peer_row closing[] = {{"STARTTLS", 0, "!close"}, {0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct peer_tls tls = {.context = server_with(GOOD, 0)};
		struct peer *p = peer_new_tls("127.0.0.1", 0, closing, &tls);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(connections_are_shared_under_one_policy_alone),
	    cmocka_unit_test(sessions_are_resumed_under_one_policy_alone),
	    cmocka_unit_test(transactions_that_break_in_tls),
	    cmocka_unit_test(no_way_around_tls_where_there_is_a_login),
	};

	return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
