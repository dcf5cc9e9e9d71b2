/* Values: expansion, types, and what master ships. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/conf/derive.h"
#include "common/conf/schema.h"

/* The configuration of a text that must be good. */
static struct conf *
good(const char *text)
{
	struct error err = {0};
	struct conf *c = conf_from_text(text, &err);

	if (!c)
		fail_msg("%s: %s", text, err.text);
	return c;
}

static void
rows_are_sorted_and_their_defaults_good(void **state)
{
	struct conf *c = good("");

	(void)state;
	for (size_t i = 0; i < param_count; i++) {
		const struct param *p = &param_table[i];

		if (i > 0 && strcmp(param_table[i - 1].name, p->name) >= 0)
			fail_msg("%s stands behind %s", p->name, param_table[i - 1].name);
		assert_ptr_equal(param_find(span_of(p->name)), p);
		assert_true(strlen(p->name) <= CONF_NAME_MAX);
		if (unsupported_find(span_of(p->name)) &&
		    !strchr(unsupported_find(span_of(p->name))->name, '*'))
			fail_msg("%s has a row and is in unsupported.def", p->name);
	}
	conf_unref(&c);
	assert_null(c);
}

/* A name of Postfix's is supported, or the list says what becomes of it; it is never "unknown". */
static void
every_name_of_postfix_is_known(void **state)
{
	static const char *const names[] = {
#include "tests/unit/conf/postfix_names.def"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct span name = span_of(names[i]);
		const struct unsupported *u = unsupported_find(name);

		if (param_find(name) || param_of_transport(name))
			continue;
		if (!u || (strchr(u->name, '*') && param_nearest(name)))
			fail_msg("%s is unknown", names[i]);
	}
}

static void
what_happens_anyway_may_be_asked_for(void **state)
{
	static const char *const silent[] = {"resolve_dequoted_address = yes", "strict_smtputf8 = no",
	    "cleanup_service_name = cleanup", "sun_mailtool_compatibility =",
	    "debugger_command = ddd $daemon_directory/$process_name $process_id & sleep 5"};
	static const char *const loud[] = {"resolve_dequoted_address = no", "strict_smtputf8 = yes",
	    "cleanup_service_name = other", "smtp_delivery_slot_cost = 7"};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		struct conf *c = good(silent[i]);

		conf_unref(&c);
	}
	for (size_t i = 0; i < sizeof(loud) / sizeof(loud[0]); i++) {
		assert_null(conf_from_text(loud[i], &err));
		if (!strstr(err.text, "does not support"))
			fail_msg("%s: %s", loud[i], err.text);
	}
}

static void
expansion(void **state)
{
	static const struct {
		const char *why, *text, *banner;
	} rows[] = {
	    {"plain name", "a = 1\nsmtpd_banner = x$a", "x1"},
	    {"name in braces, against what follows", "a = 1\nsmtpd_banner = ${a}b", "1b"},
	    {"name in parentheses", "a = 1\nsmtpd_banner = $(a)b", "1b"},
	    {"a name ends at the first other character", "a = 1\nsmtpd_banner = $a.b-$a", "1.b-1"},
	    {"two dollars are one", "smtpd_banner = $$a$$", "$a$"},
	    {"a default that refers to another parameter", "myhostname = h.example", "h.example ESMTP"},
	    {"defined later", "smtpd_banner = $a\na = late", "late"},
	    {"? with a value", "a = 1\nsmtpd_banner = x${a?y}z", "xyz"},
	    {"? without", "a =\nsmtpd_banner = x${a?y}z", "xz"},
	    {": with a value", "a = 1\nsmtpd_banner = x${a:y}z", "xz"},
	    {": without", "a =\nsmtpd_banner = x${a:y}z", "xyz"},
	    {"a test may name what nobody defines", "smtpd_banner = x${nobody:y}", "xy"},
	    {"a list for listeners that nothing sets", "smtpd_banner = x$mua_helo_restrictions", "x"},
	    {"text in braces", "a = 1\nsmtpd_banner = ${a?{y}}", "y"},
	    {"both branches, first", "a = 1\nsmtpd_banner = ${a?{y}:{n}}", "y"},
	    {"both branches, second", "a =\nsmtpd_banner = ${a?{y}:{n}}", "n"},
	    {"both branches with blanks", "a =\nsmtpd_banner = ${a ? {y} : {n} }", "n"},
	    {"names within branches", "a = 1\nb = 2\nsmtpd_banner = ${a?{<$b>}:{n}}", "<2>"},
	    {"tests within tests", "a = 1\nb =\nsmtpd_banner = ${a?{${b?{x}:{y}}}:{z}}", "y"},
	    {"an empty branch", "a = 1\nsmtpd_banner = x${a?{}:{n}}", "x"},
	    {"a level below another", "smtpd_banner = ${{3.10} <level {3.9} ? {y} : {n}}", "n"},
	    {"a level that is another", "smtpd_banner = ${{3.6} ==level {3.6.0} ? {y} : {n}}", "y"},
	    {"a level that is at least another", "smtpd_banner = ${{4}>=level{3.6.12} ? {y} : {n}}", "y"},
	    {"the level that this is",
		"smtpd_banner = ${{$compatibility_level} <level {3.6} ? {old} : {new}}", "new"},
	    {"the level that somebody wrote",
		"compatibility_level = 2\nsmtpd_banner = ${{$compatibility_level} <level {3.6} ? {old} : "
		"{new}}",
		"old"},
	    {"equal", "a = 1\nsmtpd_banner = ${{$a} == {1} ? {y} : {n}}", "y"},
	    {"not equal", "a = 1\nsmtpd_banner = ${{$a} != {1} ? {y} : {n}}", "n"},
	    {"numbers compare as numbers", "a = 10\nsmtpd_banner = ${{$a} > {9} ? {y} : {n}}", "y"},
	    {"words compare as words", "a = b10\nsmtpd_banner = ${{$a} < {b9} ? {y} : {n}}", "y"},
	    {"no stress as a rule", "smtpd_banner = x${stress?{s}:{n}}", "xn"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf *c = good(rows[i].text);

		if (strcmp(c->values->smtpd_banner, rows[i].banner) != 0)
			fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].why, c->values->smtpd_banner,
			    rows[i].banner);
		conf_unref(&c);
	}
}

