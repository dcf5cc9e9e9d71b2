#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "delivery/smtp/job.h"
#include "tests/unit/delivery/peer.h"
#include "tests/unit/delivery/world.h"

#define CONTENT SPAN_LIT("Subject: x\r\n\r\nbody\r\n")

static const char *const settings = "myhostname = mx.here.test\nsmtp_helo_timeout = 5s\n"
				    "smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/x\n"
				    "smtp_sasl_security_options = noanonymous\n";

/* A refused token is looked for once more. Half a reply that comes meanwhile says nothing of it. */
static void
a_refusal_stays_what_it_was(void **state)
{
	static const struct {
		const char *why, *conf, *status;
		struct peer_row rows[3];
	} rows[] = {
	    {"alone", "", "4.7.8", {{"EHLO", 0, "250-p\r\n250 AUTH XOAUTH2"}, {"AUTH", 0, "535 5.7.8 no"}}},
	    {"for good", "smtp_sasl_auth_soft_bounce = no\n", "5.7.8",
		{{"EHLO", 0, "250-p\r\n250 AUTH XOAUTH2"}, {"AUTH", 0, "535 5.7.8 no"}}},
	    {"half a yes behind it", "", "4.7.8",
		{{"EHLO", 0, "250-p\r\n250 AUTH XOAUTH2"}, {"AUTH", 0, "535 5.7.8 no\r\n250-come in"}}},
	    {"a whole yes behind it", "", "4.5.0",
		{{"EHLO", 0, "250-p\r\n250 AUTH XOAUTH2"}, {"AUTH", 0, "535 5.7.8 no\r\n250 come in"}}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *p = peer_new("127.0.0.1", 0, rows[i].rows);
		char conf[1000];
		struct world *w;

		snprintf(conf, sizeof(conf), "%s%s", settings, rows[i].conf);
		w = world_new(conf);
		w->lookup_says = IPC_MAP_ANSWER;
		w->table_value = "me:{BEARER}token";
		assert_true(
		    world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT}));
		if (strcmp(w->outcomes[0].status, rows[i].status) != 0)
			fail_msg("%s: %s %s", rows[i].why, w->outcomes[0].status, w->outcomes[0].text);
		world_free(&w);
		peer_stop(p);
		if (strstr(peer_commands(p), "MAIL"))
			fail_msg("%s: %s", rows[i].why, peer_commands(p));
		peer_free(&p);
	}
}

/* Also what was sent before the last thing that was sent. */
static void
what_the_server_repeats_is_blotted(void **state)
{
	/* user=me^Aauth=Bearer token^A^A */
	static const struct peer_row rows[] = {{"GREETING", 0, "220 p"},
	    {"EHLO", 0, "250-p\r\n250 AUTH XOAUTH2"}, {"AUTH", 0, "334 e30="},
	    {"", 0, "535 5.7.8 dXNlcj1tZQFhdXRoPUJlYXJlciB0b2tlbgEB dG9rZW4= token"}, {0}};
	struct peer *p = peer_new("127.0.0.1", 0, rows);
	struct world *w = world_new(settings);

	(void)state;
	w->lookup_says = IPC_MAP_ANSWER;
	w->table_value = "me:{BEARER}token";
	assert_true(world_deliver(w, &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT}));
	if (!strstr(
		w->outcomes[0].text, "said: 535 5.7.8 ************************************ ******** *****"))
		fail_msg("%s", w->outcomes[0].text);
	world_free(&w);
	peer_stop(p);
	assert_non_null(strstr(peer_commands(p), "dXNlcj1tZQFhdXRoPUJlYXJlciB0b2tlbgEB"));
	peer_free(&p);
}

/* Whatever lookup says or leaves unsaid when it is asked for a login or a policy: later, and the job ends once. */
static void
lookup_makes_no_sense(void **state)
{
	static const char *const tables[] = {"", "smtp_tls_policy_maps = hash:/x\n"};
	static const enum ipc_type says[] = {0, IPC_CHECK_HIT, IPC_CHECK_DONE, IPC_REWRITE_DONE};
	static const struct peer_row auth[] = {{"EHLO", 0, "250-p\r\n250 AUTH PLAIN"}, {0}};

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		struct peer *p = peer_new("127.0.0.1", 0, auth);
		bool queue_dies = i & 1;
		char conf[1000];
		struct world *w;

		snprintf(conf, sizeof(conf), "%s%s", settings, tables[i / 2 % 2]);
		w = world_new(conf);
		w->lookup_says = says[i / 4];
		world_send(w, &(struct world_mail){.nexthop = peer_nexthop(p), .content = CONTENT});
		world_turn(w, 50);
		if (queue_dies)
			world_lose_queue(w);
		ipc_channel_close(&w->lookup_there);
		if (!queue_dies) {
			assert_true(world_wait(w, 1));
			assert_int_equal(w->outcomes[0].class, OUTCOME_DEFERRED);
			assert_string_equal(w->outcomes[0].status, "4.3.0");
		}
		assert_int_equal(jobs_count(w->agent.jobs), 0);
		world_free(&w);
		peer_free(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_refusal_stays_what_it_was),
	    cmocka_unit_test(what_the_server_repeats_is_blotted),
	    cmocka_unit_test(lookup_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
