/* Files within lists: what stands for them, and lists that cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conf/conf.h"

static char directory[] = "/tmp/postern-list-XXXXXX";

static void
write_file(const char *name, const char *text)
{
	char path[100];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int
remove_directory(void **state)
{
	static const char *const names[] = {
	    "postern.conf", "nets", "more", "loop", "cidr", "text", "names", "empty"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(names[i]);
	return rmdir(directory);
}

/* setting: "name = value" with %s where the directory's name is to stand. */
static struct conf *
load(const char *setting, struct conf_report *report)
{
	char text[400];
	struct error err;

	snprintf(text, sizeof(text), setting, directory);
	write_file("postern.conf", text);
	return conf_load(directory, report, &err);
}

static const struct {
	const char *setting, *name, *text;
} good[] = {
    {"mynetworks = 127.0.0.1/32 [::1]/128", "mynetworks", "127.0.0.1/32 [::1]/128"},
    {"mynetworks = 127.0.0.1/32 %s/nets", "mynetworks",
	"127.0.0.1/32, 192.0.2.0/24, !192.0.2.9, 2001:db8::/32, 10.0.0.0/8"},
    {"mynetworks = !%s/more !!10.1.1.1", "mynetworks", "!10.0.0.0/8, 10.1.1.1"},
    {"mynetworks = cidr:%s/cidr", "mynetworks", "192.0.2.0/24, 2001:db8::/32"},
    {"mynetworks = %s/more", "smtpd_client_event_limit_exceptions", "10.0.0.0/8"},
    {"smtpd_sasl_exceptions_networks = texthash:%s/text", "smtpd_sasl_exceptions_networks",
	"192.0.2.1, 192.0.2.2"},
    {"smtp_sasl_mechanism_filter = !login, %s/names", "smtp_sasl_mechanism_filter",
	"!login, plain, !xoauth2, static:all"},
    {"smtpd_sasl_mechanism_filter = !%s/names", "smtpd_sasl_mechanism_filter",
	"!plain, xoauth2, !static:all"},
    {"smtpd_sasl_mechanism_filter = %s/empty", "smtpd_sasl_mechanism_filter", "!static:all"},
    {"mynetworks = %s/empty", "mynetworks", ""},
};

static void
words_of_files(void **state)
{
	char nets[200];

	(void)state;
	snprintf(nets, sizeof(nets), "# ours\n192.0.2.0/24, !192.0.2.9\r\n\n   2001:db8::/32\n%s/more\n",
	    directory);
	write_file("nets", nets);
	write_file("more", "10.0.0.0/8");
	write_file("cidr", "# a table\n192.0.2.0/24\tOK the\n   branch\n\n2001:db8::/32 OK\n");
	write_file("text", "192.0.2.1 x\n192.0.2.2\ty\n");
	write_file("empty", "# nothing yet\n\n");
	write_file("names", "plain\n!xoauth2 static:all\n");
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct conf_report *report = conf_report_new();
		struct conf *conf;

		conf = load(good[i].setting, report);
		if (!conf || conf_report_count(report, 'w'))
			fail_msg("%s: %s", good[i].setting,
			    conf_report_count(report, 'w') ? conf_report_at(report, 0)->text : "");
		assert_string_equal(conf_lookup(conf->values, good[i].name), good[i].text);
		conf_unref(&conf);
		conf_report_free(&report);
	}
}

static const struct {
	const char *setting, *name, *strictest, *complaint;
} bad[] = {
    {"mynetworks = 127.0.0.1 %s/none", "mynetworks", "", "none: No such file"},
    {"mynetworks = %s/loop", "mynetworks", "", "too deeply"},
    {"mynetworks = cidr:%s/loop", "mynetworks", "", "begin with addresses"},
    {"mynetworks = %s/text", "mynetworks", NULL, "not an address or a network"},
    {"mynetworks = hash:%s/text", "mynetworks", NULL, "not an address or a network"},
    {"smtpd_sasl_mechanism_filter = %s", "smtpd_sasl_mechanism_filter", "!static:all", "Is a directory"},
};

static void
lists_that_cannot_be_read(void **state)
{
	char text[100];

	(void)state;
	snprintf(text, sizeof(text), "%s/loop\n", directory);
	write_file("loop", text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct conf_report *report = conf_report_new();
		struct error err;
		struct conf *conf;

		assert_null(load(bad[i].setting, report));
		assert_int_equal(conf_report_count(report, 'w'), 1);
		if (!strstr(conf_report_at(report, 0)->text, bad[i].complaint))
			fail_msg("%s: %s", bad[i].setting, conf_report_at(report, 0)->text);
		conf = conf_load_anyway(directory, report, &err);
		assert_non_null(conf);
		if (bad[i].strictest)
			assert_string_equal(conf_lookup(conf->values, bad[i].name), bad[i].strictest);
		conf_unref(&conf);
		conf_report_free(&report);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_of_files),
	    cmocka_unit_test(lists_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
