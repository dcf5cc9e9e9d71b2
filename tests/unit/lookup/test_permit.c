/* Who of this host's users may send mail, and as whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "services/lookup/engine/route.h"
#include "tests/unit/lookup/base.h"

/* getpwuid_r() knows the first everywhere, and the second nowhere. */
#define ROOT 0u
#define NOBODY_AT_ALL 4200000001u

static void
users_and_their_senders(void **state)
{
	static const char refused[] = "5.7.1 User root(0) is not allowed to submit mail",
			  unknown[] = "5.7.1 User unknown(4200000001) is not allowed to submit mail";
	static const struct {
		const char *config;
		uint32_t uid;
		const char *sender;
		enum lookup_status want;
		const char *said; /* the begin of reason, or of trouble */
	} rows[] = {
	    {"", ROOT, "any@x.test", LOOKUP_FOUND, ""},
	    {"", NOBODY_AT_ALL, "", LOOKUP_FOUND, ""},
	    {"authorized_submit_users = !root, static:all\n", ROOT, "a@x.test", LOOKUP_NOT_FOUND, refused},
	    {"authorized_submit_users = ROOT\n", ROOT, "a@x.test", LOOKUP_FOUND, ""},
	    {"authorized_submit_users = daemon\n", ROOT, "a@x.test", LOOKUP_NOT_FOUND, refused},
	    {"authorized_submit_users =\n", ROOT, "a@x.test", LOOKUP_NOT_FOUND, refused},
	    {"authorized_submit_users = root\n", NOBODY_AT_ALL, "a@x.test", LOOKUP_NOT_FOUND, unknown},
	    {"authorized_submit_users = unknown\n", NOBODY_AT_ALL, "a@x.test", LOOKUP_FOUND, ""},
	    {"authorized_submit_users = fail:x\n", ROOT, "a@x.test", LOOKUP_TEMPORARY, ""},

	    {"local_login_sender_maps = inline:{root=*}\n", ROOT, "", LOOKUP_FOUND, ""},
	    {"local_login_sender_maps = inline:{root=*}\n", NOBODY_AT_ALL, "a@x.test", LOOKUP_NOT_FOUND,
		"5.7.1 not authorized to use sender='a@x.test'"},
	    {"local_login_sender_maps = inline:{{uid:4200000001=*}}\n", NOBODY_AT_ALL, "a@x.test",
		LOOKUP_FOUND, ""},
	    {"local_login_sender_maps = inline:{{root=@y.test, a@x.test}}\n", ROOT, "A@X.test", LOOKUP_FOUND,
		""},
	    {"local_login_sender_maps = inline:{{root=@y.test, a@x.test}}\n", ROOT, "a+ext@x.test",
		LOOKUP_FOUND, ""},
	    {"local_login_sender_maps = inline:{{root=@y.test, a@x.test}}\n", ROOT, "any@Y.test",
		LOOKUP_FOUND, ""},
	    {"local_login_sender_maps = inline:{{root=@y.test, a@x.test}}\n", ROOT, "b@x.test",
		LOOKUP_NOT_FOUND, "5.7.1 not authorized to use sender='b@x.test'"},
	    {"local_login_sender_maps = inline:{{root=@y.test, a@x.test}}\n", ROOT, "b@z.y.test",
		LOOKUP_NOT_FOUND, "5.7.1 not authorized"},
	    {"local_login_sender_maps = inline:{{root=@y.test, a@x.test}}\n", ROOT, "", LOOKUP_NOT_FOUND,
		"5.7.1 not authorized to use sender=''"},
	    {"local_login_sender_maps = inline:{{root=@y.test, a@x.test}}\n", ROOT, "y.test",
		LOOKUP_NOT_FOUND, "5.7.1 not authorized"},
	    {"local_login_sender_maps = inline:{{root=a <>}}\n", ROOT, "", LOOKUP_FOUND, ""},
	    {"local_login_sender_maps = inline:{{root=a <>}}\n", ROOT, "a", LOOKUP_FOUND, ""},
	    {"local_login_sender_maps = inline:{{root=a+b@x.test}}\n", ROOT, "a@x.test", LOOKUP_NOT_FOUND,
		"5.7.1 not authorized"},
	    {"local_login_sender_maps = inline:{{root=@}}\n", ROOT, "a", LOOKUP_NOT_FOUND,
		"5.7.1 not authorized"},
	    {"local_login_sender_maps = fail:x\n", ROOT, "a@x.test", LOOKUP_TEMPORARY, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char config[2000];
		struct error err = {0};
		struct route_answer answer;

		(void)snprintf(config, sizeof(config), "%s%s", BASE, rows[i].config);
		struct conf *conf = conf_from_text(config, &err);
		struct map_set *maps = map_set_new(NULL);
		struct route_engine *e = route_new(conf, maps, NULL);
		struct arena *a = arena_new(ROUTE_ARENA_BYTES);
		enum lookup_status got = route_permit(e, a, rows[i].uid, span_of(rows[i].sender), &answer);
		if (got != rows[i].want || answer.status != got ||
		    !span_starts(answer.reason, rows[i].said) ||
		    (got == LOOKUP_FOUND && answer.reason.len > 0) ||
		    (got == LOOKUP_TEMPORARY) != (answer.trouble.len > 0))
			fail_msg("row %zu, %s: %d %.*s", i, rows[i].sender, got, SPAN_ARG(answer.reason));
		arena_free(&a);
		route_free(&e);
		map_set_free(&maps);
		conf_unref(&conf);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(users_and_their_senders)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
