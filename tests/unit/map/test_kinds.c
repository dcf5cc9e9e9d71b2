/* Tables of text: what each kind finds, and what it says of mistakes. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/map/lines.h"
#include "tests/unit/map/table_files.h"

struct row {
	const char *name, *key, *want;
};

static void
check_rows(const char *table, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *got = table_ask(table, rows[i].key);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg(
			    "%s: %s: want \"%s\", got \"%s\"", rows[i].name, rows[i].key, rows[i].want, got);
	}
}
#define CHECK_ROWS(table, rows) check_rows(table, rows, sizeof(rows) / sizeof(rows[0]))

/* Opens it and compares what is said of its text. */
static void
check_complaints(const char *table, const char *want)
{
	struct complaints got = {.len = 0};
	const struct map_options options = {.complain = complaints_add, .context = &got};
	struct map *m = map_open(table, &options);
	struct error err;

	(void)map_check(m, &err);
	map_close(&m);
	assert_string_equal(got.text, want);
}

static void
texthash(void **state)
{
	static const struct row rows[] = {
	    {"plain", "a@b.test", "found one"},
	    {"folded on both sides", "C@B.TEST", "found Two"},
	    {"continuation, with a comment between", "long", "found x  y"},
	    {"quoted key", "\"aa bb\"@c", "found quoted"},
	    {"escaped blank", "gg\\ hh", "found ii"},
	    {"the first of two counts", "dup", "found first"},
	    {"not there", "nothing", "not found"},
	    {"empty key", "", "not found"},
	    {"a line that folds nothing is left out", "indented", "not found"},
	    {"comment is no entry", "#", "not found"},
	    {"alias format is taken as it is", "xxx:", "found yyy"},
	};
	(void)state;
	file_write_text("text", "# comment\n indented first\na@b.test\tone\nc@B.test Two \r\nlong x\n# "
				"between\n  y\n\n\"aa bb\"@c quoted\n"
				"gg\\ hh ii\ndup first\ndup second\n\"open bb\nalone\nxxx: yyy\n");
	CHECK_ROWS(table_name("texthash", "text"), rows);
	check_complaints(table_name("texthash", "text"),
	    "2: logical line must not start with whitespace -- ignoring this line\n"
	    "12: duplicate entry: \"dup\"\n"
	    "13: unbalanced '\"' -- ignoring this line\n"
	    "14: expected format: key whitespace value -- ignoring this line\n"
	    "15: record is in \"key: value\" format; is this an alias file?\n");
}

/* As isspace(3) has it, and so Postfix; a page of some editors begins with a form feed. */
static void
white_space(void **state)
{
	static const struct row words[] = {
	    {"behind the key", "tabbed", "found one"},
	    {"a line that goes on, and an empty one", "long", "found two\vthree"},
	    {"behind the value", "last", "found four"},
	};
	static const struct row rules[] = {
	    {"behind the pattern", "10.0.0.1", "found one"},
	    {"a line that goes on, and an empty one", "10.0.0.2", "found two\vthree"},
	    {"behind the value", "10.0.0.3", "found four"},
	};

	(void)state;
	file_write_text("pages", "tabbed\vone\nlong\ftwo\n\f\n\vthree\nlast four \v\f\n");
	CHECK_ROWS(table_name("texthash", "pages"), words);
	check_complaints(table_name("texthash", "pages"), "");
	file_write_text("pages", "10.0.0.1\vone\n10.0.0.2\ftwo\n\f\n\vthree\n10.0.0.3 four \v\f\n");
	CHECK_ROWS(table_name("cidr", "pages"), rules);
	file_write_text(
	    "pages", "/10.0.0.1/\vone\n/10.0.0.2/\ftwo\n\f\n\vthree\nif\v/3/\n!\f/9/ four \v\f\nendif\n");
	CHECK_ROWS(table_name("regexp", "pages"), rules);
}

