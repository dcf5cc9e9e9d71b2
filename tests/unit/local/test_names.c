/* What stands in alias tables, and whose mailbox a name means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delivery/local/alias_value.h"
#include "delivery/local/target.h"

static void
members_of_aliases(void **state)
{
	static const struct {
		const char *value;
		const char *members; /* kind and text of each */
	} rows[] = {
	    {"bob", "0bob;"},
	    {" bob , alice@x.example,,carol ", "0bob;0alice@x.example;0carol;"},
	    {"\\root, \\bob@x.example, \\", "0root;0bob@x.example;4\\;"},
	    {"|/usr/bin/prog", "1/usr/bin/prog;"},
	    {"\"|/usr/bin/prog a, b\", bob", "1/usr/bin/prog a, b;0bob;"},
	    {"|\"/usr/bin/vacation carol\"", "1/usr/bin/vacation carol;"},
	    {"\"| say \\\"a, b\\\"\"", "1say \"a, b\";"},
	    {"\"|IFS=' ' && exec /usr/bin/procmail -f- || exit 75 #carol\"",
		"1IFS=' ' && exec /usr/bin/procmail -f- || exit 75 #carol;"},
	    {"|IFS=\" \" exec x", "1IFS=\" \" exec x;"},
	    {"|", "4|;"},
	    {"/var/log/mail", "2/var/log/mail;"},
	    {"\"/var/my mail\"", "2/var/my mail;"},
	    {"~/mail, \"~/my mail/\", ~bob", "2~/mail;2~/my mail/;0~bob;"},
	    {":include:/etc/list", "3/etc/list;"},
	    {"\":include:/etc/my list\"", "3/etc/my list;"},
	    {":include:", "4:include:;"},
	    {"\"a b\"@x.example", "0\"a b\"@x.example;"},
	    {"\"|a\"@x.example", "0|a@x.example;"},
	    {"Bob <bob@x.example>", "0bob@x.example;"},
	    {"bob (the first, (or so), \\)), carol(x,y)", "0bob;0carol;"},
	    {"bob (, carol", "4bob (;0carol;"},
	    {"", ""},
	    {" , ,", ""},
	    {"<>", "4<>;"},
	    {"alice bob", "0alice;0bob;"},
	    {"alice; bob;carol", "0alice;0bob;0carol;"},
	    {"alice \"|cmd a b\", /file", "0alice;1cmd a b;2/file;"},
	    {"\"|cmd\" \\bob :include:/l i", "1cmd;0bob;3/l i;"},
	    {"bob  # not this one, carol", "0bob;4# not this one;0carol;"},
	    {"x@@y z", "4x@@y;0z;"},
	    {"Bob B <bob@x> carol", "4Bob B <bob@x> carol;"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(100000);
		struct span rest = span_of(rows[i].value), text;
		enum alias_member kind;
		char got[300] = "";

		while (alias_next_member(a, &rest, &kind, &text))
			snprintf(
			    got + strlen(got), sizeof(got) - strlen(got), "%u%.*s;", kind, SPAN_ARG(text));
		assert_string_equal(got, rows[i].members);
		arena_free(&a);
	}
}

static struct conf *
conf_of(const char *text)
{
	struct error err;
	struct conf *c = conf_from_text(text, &err);

	assert_non_null(c);
	return c;
}

static char why[200]; /* the last one was not found */

static enum target_status
find(bool privileged, const char *settings, const char *name, struct target *t)
{
	struct target_finder f = {
	    .privileged = privileged,
	    .stand_in_uid = 54321,
	    .stand_in_gid = 54321,
	    .own_uid = 12345,
	    .own_gid = 12345,
	};
	struct conf *c = conf_of(settings);
	enum target_status status;

	why[0] = '\0';
	status = target_find(&f, c->values, span_of(name), t, why);
	conf_unref(&c);
	return status;
}

