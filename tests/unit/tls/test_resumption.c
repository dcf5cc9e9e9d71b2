/*
 * Tickets: they resume across processes and versions, on the listener that issued them and nowhere else.
 */
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tls/fixture.h"

/* A full handshake; the client then has a session. */
static void
first(struct world *w, struct tls_settings *s, struct tls_settings *c)
{
	s->tickets = c->tickets = true;
	world_shake(w, s, c, NULL);
	assert_true(w->client.ok && w->server.ok);
	assert_false(tls_facts(w->client.stream)->resumed);
	assert_int_equal(w->client.tickets, 1);
}

static bool
again(struct world *w, struct tls_settings *s, struct tls_settings *c)
{
	struct tls_plan plan = {0};
	char copy[16384];

	assert_true(w->client.ticket.len < sizeof(copy));
	memcpy(copy, buf_ptr(&w->client.ticket), w->client.ticket.len);
	plan.resume = span_make(copy, w->client.ticket.len);
	world_shake(w, s, c, &plan);
	assert_true(w->client.ok && w->server.ok);
	assert_int_equal(tls_facts(w->client.stream)->resumed, tls_facts(w->server.stream)->resumed);
	return tls_facts(w->server.stream)->resumed;
}

static void
resumes(void **state)
{
	struct world *w = *state;
	const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	world_ticket_keys(w, 'a', 0);
	for (int i = 0; i < 2; i++) {
		struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

		c.protocols.ceiling = versions[i];
		w->asked = 0;
		first(w, &s, &c);
		assert_int_equal(w->asked, 1);
		/* A new context stands for another process: all it has in common are the ticket keys. */
		assert_true(again(w, &s, &c));
		assert_int_equal(w->asked, 1);
		assert_true(again(w, &s, &c));
		assert_string_equal(tls_facts(w->client.stream)->subject_common_name, "mx.example");
	}
}

/* A client that uses each ticket once always has another one. */
static void
each_ticket_of_1_3_has_a_successor(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_ticket_keys(w, 'a', 0);
	first(w, &s, &c);
	for (int i = 0; i < 3; i++) {
		w->client.tickets = 0;
		assert_true(again(w, &s, &c));
		assert_int_equal(w->client.tickets, 1);
	}
}

/* Successors do not make a session live longer than its full handshake allows. */
static void
a_session_ends(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	int resumed = 0;

	s.ticket_lifetime_s = 2;
	world_ticket_keys(w, 'a', 0);
	first(w, &s, &c);
	do {
		assert_true(++resumed < 20);
		usleep(500000);
	} while (again(w, &s, &c));
	assert_in_range(resumed, 3, 7);
}

static void
not_on_another_listener(void **state)
{
	struct world *w = *state;
	const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_ec, NULL, 0);
	world_identity(w, "submission", "", IDENTITY_SERVER, &server_ec, NULL, 0);
	world_identities_end(w);
	world_ticket_keys(w, 'a', 0);
	for (int i = 0; i < 2; i++) {
		struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

		c.protocols.ceiling = versions[i];
		first(w, &s, &c);
		s.section = "submission";
		assert_false(again(w, &s, &c));
	}
}

static bool
again_as(struct world *w, struct tls_settings *s, struct tls_settings *c, const char *name)
{
	struct buf copy;
	bool resumed;

	buf_init(&copy, 16384);
	buf_append_span(&copy, buf_span(&w->client.ticket));
	world_shake(w, s, c, &(struct tls_plan){.name = name, .resume = buf_span(&copy)});
	buf_free(&copy);
	assert_true(w->client.ok && w->server.ok);
	resumed = tls_facts(w->server.stream)->resumed;
	if (name && span_is_nocase(span_of(name), "mail.example"))
		assert_true(span_is_nocase(span_of(tls_facts(w->server.stream)->name), name));
	else
		assert_string_equal(tls_facts(w->server.stream)->name, "");
	return resumed;
}

/* RFC 6066, 3; and RFC 8446, 4.6.1. Also where the first name, or the second, is one that has no certificate of its own. */
static void
not_under_another_name(void **state)
{
	struct world *w = *state;
	const char *const names[] = {"mail.example", "other.example", "elsewhere.example", NULL};
	const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_ec, NULL, 0);
	world_identity(w, "smtp", "mail.example", IDENTITY_SERVER, &server_rsa, NULL, 0);
	world_identities_end(w);
	world_ticket_keys(w, 'a', 0);
	for (int i = 0; i < 2; i++)
		for (int one = 0; one < 4; one++)
			for (int other = 0; other < 4; other++) {
				struct tls_settings s = world_settings(TLS_SERVER),
						    c = world_settings(TLS_CLIENT);

				s.tickets = c.tickets = true;
				c.protocols.ceiling = versions[i];
				world_shake(w, &s, &c, &(struct tls_plan){.name = names[one]});
				assert_false(tls_facts(w->server.stream)->resumed);
				assert_int_equal(again_as(w, &s, &c, names[other]),
				    one == other || versions[i] == TLS1_3_VERSION);
				/* Whatever came of it, the client's newest session goes on. */
				assert_true(again_as(w, &s, &c, other == 0 ? "MAIL.example" : names[other]));
			}
}