/* Letters beyond ASCII, and what is no UTF-8: as Postfix with smtputf8_enable. */
static void
beyond_ascii(void **state)
{
	static const struct row rows[] = {
#ifdef HAVE_LIBUNISTRING
	    {"folded on both sides", "gr\303\234n@b.test", "found green"},
	    {"it may grow", "STRASSE", "found street"},
#endif
	    {"a key that is no UTF-8", "latin\344", "not found"},
	    {"a pattern does not see it, either", "gr\377n", "not found"},
	    {"a line that is none is left out", "left", "not found"},
	};
	static const char *const tables[] = {"texthash", "unionmap", "pipemap"};

	(void)state;
	file_write_text("utf8",
	    "Gr\303\234N@b.test green\nstra\303\237e street\nlatin\344 x\nleft v\344lue\nlast \303\244\n");
	check_complaints(table_name("texthash", "utf8"),
	    "3: non-UTF-8 input -- ignoring this line\n4: non-UTF-8 input -- ignoring this line\n");
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		char name[1000];
		if (i == 0)
			(void)snprintf(name, sizeof(name), "%s", table_name("texthash", "utf8"));
		else
			(void)snprintf(
			    name, sizeof(name), "%s:{%s}", tables[i], table_name("texthash", "utf8"));
		CHECK_ROWS(name, rows);
		assert_string_equal(table_ask(name, "last"), "found \303\244");
	}
	assert_string_equal(table_ask("regexp:{{/^gr.n$/ hit}}", "gr\377n"), "not found");
	assert_string_equal(table_ask("regexp:{{/^grxn$/ hit}}", "grxn"), "found hit");
	assert_string_equal(table_ask("inline:{{K\303\204SE = cheese}}", "k\303\204se"), "found cheese");
	assert_string_equal(table_ask("static:v\344lue", "any"), "temporary");
}

/* Rows of Postfix's own test, src/util/dict_regexp.in. */
static void
regexp(void **state)
{
	static const struct row rows[] = {
	    {"if fails", "true", "not found"},
	    {"if holds", "true1", "found 1"},
	    {"nested if fails", "true2", "not found"},
	    {"nested if holds", "truefalse2", "found 2"},
	    {"outer if fails", "3", "not found"},
	    {"behind an endif", "true3", "found 3"},
	    {"empty result", "c", "found "},
	    {"no rule", "d", "not found"},
	    {"but not", "ab", "not found"},
	    {"and not", "aa", "found a!b"},
	    {"three groups of four", "1235", "found (1)(2)(3)"},
	    {"four groups", "1234", "found (1)(2)(3)(4)"},
	    {"negated if", "bar/find", "not found"},
	    {"negated pattern", "bar/whynot", "found Don't have a liquor license"},
	    {"group in a nested if", "bar/elbereth", "found (elbereth)"},
	    {"outside of the if", "say/elbereth", "not found"},
	};
	(void)state;
	file_write_text("regexp", "if /true/	fodder\n/1/	1\nif /false/\n/2/	2\nendif	"
				  "	fodder\n/3/	3\nendif\n/a/!/b/	a!b\n/c/\n"
				  "/(1)(2)(3)(5)/	($1)($2)($3)($4)($5)\n/(1)(2)(3)(4)/	"
				  "($1)($2)($3)($4)\n/(1)(2)(3)/	($1)($2)($3)\n"
				  "# trailing whitespace below\nif /bar/ 	\nif "
				  "!/xyzzy/\n/(elbereth)/	($1)\n!/(bogus)/	($1)\n"
				  "!/find/		Don't have a liquor license\nendif\nendif	 \n# "
				  "x\n!\n# dangling\nendif\nendif\nif /./\nif /./\n");
	CHECK_ROWS(table_name("regexp", "regexp"), rows);
	check_complaints(table_name("regexp", "regexp"),
	    "1: ignoring extra text after IF statement\n"
	    "5: ignoring extra text after ENDIF\n"
	    "9: no replacement text: using empty string\n"
	    "10: out of range replacement index: skipping this rule\n"
	    "17: $number found in negative match replacement text: skipping this rule\n"
	    "22: no regexp: skipping this rule\n"
	    "24: ignoring ENDIF without matching IF\n"
	    "25: ignoring ENDIF without matching IF\n"
	    "27: IF has no matching ENDIF\n"
	    "26: IF has no matching ENDIF\n");
}

/* Catalogue H11: what cannot be used of a table is "not now", never "no such user". */
static void
a_value_that_is_too_long(void **state)
{
	static const struct row rows[] = {{"the one", "wide", "temporary"},
	    {"one before", "small", "found x"}, {"one behind", "other", "found y"}};
	static char text[MAP_VALUE_MAX + 100];

	(void)state;
	memset(text, 'w', sizeof(text));
	memcpy(text, "small x\nwide ", 13);
	memcpy(text + sizeof(text) - 10, "\nother y\n", 10);
	file_write("text", text, sizeof(text));
	CHECK_ROWS(table_name("texthash", "text"), rows);
}

