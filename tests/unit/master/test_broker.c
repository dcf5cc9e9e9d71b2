/* Which UNIX sockets a delivery process, perhaps taken over, may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "services/master/broker.h"

static void
only_what_is_named(void **state)
{
	static const struct {
		const char *allowed, *path, *absolute; /* NULL: refused */
	} rows[] = {
	    {"private/", "private/mda", "/q/private/mda"},
	    {"private/", "/q/private/mda", "/q/private/mda"},
	    {"private/", "private/deep/mda", NULL},
	    {"private/", "private/", NULL},
	    {"private/", "private", NULL},
	    {"private/", "private/../private/mda", NULL},
	    {"private/", "private/./mda", NULL},
	    {"private/", "private//mda", NULL},
	    {"private/", "", NULL},
	    {"private/", "/etc/passwd", NULL},
	    {"/q/private/", "private/mda", "/q/private/mda"},
	    {"private/", "private/master", NULL}, /* master's own */
	    {"private/master", "/q/private/master", NULL},
	    {"public/ private/", "public/pickup", NULL},
	    {"/run/one", "/run/one", "/run/one"},
	    {"/run/one", "/run/one/two", NULL},
	    {"/run/one", "/run/onetwo", NULL},
	    {"", "private/mda", NULL},
	    {"/", "/mda", "/mda"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char absolute[108];
		struct conf_values v = {.queue_directory = "/q", .lmtp_unix_sockets = rows[i].allowed};
		bool yes = broker_allows(&v, span_of(rows[i].path), absolute);

		if (yes != (rows[i].absolute != NULL) || (yes && strcmp(absolute, rows[i].absolute) != 0))
			fail_msg("%s with %s: %s", rows[i].path, rows[i].allowed, yes ? absolute : "refused");
	}
}

static void
long_paths_are_none(void **state)
{
	struct conf_values v = {.queue_directory = "/q", .lmtp_unix_sockets = "/"};
	char path[300], absolute[108];

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	assert_true(broker_allows(&v, span_make(path, 107), absolute));
	assert_false(broker_allows(&v, span_make(path, 108), absolute));
	assert_false(broker_allows(&v, span_make(path, 300), absolute));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_what_is_named),
	    cmocka_unit_test(long_paths_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