static void
refused(void **state)
{
	static const struct {
		const char *why, *text, *complaint;
	} rows[] = {
	    {"a value that is itself", "a = $a\nsmtpd_banner = $a", "leads back to itself: a -> a"},
	    {"a circle of two", "a = $b\nb = $a\nsmtpd_banner = $a", "leads back to itself: a -> b -> a"},
	    {"a circle within a test", "smtpd_banner = ${smtpd_banner?x}", "leads back to itself"},
	    {"a circle through defaults", "mydomain = $myhostname\nmyhostname = $mydomain",
		"leads back to itself"},
	    {"a name that nobody defines", "smtpd_banner = $nobody", "nobody defines $nobody"},
	    {"a list for listeners with a mistake", "smtpd_banner = $mua_hello_restrictions",
		"nobody defines $mua_hello_restrictions"},
	    {"unbalanced brace", "a = 1\nsmtpd_banner = ${a", "unbalanced {"},
	    {"unbalanced parenthesis", "a = 1\nsmtpd_banner = $(a", "unbalanced ("},
	    {"empty braces", "smtpd_banner = ${}", "a name is missing"},
	    {"a lone dollar", "smtpd_banner = $ 5", "a name is missing behind $"},
	    {"a dollar at the end", "smtpd_banner = 5$", "a name is missing behind $"},
	    {"something else behind a name", "a = 1\nsmtpd_banner = ${a!x}", "? or : is missing"},
	    {"text behind a branch", "a = 1\nsmtpd_banner = ${a?{x}y}", "text behind }"},
	    {"a level that is none", "smtpd_banner = ${{3.x} <level {3.6} ? {x}}", "3.x is no level"},
	    {"a level too deep", "smtpd_banner = ${{3.6} <level {3.6.1.2} ? {x}}", "3.6.1.2 is no level"},
	    {"no level at all", "smtpd_banner = ${{} <level {3.6} ? {x}}", "is no level"},
	    {"a comparison with one side", "smtpd_banner = ${{a} == ? {x}}", "{ is missing behind =="},
	    {"a comparison without a sign", "smtpd_banner = ${{a} ? {x}}", "a comparison is missing"},
	    {"not a boolean", "soft_bounce = maybe", "soft_bounce = maybe: must be yes or no"},
	    {"not a number", "hopcount_limit = many", "hopcount_limit = many: not a number"},
	    {"nothing is no number", "hopcount_limit =", "not a number"},
	    {"a negative number", "hopcount_limit = -1", "not a number"},
	    {"too small", "hopcount_limit = 0", "out of range (1 to 10000)"},
	    {"too large", "hopcount_limit = 10001", "out of range (1 to 10000)"},
	    {"larger than any number", "hopcount_limit = 99999999999999999999", "not a number"},
	    {"a size that overflows", "message_size_limit = 9223372036854775807g", "out of range"},
	    {"a size with another letter", "message_size_limit = 5x", "with k, m or g behind it"},
	    {"a letter behind a count", "hopcount_limit = 5k", "not a number"},
	    {"a time with another letter", "smtpd_timeout = 5y", "not a time"},
	    {"a time that is too long", "smtpd_timeout = 2d", "out of range (1 to 86400 seconds)"},
	    {"a time that is too short", "smtpd_timeout = 0", "out of range"},
	    {"a time that overflows", "smtpd_timeout = 9223372036854775807w", "out of range"},
	    {"not a word of the list", "smtpd_forbid_bare_newline = perhaps",
		"must be one of no note normalize"},
	    {"a host without a name", "myhostname =", "myhostname must not be empty"},
	    {"a greeting without a name", "smtpd_banner = $x\nx =", "smtpd_banner must not be empty"},
	    {"mail that goes nowhere", "default_transport =", "default_transport must not be empty"},
	    {"a pattern name is checked too", "smtp_destination_concurrency_limit = x", "not a number"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct conf *c = conf_from_text(rows[i].text, &err);

		if (c)
			fail_msg("%s: accepted", rows[i].why);
		if (!strstr(err.text, rows[i].complaint))
			fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].why, err.text, rows[i].complaint);
	}
}