/* A continued line beyond LINES_LINE_MAX is not what remains without the part that was too much. */
static void
a_line_that_is_too_long(void **state)
{
	static const struct row rows[] = {{"begins well, ends well", "team", "temporary"},
	    {"one before, after a byte order mark", "small", "found x"}, {"one behind", "other", "found y"}};
	struct buf text;

	(void)state;
	buf_init(&text, 2 * LINES_LINE_MAX);
	(void)buf_append_text(&text, "\xef\xbb\xbfsmall x\nteam a,\n ");
	memset(buf_reserve(&text, LINES_LINE_MAX), 'w', LINES_LINE_MAX);
	buf_added(&text, LINES_LINE_MAX);
	(void)buf_append_text(&text, ",\n c\nother y\n");
	file_write("text", buf_ptr(&text), text.len);
	buf_free(&text);
	CHECK_ROWS(table_name("texthash", "text"), rows);
}

static void
rules_in_the_configuration(void **state)
{
	static const struct row patterns[] = {
	    {"a rule", "\"x", "found not a command"},
	    {"another", "frob", "found frob it is"},
	    {"none", "mail", "not found"},
	};
	static const struct row networks[] = {
	    {"inside", "192.0.2.9", "found ours"},
	    {"outside", "198.51.100.1", "not found"},
	};
	static const struct row broken[] = {{"no brace", "x", "temporary"}};

	(void)state;
	CHECK_ROWS("regexp:{{/^[^A-Z]/ not a command}, {/^(fro)b$/ ${1}b it is} }", patterns);
	CHECK_ROWS("cidr:{{192.0.2.0/24 ours}}", networks);
	CHECK_ROWS("regexp:{/x/ y}", broken);
	CHECK_ROWS("regexp:{{/x/ y}", broken);
}

static void
regexp_details(void **state)
{
	static const struct row rows[] = {
	    {"case does not matter", "ABC", "found x"},
	    {"unless i is said", "DEF", "not found"},
	    {"i: its own case", "def", "found y"},
	    {"another delimiter", "p/q", "found slash"},
	    {"escaped delimiter", "r/s", "found escaped"},
	    {"all forms of $", "kv", "found k-k-k-$"},
	    {"a rule in an if that cannot be read is left out", "inside", "not found"},
	    {"and the one behind it is not", "behind", "found here"},
	    {"the key is not folded for what it gives", "K=Mixed", "found Mixed"},
	    {"basic expressions with x", "a+b", "found basic"},
	    {"a delimiter ends the pattern: no rule", "http://x", "not found"},
	    {"neither", "-", "found neither u nor v"},
	    {"the first", "-u", "not found"},
	    {"the second", "-v", "not found"},
	    {"the empty pattern", "any", "found all"},
	};
	(void)state;
	file_write_text("details",
	    "/^abc$/ x\n/^def$/i y\n,^p/q$, slash\n/^r\\/s$/ escaped\n/^(k)v$/ $1-${1}-$(1)-$$\n"
	    "if /(/\n/inside/ never\nendif\n/behind/ here\n/^K=(.*)/ $1\n/^a+b$/x basic\nnonsense\n/unclosed "
	    "x\n/a/Q x\n/b/ ${9\n/http://x/ REJECT\nif /^-/\n!/u/!/v/ neither u nor v\nendif\nif /^any/\n// "
	    "all\nendif\n");
	CHECK_ROWS(table_name("regexp", "details"), rows);
	check_complaints(table_name("regexp", "details"),
	    "6: bad regexp: skipping this rule\n"
	    "12: regexp: pattern needs delimiters (/pattern/): skipping this rule\n"
	    "13: no closing regexp delimiter: skipping this rule\n"
	    "14: unknown regexp option: skipping this rule\n"
	    "15: bad $number in replacement text: skipping this rule\n"
	    "16: unknown regexp option: skipping this rule\n");
	file_write_text("dollars", "/(a)/ $0\n/(a)/ $1x\n/(a)/ $1_\n/(a)/ ${1x}\n/(a)/ $x\n/(a)/ b$\n/(a)/ "
				   "$(1}\n/(a)/ ${0}\n/(a)/ $2\n!/(a)/ $1\n/(a)/ $1-$01.${1}x$(1)1$$1\n");
	static const struct row dollars[] = {{"the last", "a", "found a-a.axa1$1"}};
	CHECK_ROWS(table_name("regexp", "dollars"), dollars);
	check_complaints(table_name("regexp", "dollars"),
	    "1: out of range replacement index: skipping this rule\n"
	    "2: bad $number in replacement text: skipping this rule\n"
	    "3: bad $number in replacement text: skipping this rule\n"
	    "4: bad $number in replacement text: skipping this rule\n"
	    "5: bad $number in replacement text: skipping this rule\n"
	    "6: bad $number in replacement text: skipping this rule\n"
	    "7: bad $number in replacement text: skipping this rule\n"
	    "8: out of range replacement index: skipping this rule\n"
	    "9: out of range replacement index: skipping this rule\n"
	    "10: $number found in negative match replacement text: skipping this rule\n");
	file_write_text("indented", " /a/ b\n# c\n/c/ d\n");
	check_complaints(table_name("regexp", "indented"),
	    "1: logical line must not start with whitespace -- ignoring this line\n");
}

