/* What commands are given, and what their ends mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf/macro.h"
#include "common/conf/transports.h"
#include "common/conf/values.h"
#include "common/mail/member_name.h"
#include "delivery/local/alias_value.h"
#include "delivery/local/command.h"
#include "delivery/local/pipe_argv.h"

static bool
value_of(void *context, struct span name, struct span *value)
{
	(void)context;
	*value = span_is(name, "a") ? SPAN_LIT("A;b") : SPAN_LIT("");
	return span_is(name, "a") || span_is(name, "empty");
}

static void
names_in_texts(void **state)
{
	static const struct {
		const char *text, *expanded;
		bool good;
	} rows[] = {
	    {"plain", "plain", true},
	    {"$a/${a}/$(a)", "A_b/A_b/A_b", true},
	    {"x$$y", "x$y", true},
	    {"$empty", "", false},
	    {"$nobody", "", false},
	    {"${a?yes}${empty?yes}", "yes", true},
	    {"${a:no}${empty:no}", "no", true},
	    {"${a?{1$a}:{2}}${empty?{1}:{2}}", "1A_b2", true},
	    {"${a", "", false},
	    {"$", "", false},
	    {"${}", "", false},
	    {"${a!b}", "", false},
	};
	const struct macro_names names = {.value = value_of, .allowed = "Ab"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;

		buf_init(&out, 1000);
		assert_int_equal(macro_expand(&out, span_of(rows[i].text), &names), rows[i].good);
		if (rows[i].good)
			assert_string_equal(buf_text(&out), rows[i].expanded);
		buf_free(&out);
	}
}

/* Arguments as "<one><two>", or what is wrong. */
static const char *
arguments(const char *attributes, const struct pipe_recipient *list, size_t count, const char *sender)
{
	static char text[600];
	struct pipe_message m = {.sender = span_of(sender),
	    .nexthop = SPAN_LIT("Next.test"),
	    .queue_id = SPAN_LIT("QID"),
	    .size = 7,
	    .delimiters = "+"};
	struct pipe_settings s;
	struct error err = {0};
	struct buf argv;
	size_t n = 0;

	buf_init(&argv, 300);
	text[0] = '\0';
	if (pipe_settings_parse(span_of(attributes), &s, &err) < 0 ||
	    pipe_argv(&argv, &s, &m, list, count, &err) < 0)
		snprintf(text, sizeof(text), "%s", err.text);
	for (size_t at = 0; err.text[0] == '\0' && at < argv.len; at += strlen(buf_ptr(&argv) + at) + 1)
		n += (size_t)snprintf(text + n, sizeof(text) - n, n ? "|%s" : "%s", buf_ptr(&argv) + at);
	buf_free(&argv);
	return text;
}