static void
types(void **state)
{
	struct conf *c =
	    good("smtpd_timeout = 2m\nminimal_backoff_time = 7\nmaximal_queue_lifetime = 2\n"
		 "spool_outcome_delay = 50ms\nmessage_size_limit = 3K\nsoft_bounce = YES\n"
		 "smtpd_forbid_bare_newline = reject\nqueue_minfree = 1g\n2bounce_notice_recipient = me\n"
		 "smtp_destination_concurrency_limit = 7\nrelay_destination_rate_delay = 2s\n");
	const struct conf_values *v = c->values;

	(void)state;
	assert_int_equal(v->smtpd_timeout, 120000000);
	assert_int_equal(v->minimal_backoff_time, 7000000);
	assert_true(v->maximal_queue_lifetime == 2 * 86400 * INT64_C(1000000));
	assert_int_equal(v->spool_outcome_delay, 50000);
	assert_int_equal(v->message_size_limit, 3072);
	assert_true(v->queue_minfree == INT64_C(1) << 30);
	assert_true(v->soft_bounce);
	assert_false(v->smtpd_helo_required);
	assert_int_equal(v->smtpd_forbid_bare_newline, CONF_SMTPD_FORBID_BARE_NEWLINE_REJECT);
	assert_string_equal(v->_2bounce_notice_recipient, "me");
	assert_string_equal(conf_lookup(v, "2bounce_notice_recipient"), "me");
	assert_string_equal(conf_lookup(v, "smtp_destination_concurrency_limit"), "7");
	assert_int_equal(conf_lookup_number(v, "smtp_destination_concurrency_limit"), 7);
	assert_int_equal(conf_lookup_number(v, "lmtp_destination_concurrency_limit"), 20);
	assert_int_equal(conf_lookup_number(v, "relay_destination_rate_delay"), 2000000);
	assert_int_equal(conf_lookup_number(v, "no_such_thing"), -1);
	assert_int_equal(conf_lookup_number(v, "myhostname"), -1);
	assert_null(conf_lookup(v, "no_such_thing"));
	conf_unref(&c);
}