static void
cidr(void **state)
{
	static const struct row rows[] = {
	    {"an address", "192.0.2.1", "found one"},
	    {"inside a network", "192.0.2.77", "found net"},
	    {"outside", "192.0.3.77", "not found"},
	    {"odd prefix", "10.127.0.1", "found nine"},
	    {"just above it", "10.128.0.1", "not found"},
	    {"IPv6", "2001:db8::5", "found six"},
	    {"IPv6 in another spelling", "2001:0DB8:0::5", "found six"},
	    {"IPv6 in brackets", "2001:db9::1", "found brackets"},
	    {"in an if", "198.51.100.7", "found in"},
	    {"not in the if", "198.51.100.9", "not found"},
	    {"negated", "203.0.113.1", "not found"},
	    {"a name", "host.test", "not found"},
	    {"IPv4 does not hit IPv6 networks", "0.0.0.0", "not found"},
	    {"a network in brackets", "2001:dba:9::1", "found all in brackets"},
	    {"an address in brackets is none", "[192.0.2.1]", "not found"},
	};
	static const struct row negated[] = {
	    {"in the network", "192.0.2.1", "not found"},
	    {"the rest of IPv4", "198.51.100.1", "found elsewhere"},
	    {"not IPv6", "2001:db8::1", "not found"},
	    {"nor in an if", "2001:db9::1", "not found"},
	};
	(void)state;
	file_write_text("cidr",
	    "192.0.2.1 one\n192.0.2.0/24	net\n10.0.0.0/9 nine\n2001:db8::/32 six\n[2001:db9::1] "
	    "brackets\n[2001:dba::/32] all in brackets\n"
	    "if 198.51.100.0/24\n198.51.100.7 in\nendif\nif !203.0.113.0/24\n203.0.113.1 never\nendif\n"
	    "::/128 zero\n192.0.2.1/24 hostbits\n1.2.3.4/33 x\nx.y z\n1.2.3.4\nif 1.2.3.4\n");
	CHECK_ROWS(table_name("cidr", "cidr"), rows);
	check_complaints(table_name("cidr", "cidr"),
	    "14: non-null host address bits behind the prefix: skipping this rule\n"
	    "15: bad prefix length: skipping this rule\n"
	    "16: bad address pattern: skipping this rule\n"
	    "17: no lookup result: skipping this rule\n"
	    "18: IF has no matching ENDIF\n");
	CHECK_ROWS("cidr:{{!192.0.2.0/24 elsewhere} {if !192.0.2.0/24} {::/0 six} {endif}}", negated);
}