static void
arguments_of_pipe(void **state)
{
	static const struct pipe_recipient two[] = {
	    {SPAN_LIT("User+Ext@Dom.test"), SPAN_LIT("orig@Dom.test")}, {SPAN_LIT("b@x"), SPAN_LIT("b@x")}};
	static const struct {
		const char *attributes, *expected, *sender;
		size_t count;
	} rows[] = {
	    {"user=x argv=/p -f ${sender} -- ${recipient}", "/p|-f|s@x|--|User+Ext@Dom.test", "s@x", 1},
	    {"user=x argv=/p ${recipient} end", "/p|User+Ext@Dom.test|b@x|end", "s@x", 2},
	    {"user=x flags=hu argv=/p ${recipient} $user $extension $mailbox $domain $nexthop",
		"/p|user+ext@dom.test|user|ext|user+ext|dom.test|next.test", "s@x", 1},
	    {"user=x argv=/p {a b} ${size}x$queue_id", "/p|a b|7xQID", "s@x", 1},
	    {"user=x argv=/p $sender", "/p|MAILER-DAEMON", "", 1},
	    {"user=x null_sender=<> argv=/p $sender", "/p|<>", "", 1},
	    {"user=x null_sender= argv=/p $sender x", "/p||x", "", 1},
	    {"user=x argv=/p ${extension}", "/p|Ext|", "s@x", 2},
	    {"user=x flags=q argv=/p $sender", "/p|\"a b\"@x", "\"a b\"@x", 1},
	    {"user=x argv=/p $sender", "/p|a b@x", "\"a b\"@x", 1},
	    {"user=x argv=/p $sender", "an address that begins with a hyphen", "-o@x", 1},
	    {"user=x chroot=/x argv=/p $sender", "/p|s@x", "s@x", 1},
	    {"user=x argv=/p -f$sender", "/p|-f-o@x", "-o@x", 1},
	    {"user=x size=1000 argv=/p", "/p", "s@x", 1},
	    {"user=x size=1k argv=/p", "size=1k: not a number", "s@x", 1},
	    {"user=x argv=/p $nobody", "argument $nobody has a name that is none", "s@x", 1},
	    {"user=x flags=Z argv=/p", "flags=Z: there is no flag Z", "s@x", 1},
	    {"argv=/p", "user= is missing", "s@x", 1},
	    {"user=x", "argv= is missing", "s@x", 1},
	    {"user=x chroot=x/y argv=/p", "chroot=x/y: not an absolute path", "s@x", 1},
	    {"user=x argv=/p $sender$sender$sender$sender$sender$sender$sender$sender$sender$sender",
		"the arguments of the command are too long", "long.enough.to.be.too.much.ten.times@over.test",
		1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(
		    arguments(rows[i].attributes, two, rows[i].count, rows[i].sender), rows[i].expected);
}

/* What mail is given to, mistakes included. */
static void
transports_and_mistakes(void **state)
{
	static const struct {
		const char *declared, *name;
		enum transport_kind kind;
	} rows[] = {
	    {"", "local", TRANSPORT_LOCAL},
	    {"", "relay", TRANSPORT_SMTP},
	    {"", "slow", TRANSPORT_UNKNOWN},
	    {"", "pipe", TRANSPORT_UNKNOWN},
	    {"{ a lmtp }", "b", TRANSPORT_UNKNOWN},
	    {"{ a lmtp } { b pipe user=x argv=/p }", "a", TRANSPORT_LMTP},
	    {"{ a lmtp } { b pipe user=x argv=/p }", "b", TRANSPORT_PIPE},
	    {"a unix - - n - 5 lmtp", "a", TRANSPORT_LMTP},
	    {"local unix - n n - - local", "local", TRANSPORT_LOCAL},
	    {"a smtp -o smtp_helo_timeout=5s", "a", TRANSPORT_SMTP},
	    /* These wait, for a pipe without a command has nothing to run. */
	    {"a smtp -o x=y", "a", TRANSPORT_PIPE},
	    {"{ a pipee user=x argv=/p }", "a", TRANSPORT_PIPE},
	    {"{ a local }", "a", TRANSPORT_PIPE},
	    {"{ a unix - - }", "a", TRANSPORT_PIPE},
	    {"{ b lmtp } { a pipe user=x argv=/p", "a", TRANSPORT_PIPE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct value_set set = {.values = {.transport_services = rows[i].declared}};
		struct transport_service s;

		transport_service_find(&set.values, span_of(rows[i].name), &s);
		if (s.kind != rows[i].kind)
			fail_msg("%s in %s: kind %d", rows[i].name, rows[i].declared, (int)s.kind);
	}
}

static void
ends_of_commands(void **state)
{
	static const struct {
		int wait_status;
		bool timed_out;
		const char *output;
		enum outcome_class class;
		const char *status, *text;
	} rows[] = {
	    {0, false, "", OUTCOME_DELIVERED, "2.0.0", "delivered to command: cmd a"},
	    {75 << 8, false, "", OUTCOME_DEFERRED, "4.3.0", "temporary failure"},
	    {67 << 8, false, "\nno\r\n such\n", OUTCOME_BOUNCED, "5.1.1",
		"user unknown. Command output: no such"},
	    {1 << 8, false, "4.2.1 later\n", OUTCOME_DEFERRED, "4.2.1", "later"},
	    {75 << 8, false, "5.2.1 never\n", OUTCOME_BOUNCED, "5.2.1", "never"},
	    {1 << 8, false, "2.0.0 fine\n", OUTCOME_BOUNCED, "5.3.0",
		"Command died with status 1: \"cmd a\". Command output: 2.0.0 fine"},
	    {9, false, "", OUTCOME_DEFERRED, "4.3.0", "Command died with signal 9: \"cmd a\""},
	    {9, true, "", OUTCOME_BOUNCED, "5.3.0", "Command time limit exceeded: \"cmd a\""},
	    {67 << 8, false, "a\033[1mb\x80", OUTCOME_BOUNCED, "5.1.1",
		"user unknown. Command output: a?[1mb?"},
	};
	const struct command c = {.argv = {"cmd\0a", 6}};
	const struct command pipe = {.argv = {"cmd\0a", 6}, .service = SPAN_LIT("tool")};
	struct mailbox_result result;
	char lines[2000];

	(void)state;
	/* Its arguments are other recipients' and the administrator's. */
	command_judge(&pipe, 9, false, SPAN_LIT(""), &result);
	assert_string_equal(result.text, "Command died with signal 9: \"cmd\"");
	/* The last line is the one that says it. */
	snprintf(lines, sizeof(lines), "%0600d\nthe end%0900d", 1, 2);
	command_judge(&c, 67 << 8, false, span_of(lines), &result);
	assert_non_null(strstr(result.text, "1 the end000"));
	assert_true(strlen(result.text) < 800);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		command_judge(&c, rows[i].wait_status, rows[i].timed_out, span_of(rows[i].output), &result);
		assert_int_equal(result.class, rows[i].class);
		assert_string_equal(result.status, rows[i].status);
		assert_string_equal(result.text, rows[i].text);
	}
}

static void
names_that_stand_for_members(void **state)
{
	char digest[MEMBER_DIGEST_LEN + 1], other[MEMBER_DIGEST_LEN + 1], local[80];
	struct span name, found;
	bool forward;

	(void)state;
	member_digest(ALIAS_COMMAND, SPAN_LIT("/bin/x"), digest);
	/* They lie in the queue: a later version must find the same. */
	member_digest(ALIAS_COMMAND, SPAN_LIT("/bin/x"), other);
	assert_string_equal(digest, other);
	member_digest(ALIAS_FILE, SPAN_LIT("/bin/x"), other);
	assert_string_not_equal(digest, other);
	snprintf(local, sizeof(local), "\\a~b|%s", digest);
	assert_true(member_name_split(span_of(local), &name, &found, &forward));
	assert_true(span_is(name, "a~b") && span_is(found, digest) && !forward);
	snprintf(local, sizeof(local), "\\bob~%s", digest);
	assert_true(member_name_split(span_of(local), &name, &found, &forward) && forward);
	assert_false(member_name_split(SPAN_LIT("\\bob"), &name, &found, &forward));
	assert_false(member_name_split(SPAN_LIT("\\|0123456789abcdef"), &name, &found, &forward));
	assert_false(member_name_split(SPAN_LIT("bob~~0123456789abcdef"), &name, &found, &forward));
	assert_false(member_name_split(SPAN_LIT("\\bob~0123456789abcdeg"), &name, &found, &forward));
	assert_false(member_name_split(SPAN_LIT(""), &name, &found, &forward));
}

static void
members_are_shown_under_the_lists_address(void **state)
{
	static const struct {
		const char *address, *shown;
	} rows[] = {
	    {"\"\\\\cmd|0123456789abcdef\"@x.test", "cmd@x.test"},
	    {"\"\\\\a b~0123456789abcdef\"@x.test", "\"a b\"@x.test"},
	    {"\"\\\\bob\"@x.test", "bob@x.test"},
	    {"\"\\\\\\\\bob\"@x.test", "bob@x.test"},
	    {"bob|0123456789abcdef@x.test", "bob|0123456789abcdef@x.test"},
	    {"\"\\\\\"@x.test", "\"\\\\\"@x.test"},
	    {"bob@x.test", "bob@x.test"},
	    {"", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[MEMBER_SHOWN_SIZE];
		struct span shown = member_shown(span_of(rows[i].address), text);

		if (!span_is(shown, rows[i].shown))
			fail_msg("%s: %.*s", rows[i].address, SPAN_ARG(shown));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_in_texts),
	    cmocka_unit_test(arguments_of_pipe),
	    cmocka_unit_test(transports_and_mistakes),
	    cmocka_unit_test(ends_of_commands),
	    cmocka_unit_test(names_that_stand_for_members),
	    cmocka_unit_test(members_are_shown_under_the_lists_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
