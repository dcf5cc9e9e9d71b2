/* What table servers may say, and what is put into queries and results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/map/answers.h"
#include "common/map/template.h"

static void
netstrings(void **state)
{
	static const struct {
		const char *name, *bytes;
		ptrdiff_t want;
		const char *content;
	} rows[] = {
	    {"whole", "5:hello,", 8, "hello"},
	    {"empty", "0:,", 3, ""},
	    {"more behind it", "1:a,2:", 4, "a"},
	    {"nothing yet", "", 0, NULL},
	    {"length alone", "12", 0, NULL},
	    {"cut in the text", "5:hel", 0, NULL},
	    {"cut before the comma", "5:hello", 0, NULL},
	    {"no comma", "5:hello.", -1, NULL},
	    {"no number", ":a,", -1, NULL},
	    {"letters", "x:a,", -1, NULL},
	    {"negative", "-1:,", -1, NULL},
	    {"leading zeros", "01:a,", -1, NULL},
	    {"longest", "100000", 0, NULL},
	    {"one too long", "100001", -1, NULL},
	    {"as long as a number can be", "9999999999999999999:", -1, NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span content = {0};
		ptrdiff_t got = netstring_parse(span_of(rows[i].bytes), &content);
		if (got != rows[i].want || (got > 0 && !span_is(content, rows[i].content)))
			fail_msg("%s: %td", rows[i].name, got);
	}
}

static void
answers(void **state)
{
	static const struct {
		enum lookup_status (*parse)(struct span, struct buf *, struct error *);
		const char *text;
		enum lookup_status want;
		const char *value;
	} rows[] = {
	    {socketmap_answer, "OK a b", LOOKUP_FOUND, "a b"},
	    {socketmap_answer, "ok x", LOOKUP_FOUND, "x"},
	    {socketmap_answer, "OK ", LOOKUP_FOUND, ""},
	    {socketmap_answer, "NOTFOUND ", LOOKUP_NOT_FOUND, ""},
	    {socketmap_answer, "TEMP try later", LOOKUP_TEMPORARY, ""},
	    {socketmap_answer, "TIMEOUT", LOOKUP_TEMPORARY, ""},
	    {socketmap_answer, "PERM no", LOOKUP_TEMPORARY, ""},
	    {socketmap_answer, "", LOOKUP_TEMPORARY, ""},
	    {socketmap_answer, "OKAY x", LOOKUP_TEMPORARY, ""},
	    {socketmap_answer, " OK x", LOOKUP_TEMPORARY, ""},
	    {tcp_answer, "200 a%20b", LOOKUP_FOUND, "a b"},
	    {tcp_answer, "200 ", LOOKUP_FOUND, ""},
	    {tcp_answer, "500 none", LOOKUP_NOT_FOUND, ""},
	    {tcp_answer, "400 later", LOOKUP_TEMPORARY, ""},
	    {tcp_answer, "200", LOOKUP_TEMPORARY, ""},
	    {tcp_answer, "200 %4", LOOKUP_TEMPORARY, ""},
	    {tcp_answer, "200 %00", LOOKUP_TEMPORARY, ""},
	    {tcp_answer, "500 %zz", LOOKUP_TEMPORARY, ""},
	    {tcp_answer, "2000 x", LOOKUP_TEMPORARY, ""},
	    {tcp_answer, "", LOOKUP_TEMPORARY, ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct buf value;
		buf_init(&value, 1000);
		enum lookup_status got = rows[i].parse(span_of(rows[i].text), &value, &err);
		if (got != rows[i].want ||
		    (got == LOOKUP_FOUND && strcmp(buf_text(&value), rows[i].value) != 0))
			fail_msg("\"%s\": %d \"%s\"", rows[i].text, got, buf_text(&value));
		if (got == LOOKUP_TEMPORARY)
			assert_true(err.text[0] != '\0');
		buf_free(&value);
	}
}

static int
quote(struct buf *out, struct span text, void *context)
{
	(void)context;
	(void)buf_append_text(out, "<");
	(void)buf_append_span(out, text);
	return buf_append_text(out, ">");
}

static void
queries(void **state)
{
	static const struct {
		const char *name, *template, *key, *want; /* NULL: not asked */
	} rows[] = {
	    {"all of it", "a %s b", "u@d.tld", "a <u@d.tld> b"},
	    {"parts", "%u at %d", "u@d.tld", "<u> at <d.tld>"},
	    {"capitals are the same in a query", "%S %U %D", "u@d.tld", "<u@d.tld> <u> <d.tld>"},
	    {"labels from the right", "%1 %2 %3", "u@a.b.c", "<c> <b> <a>"},
	    {"a percent sign", "100%% %s", "x", "100% <x>"},
	    {"no address: the user is all", "%u", "user", "<user>"},
	    {"no address: no domain, no query", "%d", "user", NULL},
	    {"no user, no query", "%u", "@d.tld", NULL},
	    {"empty domain", "%d", "u@", NULL},
	    {"too few labels", "%3", "u@b.c", NULL},
	    {"empty label", "%2", "u@b..c", NULL},
	    {"the last at counts", "%u %d", "\"a@b\"@c", "<\"a@b\"> <c>"},
	    {"what is put in is not expanded", "%s", "%s@%d", "<%s@%d>"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;
		buf_init(&out, 1000);
		int got = template_query(rows[i].template, span_of(rows[i].key), quote, NULL, &out);
		if (got != (rows[i].want != NULL) || (got && strcmp(buf_text(&out), rows[i].want) != 0))
			fail_msg("%s: %d \"%s\"", rows[i].name, got, buf_text(&out));
		buf_free(&out);
	}
}

static void
results(void **state)
{
	static const struct {
		const char *name, *template, *value, *key, *want;
	} rows[] = {
	    {"value", "smtp:[%s]", "host", "u@d", "smtp:[host]"},
	    {"its parts", "%u+x@%d", "a@b", "u@d", "a+x@b"},
	    {"the key's parts", "%U-%D-%1-%S", "v", "u@d.e", "u-d.e-e-u@d.e"},
	    {"no domain in the value: left out", "%d", "v", "u@d", NULL},
	    {"no domain in the key: left out", "%D", "v", "u", NULL},
	    {"the value is not expanded", "%s", "%s%d", "u@d", "%s%d"},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;
		buf_init(&out, 1000);
		int got =
		    template_result(rows[i].template, span_of(rows[i].value), span_of(rows[i].key), &out);
		if (got != (rows[i].want != NULL) || (got && strcmp(buf_text(&out), rows[i].want) != 0))
			fail_msg("%s: %d \"%s\"", rows[i].name, got, buf_text(&out));
		buf_free(&out);
	}
	assert_int_equal(template_check("%s%u%d%S%U%D%1%9%%", "query", &err), 0);
	assert_int_equal(template_check("%0", "query", &err), -1);
	assert_int_equal(template_check("%", "query", &err), -1);
	assert_int_equal(template_check("%x", "query", &err), -1);
	assert_true(template_is_bare("WHERE a = %s"));
	assert_true(template_is_bare("WHERE a = 'x' AND b = %u"));
	assert_false(template_is_bare("WHERE a = '%s' AND b = \"%u\" AND c = '100%%'"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(netstrings),
	    cmocka_unit_test(answers),
	    cmocka_unit_test(queries),
	    cmocka_unit_test(results),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