static void
small_kinds(void **state)
{
	static const struct {
		const char *table, *key, *want;
	} rows[] = {
	    {"static:OK", "x", "found OK"},
	    {"static:{ foo xx }", "x", "found foo xx"},
	    {"static:{ foo xx", "x", "temporary"},
	    {"static:{ foo xx }x", "x", "temporary"},
	    {"static:{{ foo } {xx}}", "x", "found { foo } {xx}"},
	    {"static:{foo}}", "x", "temporary"},
	    {"static:{{foo}", "x", "temporary"},
	    {"static:{foo}{xx}", "x", "temporary"},
	    {"cidr:{{192.0.2.1 foo} {192.0.2.2 xx}}", "192.0.2.2", "found xx"},
	    {"cidr:{{192.0.2.1 foo}{192.0.2.2 xx}}", "192.0.2.2", "temporary"},
	    {"inline:{foo=XX, {bar = lotsa stuff}}", "foo", "found XX"},
	    {"inline:{foo=XX, {bar = lotsa stuff}}", "BAR", "found lotsa stuff"},
	    {"inline:{foo=XX, {bar = lotsa stuff}}", "baz", "not found"},
	    {"inline:{ }", "x", "temporary"},
	    {"inline:{foo={a, b}c {x=y}}", "foo", "found {a, b}c"},
	    {"inline:{foo={a, b}c {x=y}}", "x", "found y"},
	    {"static:", "x", "temporary"},
	    {"static:{}", "x", "found "},
	    {"unionmap:{inline:{x=y},static:}", "x", "temporary"},
	    {"inline:{ foo = xx }", "x", "temporary"},
	    {"inline:{ foo=xx }x", "x", "temporary"},
	    {"inline:{ foo=xx x", "x", "temporary"},
	    {"inline:{ foo=xx {x=y}x}", "x", "temporary"},
	    {"proxy:static:OK", "x", "found OK"},
	    {"fail:x", "x", "temporary"},
	    {"nosuch:x", "x", "temporary"},
	    {"noname", "x", "temporary"},
	    {"", "x", "temporary"},
	    {"unix:passwd.byname", "root", "found root:x:0:0:root:/root:/bin/bash"},
	    {"proxy:unix:passwd.byname", "no-such-user", "not found"},
	    {"unix:passwd.byname", "root@example.com", "not found"},
	    {"unix:passwd.byname", "../root", "not found"},
	    {"unix:shadow.byname", "root", "temporary"},
	    {"texthash:/nonexistent/x", "x", "temporary"},
	    {"texthash:/tmp", "x", "temporary"},
	    {"hash:/nonexistent/x", "x", "temporary"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = table_ask(rows[i].table, rows[i].key);
		/* The rest of root's line is the host's business. */
		size_t len = strstr(rows[i].want, "root:x:0:0:") != NULL ? strlen("found root:x:0:0:") : 1000;
		if (strncmp(got, rows[i].want, len) != 0)
			fail_msg(
			    "%s: %s: want \"%s\", got \"%s\"", rows[i].table, rows[i].key, rows[i].want, got);
	}
}

/* Catalogue H11: changed, broken, absent, back again; never "not found" in between. */
static void
changes(void **state)
{
	struct complaints said = {.len = 0};
	const struct map_options options = {.complain = complaints_add, .context = &said};
	struct map_found found;

	(void)state;
	map_found_init(&found);
	file_write_text("change", "a one\n");
	struct map *m = map_open(table_name("texthash", "change"), &options);
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_FOUND);
	assert_int_equal(found.line, 1);
	assert_false(map_changed(m));
	file_write_text("change", "\na two\n");
	assert_true(map_changed(m));
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_FOUND);
	assert_true(span_is(buf_span(&found.value), "two"));
	assert_int_equal(found.line, 2);
	assert_int_equal(unlink(file_path("change")), 0);
	assert_true(map_changed(m));
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_TEMPORARY);
	assert_non_null(strstr(found.err.text, file_path("change")));
	file_write_text("change", "a three\n");
	assert_true(map_changed(m));
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_FOUND);
	assert_true(span_is(buf_span(&found.value), "three"));
	map_close(&m);
	map_found_free(&found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texthash),
	    cmocka_unit_test(white_space),
	    cmocka_unit_test(beyond_ascii),
	    cmocka_unit_test(a_value_that_is_too_long),
	    cmocka_unit_test(a_line_that_is_too_long),
	    cmocka_unit_test(regexp),
	    cmocka_unit_test(rules_in_the_configuration),
	    cmocka_unit_test(regexp_details),
	    cmocka_unit_test(cidr),
	    cmocka_unit_test(small_kinds),
	    cmocka_unit_test(changes),
	};
	return cmocka_run_group_tests(tests, files_begin, files_end);
}