static void
sections_and_stress(void **state)
{
	struct conf *c =
	    good("syslog_name = postern\nmyhostname = a.example\n"
		 "[smtp]\nlisten = :25\n"
		 "[submission]\nlisten = :587\nsyslog_name = postern/submission\nmyhostname = b.example\n"
		 "smtpd_timeout = 20s\n");
	const struct conf_section *smtp = conf_section_find(c, SPAN_LIT("smtp"));
	const struct conf_section *submission = conf_section_find(c, SPAN_LIT("submission"));
	struct buf text;

	(void)state;
	assert_int_equal(c->section_count, 2);
	assert_string_equal(submission->listen, ":587");
	assert_string_equal(c->values->syslog_name, "postern");
	assert_string_equal(smtp->values->syslog_name, "postern");
	assert_string_equal(submission->values->syslog_name, "postern/submission");
	/* Global values that refer to a name see the section's. */
	assert_string_equal(smtp->values->smtpd_banner, "a.example ESMTP");
	assert_string_equal(submission->values->smtpd_banner, "b.example ESMTP");
	assert_int_equal(smtp->values->smtpd_timeout, 300000000);
	assert_int_equal(smtp->stressed->smtpd_timeout, 10000000);
	assert_int_equal(submission->stressed->smtpd_timeout, 20000000);
	assert_int_equal(c->stressed->smtpd_hard_error_limit, 1);
	assert_null(conf_section_find(c, SPAN_LIT("other")));
	conf_unref(&c);
	/* A name that is longer than any can be is one that is not set; also where stress has names of its own. */
	buf_init(&text, 10000);
	buf_append_text(&text, "smtpd_banner = ${");
	for (unsigned i = 0; i < 2000; i++)
		buf_append_text(&text, "n");
	buf_append_text(&text, "?{set}:{not set}}\n[smtp]\nlisten = :25\n");
	c = good(buf_text(&text));
	assert_string_equal(c->values->smtpd_banner, "not set");
	assert_string_equal(c->sections[0].stressed->smtpd_banner, "not set");
	conf_unref(&c);
	buf_free(&text);
	c = good("own_port = 2525\nmyhostname = a.example\n[smtp]\nlisten = 127.0.0.1:$own_port, "
		 "[::1]:${own_port}\n"
		 "[b]\nown_port = 26\nlisten = :$own_port\n");
	assert_string_equal(c->sections[0].listen, "127.0.0.1:2525, [::1]:2525");
	assert_string_equal(c->sections[1].listen, ":26");
	conf_unref(&c);
	c = good("inet_interfaces = 127.0.0.1, ::1\n");
	assert_string_equal(c->sections[0].name, "smtp");
	assert_string_equal(c->sections[0].listen, "127.0.0.1:25, [::1]:25");
	conf_unref(&c);
}

static void
ship(struct span section, struct span name, struct span value, void *context)
{
	struct error err;

	assert_int_equal(conf_builder_set(context, section, name, value, &err), 0);
}

static void
same_values(const struct conf_values *a, const struct conf_values *b)
{
	for (size_t i = 0; i < param_count; i++) {
		const char *name = param_table[i].name;

		assert_string_equal(conf_lookup(a, name), conf_lookup(b, name));
		if (param_table[i].type != PARAM_TEXT)
			assert_memory_equal((const char *)a + param_table[i].offset,
			    (const char *)b + param_table[i].offset,
			    param_table[i].type == PARAM_BOOL ? 1 : 4);
	}
}

/* A child that builds from what master ships has the same values, everywhere. */
static void
shipping(void **state)
{
	struct conf *c =
	    good("myhostname = a.example\nsmtpd_banner = $$x $myhostname\nsmtpd_timeout = 20\n"
		 "smtp_destination_concurrency_limit = 7\n"
		 "smtpd_restriction_classes = strict\nstrict = reject_unknown_client_hostname, reject\n"
		 "[smtp]\nlisten = :25\n"
		 "[submission]\nlisten = :587\nmyhostname = b.example\nsmtpd_hard_error_limit = 3\n"
		 "strict = reject\nsmtpd_timeout = ${stress?{1}:{2}}\n"
		 "smtpd_tls_cert_file = /c\nsmtpd_tls_key_file =\n");
	struct conf_builder *b = conf_builder_new();
	struct error err;
	struct conf *child;

	(void)state;
	conf_each_changed(c, ship, b);
	child = conf_builder_finish(&b, 7, &err);
	assert_non_null(child);
	assert_int_equal(child->generation, 7);
	assert_int_equal(child->section_count, 2);
	same_values(c->values, child->values);
	same_values(c->stressed, child->stressed);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(c->sections[i].name, child->sections[i].name);
		assert_string_equal(c->sections[i].listen, child->sections[i].listen);
		same_values(c->sections[i].values, child->sections[i].values);
		same_values(c->sections[i].stressed, child->sections[i].stressed);
	}
	assert_string_equal(child->values->smtpd_banner, "$x a.example");
	assert_string_equal(conf_lookup(child->values, "strict"), "reject_unknown_client_hostname, reject");
	assert_string_equal(conf_lookup(child->sections[1].values, "strict"), "reject");
	assert_string_equal(conf_lookup(child->values, "smtp_destination_concurrency_limit"), "7");
	assert_int_equal(child->sections[1].stressed->smtpd_timeout, 1000000);
	conf_unref(&c);
	conf_unref(&child);
}