/* A client's certificate was judged by other authorities, or not at all: the verdict must not come back. */
static void
not_under_other_demands(void **state)
{
	struct world *w = *state;
	struct tls_trust *trust = fixture_trust(), *same = fixture_trust(), *nobody = tls_trust_new();
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_identity(w, "smtp", "", IDENTITY_SERVER, &server_ec, NULL, 0);
	world_identity(w, "", "", IDENTITY_CLIENT, &client_ec, NULL, 0);
	world_identities_end(w);
	world_ticket_keys(w, 'a', 0);
	s.ask = TLS_ASK_CERTIFICATE;
	s.trust = trust;
	c.client_identity = true;
	first(w, &s, &c);
	assert_int_equal(tls_facts(w->server.stream)->standing, TLS_TRUSTED);
	s.trust = same;
	assert_true(again(w, &s, &c));
	assert_int_equal(tls_facts(w->server.stream)->standing, TLS_TRUSTED);
	s.trust = nobody;
	assert_false(again(w, &s, &c));
	assert_int_equal(tls_facts(w->server.stream)->standing, TLS_UNTRUSTED);
	first(w, &s, &c);
	s.ask = TLS_ASK_NOTHING;
	assert_false(again(w, &s, &c));
	assert_int_equal(tls_facts(w->server.stream)->standing, TLS_ANONYMOUS);
	/* A file that has an authority twice is not one that has none. */
	fixture_trust_also(same, &authority);
	s.ask = TLS_ASK_CERTIFICATE;
	s.trust = same;
	first(w, &s, &c);
	s.trust = nobody;
	assert_false(again(w, &s, &c));
	assert_int_equal(tls_facts(w->server.stream)->standing, TLS_UNTRUSTED);
	tls_trust_free(&trust);
	tls_trust_free(&same);
	tls_trust_free(&nobody);
}

static void
keys_rotate(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_ticket_keys(w, 'a', 0);
	first(w, &s, &c);
	world_ticket_keys(w, 'b', 'a');
	assert_true(again(w, &s, &c));
	/* The client was given one under the new key. */
	world_ticket_keys(w, 'c', 'b');
	assert_true(again(w, &s, &c));
	world_ticket_keys(w, 'd', 'e');
	assert_false(again(w, &s, &c));
}

static void
no_ticket_without_keys(void **state)
{
	struct world *w = *state;
	const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (int i = 0; i < 2; i++) {
		struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

		c.protocols.ceiling = versions[i];
		s.tickets = c.tickets = true;
		world_shake(w, &s, &c, NULL);
		assert_true(w->client.ok && w->server.ok);
		assert_int_equal(w->client.tickets, 0);
	}
}

static void
sessions_that_are_none(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	static char long_one[70000];

	world_ticket_keys(w, 'a', 0);
	first(w, &s, &c);
	world_shake(w, &s, &c, &(struct tls_plan){.resume = SPAN_LIT("0nonsense")});
	assert_true(w->client.ok && w->server.ok);
	world_shake(w, &s, &c, &(struct tls_plan){.resume = {long_one, sizeof(long_one)}});
	assert_true(w->client.ok && w->server.ok);
	/* A ticket that was changed on the way is no reason to fail either. */
	buf_ptr(&w->client.ticket)[w->client.ticket.len / 2] ^= 1;
	(void)again(w, &s, &c);
}

static void
closed_by_the_owner_when_it_comes(void **state)
{
	struct world *w = *state;
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);

	world_ticket_keys(w, 'a', 0);
	s.tickets = c.tickets = true;
	w->client.close_in_ticket = true;
	world_shake(w, &s, &c, NULL);
	assert_true(w->client.ok);
	assert_null(w->client.stream);
	assert_int_equal(w->client.tickets, 1);
}

/* The verdict on the certificate comes back with the session. */
static void
who_the_peer_is_comes_back(void **state)
{
	struct world *w = *state;
	struct tls_trust *trust = fixture_trust();
	struct tls_settings s = world_settings(TLS_SERVER), c = world_settings(TLS_CLIENT);
	const char *names[] = {"mx.example"};
	struct tls_plan plan = {.names = names, .name_count = 1};

	world_ticket_keys(w, 'a', 0);
	s.tickets = c.tickets = true;
	c.trust = trust;
	world_shake(w, &s, &c, &plan);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_VERIFIED);
	plan.resume = buf_span(&w->client.ticket);
	world_shake(w, &s, &c, &plan);
	assert_true(tls_facts(w->client.stream)->resumed);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_VERIFIED);

	c.trust = NULL;
	world_shake(w, &s, &c, NULL);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_UNTRUSTED);
	plan.resume = buf_span(&w->client.ticket);
	world_shake(w, &s, &c, &plan);
	assert_true(tls_facts(w->client.stream)->resumed);
	assert_int_equal(tls_facts(w->client.stream)->standing, TLS_UNTRUSTED);
	tls_trust_free(&trust);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(resumes),
	    TEST(each_ticket_of_1_3_has_a_successor),
	    TEST(a_session_ends),
	    TEST(not_on_another_listener),
	    TEST(not_under_another_name),
	    TEST(not_under_other_demands),
	    TEST(keys_rotate),
	    TEST(no_ticket_without_keys),
	    TEST(sessions_that_are_none),
	    TEST(closed_by_the_owner_when_it_comes),
	    TEST(who_the_peer_is_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