static void
names_that_are_no_files(void **state)
{
	static const char *const names[] = {"", ".", "..", "../x", "a/b", ".hidden", "-oQ", "a b", "a\nb",
	    "|id", "$(id)", "\\x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct target t;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(find(false, "mail_spool_directory = /m/\n", names[i], &t), TARGET_UNKNOWN);
		assert_int_equal(find(true, "mail_spool_directory = /m/\n", names[i], &t), TARGET_UNKNOWN);
	}
}

static void
an_ordinary_user_writes_all_as_itself(void **state)
{
	struct target t;

	(void)state;
	assert_int_equal(find(false, "mail_spool_directory = /m/\n", "no-such-user", &t), TARGET_FOUND);
	assert_string_equal(t.path, "/m/no-such-user");
	assert_int_equal(t.kind, MAILBOX_MAILDIR);
	assert_int_equal(t.uid, 12345);
	assert_true(t.unlisted);
	assert_int_equal(find(false, "mail_spool_directory = /m/\n", "daemon", &t), TARGET_FOUND);
	assert_int_equal(t.uid, 12345);
	assert_false(t.unlisted);
	assert_int_equal(find(false, "mail_spool_directory = /m\n", "no-such-user", &t), TARGET_UNKNOWN);
	assert_int_equal(find(false, "mail_spool_directory = /m\n", "daemon", &t), TARGET_TEMPORARY);
	assert_int_equal(find(true, "mail_spool_directory = /m/\n", "no-such-user", &t), TARGET_UNKNOWN);
}

/* Nothing is written as root or a system user; a mailbox of theirs is only taken over if it is what it should be. */
static void
system_users_have_a_stand_in(void **state)
{
	char top[] = "/tmp/test_names.XXXXXX", settings[100], path[100], other[100];
	struct target t;
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(top));
	snprintf(settings, sizeof(settings), "mail_spool_directory = %s\n", top);
	snprintf(path, sizeof(path), "%s/root", top);
	snprintf(other, sizeof(other), "%s/other", top);
	assert_int_equal(find(true, settings, "root", &t), TARGET_FOUND);
	assert_int_equal(t.uid, 54321);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 54321);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(find(true, settings, "root", &t), TARGET_FOUND);
	assert_int_equal(chown(path, 0, 0), 0); /* as another MTA left it */
	assert_int_equal(find(true, settings, "root", &t), TARGET_FOUND);
	assert_int_equal(chown(path, 1, 1), 0);
	assert_int_equal(find(true, settings, "root", &t), TARGET_TEMPORARY);
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(link(path, other), 0);
	assert_int_equal(find(true, settings, "root", &t), TARGET_TEMPORARY);
	unlink(path);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(find(true, settings, "root", &t), TARGET_TEMPORARY);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_uid, 0);
	unlink(path);
	unlink(other);
	rmdir(top);
}

static void
a_maildir_of_theirs_that_cannot_be_is_told_with_its_cause(void **state)
{
	char top[] = "/tmp/test_names.XXXXXX", settings[100], path[100];
	struct target t;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(top));
	snprintf(settings, sizeof(settings), "mail_spool_directory = %s/\n", top);
	snprintf(path, sizeof(path), "%s/root", top);
	assert_int_equal(find(true, settings, "root", &t), TARGET_FOUND);
	assert_int_equal(chown(path, 1, 1), 0);
	assert_int_equal(find(true, settings, "root", &t), TARGET_TEMPORARY);
	assert_non_null(strstr(why, "/root does not belong to postern-local"));
	rmdir(path);
	rmdir(top);
	assert_int_equal(find(true, settings, "root", &t), TARGET_TEMPORARY);
	assert_non_null(strstr(why, "/root: No such file or directory"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(members_of_aliases),
	    cmocka_unit_test(names_that_are_no_files),
	    cmocka_unit_test(an_ordinary_user_writes_all_as_itself),
	    cmocka_unit_test(system_users_have_a_stand_in),
	    cmocka_unit_test(a_maildir_of_theirs_that_cannot_be_is_told_with_its_cause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