/* A default follows what it refers to, in a child as in master; what was set to nothing is nothing. */
static void
derived_defaults(void **state)
{
	static const struct {
		const char *conf, *name, *value, *asked, *result;
	} rows[] = {
	    {"", "smtp_sasl_security_options", "noanonymous", "smtp_sasl_tls_security_options",
		"noanonymous"},
	    {"", "smtp_sasl_security_options", "noanonymous", "smtp_sasl_tls_verified_security_options",
		"noanonymous"},
	    {"smtp_sasl_tls_security_options = noactive\n", "smtp_sasl_security_options", "noanonymous",
		"smtp_sasl_tls_security_options", "noactive"},
	    {"", "smtp_enforce_tls", "yes", "smtp_tls_security_level", "verify"},
	    {"smtp_tls_security_level = may\n", "smtp_enforce_tls", "yes", "smtp_tls_security_level", "may"},
	    {"smtp_tls_security_level =\n", "smtp_helo_name", "x", "smtp_tls_security_level", ""},
	    {"smtp_enforce_tls = yes\n", "smtp_tls_enforce_peername", "no", "smtp_tls_security_level",
		"encrypt"},
	    {"", "myhostname", "b.example", "smtp_helo_name", "b.example"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf_change change = {span_of(rows[i].name), span_of(rows[i].value)};
		struct conf *c = good(rows[i].conf), *child, *derived;
		struct conf_builder *b = conf_builder_new();
		struct error err;

		conf_each_changed(c, ship, b);
		child = conf_builder_finish(&b, 7, &err);
		assert_non_null(child);
		derived = conf_derive(child, &change, 1, &err);
		assert_non_null(derived);
		assert_string_equal(conf_lookup(derived->values, rows[i].name), rows[i].value);
		assert_string_equal(conf_lookup(derived->values, rows[i].asked), rows[i].result);
		same_values(c->values, child->values);
		conf_unref(&derived);
		conf_unref(&child);
		conf_unref(&c);
	}
}

/* Small texts whose values would be huge or take for ever. */
static void
bounds(void **state)
{
	static const char *const ends[] = {"", "0123456789"};
	struct error err;
	struct buf text;

	(void)state;
	buf_init(&text, 10000);
	for (size_t i = 0; i < 2; i++) {
		buf_clear(&text);
		buf_printf(&text, "smtpd_banner = $a0\n");
		for (int k = 0; k < 35; k++)
			buf_printf(&text, "a%d = $a%d$a%d$a%d\n", k, k + 1, k + 1, k + 1);
		buf_printf(&text, "a35 = %s\n", ends[i]);
		assert_null(conf_from_text(buf_text(&text), &err));
	}
	buf_clear(&text);
	buf_printf(&text, "smtpd_banner = $a0\na60 = x\n");
	for (int k = 0; k < 60; k++)
		buf_printf(&text, "a%d = $a%d\n", k, k + 1);
	assert_null(conf_from_text(buf_text(&text), &err));
	assert_non_null(strstr(err.text, "too many $names"));
	buf_clear(&text);
	buf_printf(&text, "a = 1\nsmtpd_banner = ");
	for (int k = 0; k < 500; k++)
		buf_printf(&text, "${a?");
	for (int k = 0; k < 500; k++)
		buf_printf(&text, "}");
	assert_null(conf_from_text(buf_text(&text), &err));
	assert_non_null(strstr(err.text, "too many brackets"));
	buf_free(&text);
}

static void
lists(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
	    {"a, b  c,,d", "a|b|c|d|"},
	    {"  ", ""},
	    {"inline:{ a=b, {c = d e} }, x", "inline:{ a=b, {c = d e} }|x|"},
	    {"regexp:{{/^[^A-Z]/ Bogus}} y", "regexp:{{/^[^A-Z]/ Bogus}}|y|"},
	    {"\"a b\" c", "\"a b\"|c|"},
	    {"{unbalanced a", "{unbalanced a|"},
	    {"a} b", "a}|b|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span rest = span_of(rows[i].text), word;
		struct buf all;

		buf_init(&all, 200);
		while (conf_list_next(&rest, &word))
			buf_printf(&all, "%.*s|", SPAN_ARG(word));
		assert_string_equal(buf_text(&all), rows[i].words);
		buf_free(&all);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_sorted_and_their_defaults_good),
	    cmocka_unit_test(every_name_of_postfix_is_known),
	    cmocka_unit_test(what_happens_anyway_may_be_asked_for),
	    cmocka_unit_test(expansion),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(types),
	    cmocka_unit_test(sections_and_stress),
	    cmocka_unit_test(shipping),
	    cmocka_unit_test(derived_defaults),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
