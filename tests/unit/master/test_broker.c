/* Which UNIX sockets a delivery or smtpd process, perhaps taken over, may have. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* smtpd gets the sockets of listeners that have AUTH by Dovecot, and no other; delivery gets none of those. */
static void
smtpd_gets_dovecots(void **state)
{
	struct conf_values global = {.queue_directory = "/q", .lmtp_unix_sockets = "private/"};
	struct conf_values off = {.queue_directory = "/q", .smtpd_sasl_path = "private/off"};
	struct conf_values on = {
	    .queue_directory = "/q", .smtpd_sasl_path = "private/auth", .smtpd_sasl_auth_enable = true};
	struct conf_values table = {.queue_directory = "/q",
	    .smtpd_sasl_path = "/etc/passwords",
	    .smtpd_sasl_auth_enable = true,
	    .smtpd_sasl_type = CONF_SMTPD_SASL_TYPE_TABLE};
	const struct conf_section sections[] = {
	    {.name = "a", .values = &off}, {.name = "b", .values = &on}, {.name = "c", .values = &table}};
	const struct conf conf = {.values = &global, .sections = sections, .section_count = 3};
	static const struct {
		const char *path;
		bool allowed;
	} rows[] = {{"private/auth", true}, {"/q/private/auth", true}, {"private/off", false},
	    {"/etc/passwords", false}, {"private/mda", false}, {"private/../private/auth", false},
	    {"unix:private/auth", true}, {"unix:/q/private/auth", true}, {"unix:unix:private/auth", false},
	    {"unix:private/off", false}, {"inet:127.0.0.1:1", false}, {"", false}};
	struct error err = {0};
	char absolute[108];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (broker_allows_auth(&conf, span_of(rows[i].path), absolute) != rows[i].allowed)
			fail_msg("%s", rows[i].path);
	assert_int_equal(broker_connect(&conf, ROLE_SMTPD, SPAN_LIT("private/mda"), &err), -1);
	assert_non_null(strstr(err.text, "smtpd_sasl_path"));
}

/* Only what a listener has, letter by letter. */
static void
smtpd_gets_dovecot_by_tcp(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	struct conf_values global = {.queue_directory = "/q", .inet_protocols = "all"};
	struct conf_values on = {.smtpd_sasl_auth_enable = true}, off = {.smtpd_sasl_path = "inet:[::1]:25"};
	const struct conf_section sections[] = {{.name = "a", .values = &off}, {.name = "b", .values = &on}};
	const struct conf conf = {.values = &global, .sections = sections, .section_count = 2};
	static const char *const wrong[] = {"inet:127.0.0.1:25", "inet:[::1]:25", "inet:", "inet:localhost"};
	struct error err = {0};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd, one;
	char path[40];

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(listen(listener, 5), 0);
	for (int named = 0; named < 2; named++) {
		snprintf(path, sizeof(path), "inet:%s:%u", named ? "localhost" : "127.0.0.1",
		    ntohs(address.sin_port));
		on.smtpd_sasl_path = path;
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
			assert_int_equal(broker_connect(&conf, ROLE_SMTPD, span_of(wrong[i]), &err), -1);
		assert_int_equal(broker_connect(&conf, ROLE_DELIVERY, span_of(path), &err), -1);
		fd = broker_connect(&conf, ROLE_SMTPD, span_of(path), &err);
		assert_true(fd >= 0);
		one = accept(listener, NULL, NULL);
		assert_true(one >= 0);
		close(one);
		close(fd);
	}
	close(listener);
}

static int
listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* A link in a folder that somebody else may write does not lead to what master listens to itself. */
static void
own_sockets_never(void **state)
{
	char folder[] = "/tmp/broker-XXXXXX", path[64], link[64], other[64], list[64];
	struct conf_values v = {.queue_directory = "/q", .lmtp_unix_sockets = list};
	const struct conf conf = {.values = &v};
	struct error err = {0};
	int ready[2], own, fd;
	char byte;
	pid_t child;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(list, sizeof(list), "%s/", folder);
	snprintf(path, sizeof(path), "%s/own", folder);
	snprintf(link, sizeof(link), "%s/link", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	own = listen_at(path);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		listen_at(other);
		_exit(write(ready[1], "x", 1) == 1 ? pause() : 1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(broker_connect(&conf, ROLE_DELIVERY, span_of(path), &err), -1);
	assert_string_equal(err.text, "it is a socket of Postern's own");
	assert_int_equal(broker_connect(&conf, ROLE_DELIVERY, span_of(link), &err), -1);
	assert_string_equal(err.text, "it is a socket of Postern's own");
	fd = broker_connect(&conf, ROLE_DELIVERY, span_of(other), &err);
	assert_true(fd >= 0);
	close(fd);
	close(own);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	unlink(link);
	unlink(path);
	unlink(other);
	rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_what_is_named),
	    cmocka_unit_test(long_paths_are_none),
	    cmocka_unit_test(own_sockets_never),
	    cmocka_unit_test(smtpd_gets_dovecots),
	    cmocka_unit_test(smtpd_gets_dovecot_by_tcp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
