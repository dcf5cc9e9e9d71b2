/* header_checks and body_checks: what is shown to which table, and what becomes of content. Whole, in ones and in threes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/mail/content_checks.h"

/* One run: what came out, and what was asked and done, as text. */
struct run {
	struct buf out, story;
	struct content_checks *checks;
	const char *find, *value; /* the table: lines that hold find have value */
	bool watches; /* the header, and adds a field to it */
	struct buf fields; /* those that the watcher was told of */
};

static void
put(void *context, struct span bytes)
{
	struct run *r = context;
	(void)buf_append_span(&r->out, bytes);
}

static void
acted(void *context, const struct check_action *action, enum check_class class, struct span text)
{
	struct run *r = context;
	(void)text;
	(void)buf_printf(
	    &r->story, "!%s %d(%.*s)\n", check_verb_word(action->verb), class, SPAN_ARG(action->text));
}

static void
complain(void *context, struct span value, const char *why)
{
	struct run *r = context;
	(void)buf_printf(&r->story, "?%.*s %s\n", SPAN_ARG(value), why);
}

static void
field(void *context, struct span text)
{
	struct run *r = context;
	(void)buf_append_span(&r->fields, span_sub(text, 0, 60));
	(void)buf_append_text(&r->fields, "|");
}

static void
header_end(void *context)
{
	struct run *r = context;
	(void)buf_append_text(&r->fields, "end");
	content_checks_add_field(r->checks, SPAN_LIT("Added: field"));
}

static void
ask(struct run *r)
{
	static const char letters[] = "HMNB";
	enum check_class class;
	struct span text;
	size_t position = 0;

	while (content_checks_next(r->checks, &position, &class, &text)) {
		(void)buf_printf(&r->story, "%c ", letters[class]);
		for (size_t i = 0; i < text.len && i < 60; i++)
			(void)buf_append(&r->story, text.ptr[i] == '\n' ? "|" : &text.ptr[i], 1);
		(void)buf_append_text(&r->story, "\n");
		if (r->find != NULL && span_find_span(text, span_of(r->find)) >= 0)
			content_checks_found(r->checks, position - 1, span_of(r->value));
	}
	content_checks_settle(r->checks);
}

static const struct content_checks_rules all = {.classes = 15,
    .field_limit = 1000,
    .line_limit = 2048,
    .body_limit = 51200,
    .mime = {.nesting = 100, .boundary = 2048}};

static uint64_t
run(struct run *r, const struct content_checks_rules *rules, struct span in, size_t step)
{
	const struct content_checks_sink sink = {put, acted, complain, r};

	buf_init(&r->out, 32 << 20);
	buf_init(&r->story, 32 << 20);
	r->checks = content_checks_new(rules, &sink);
	buf_init(&r->fields, 1 << 20);
	if (r->watches)
		content_checks_watch_header(r->checks, &(struct content_checks_header){field, header_end});
	while (in.len > 0) {
		struct span part = span_sub(in, 0, step);
		content_checks_put(r->checks, part);
		if (content_checks_asks(r->checks))
			ask(r);
		in = span_from(in, part.len);
	}
	content_checks_finish(r->checks);
	if (content_checks_asks(r->checks))
		ask(r);
	uint64_t header = content_checks_header_octets(r->checks);
	content_checks_free(&r->checks);
	return header;
}

static void
run_free(struct run *r)
{
	buf_free(&r->out);
	buf_free(&r->story);
	buf_free(&r->fields);
}

static const struct {
	const char *name, *in, *story;
} shown[] = {
    {"fields with their folded lines, then lines", "Subject: a\r\n b\r\nX: y\r\n\r\none\r\n\r\ntwo\r\n",
	"H Subject: a| b\nH X: y\nB one\nB two\n"},
    {"MIME fields are the MIME table's wherever they stand",
	"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nFrom: a@b\r\n\r\n",
	"M MIME-Version: 1.0\nM Content-Type: text/plain\nH From: a@b\n"},
    {"parts, preamble and epilogue",
	"Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\npre\r\n--x\r\nX-Part: "
	"1\r\n\r\nin\r\n--x--\r\nepi\r\n",
	"M Content-Type: multipart/mixed; boundary=\"x\"\nB pre\nB --x\nM X-Part: 1\nB in\nB --x--\nB epi\n"},
    {"a message within",
	"Content-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Type: text/plain\r\n\r\nx\r\n",
	"M Content-Type: message/rfc822\nN Subject: in\nM Content-Type: text/plain\nB x\n"},
    {"an encoded message within is text",
	"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdA==\r\n",
	"M Content-Type: message/rfc822\nM Content-Transfer-Encoding: base64\nB U3ViamVjdA==\n"},
    {"parts of a digest are messages",
	"Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: in\r\n\r\nb\r\n--x--\r\n",
	"M Content-Type: multipart/digest; boundary=x\nB --x\nN Subject: in\nB b\nB --x--\n"},
    {"comments, quoted pairs and folding in Content-Type (Postfix's own case)",
	"content-type: multipart/(co\\m\\)ment)mumble mumble; boundary = \"ab\\cd\r\n ef\" "
	"mumble\r\n\r\n--abcd ef\r\nA: b\r\n\r\n",
	"M content-type: multipart/(co\\m\\)ment)mumble mumble; boundary \nB --abcd ef\nM A: b\n"},
    {"another Content-Type hides no part and no message",
	"Content-Type: multipart/a; boundary=o\r\nContent-Type: text/plain\r\n\r\n--o\r\nA: b\r\n"
	"Content-Type: message/rfc822\r\nContent-Type: text/html\r\n\r\nC: d\r\n\r\n--o--\r\nE: f\r\n",
	"M Content-Type: multipart/a; boundary=o\nM Content-Type: text/plain\nB --o\nM A: b\n"
	"M Content-Type: message/rfc822\nM Content-Type: text/html\nN C: d\nB --o--\nB E: f\n"},
    {"a boundary of an outer part ends the inner one",
	"Content-Type: multipart/a; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/b; "
	"boundary=i\r\n\r\n--i\r\nC: d\r\n"
	"--o\r\nE: f\r\n\r\n--i\r\nG: h\r\n",
	"M Content-Type: multipart/a; boundary=o\nB --o\nM Content-Type: multipart/b; boundary=i\nB --i\nM "
	"C: d\n"
	"B --o\nM E: f\nB --i\nB G: h\n"},
    {"a part's header that ends without an empty line",
	"Content-Type: multipart/a; boundary=o\r\n\r\n--o\r\nA: b\r\ntext: no\r\nplain\r\nC: d\r\n",
	"M Content-Type: multipart/a; boundary=o\nB --o\nM A: b\nM text: no\nB plain\nB C: d\n"},
    {"no body", "A: b\r\n", "H A: b\n"},
    {"blanks before a colon are not shown", "A \t: b\r\n c : d\r\n\r\n", "H A: b| c : d\n"},
    {"no header", "\r\nA: b\r\n", "B A: b\n"},
    {"a folded line first is text", " x\r\nA: b\r\n", "B  x\nB A: b\n"},
};

static void
lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		for (size_t step = 1; step < 5000; step = step == 1 ? 3 : step == 3 ? 4999 : 5000) {
			struct run r = {0};
			(void)run(&r, &all, span_of(shown[i].in), step);
			if (strcmp(buf_text(&r.story), shown[i].story) != 0)
				fail_msg("%s, by %zu: want\n%sgot\n%s", shown[i].name, step, shown[i].story,
				    buf_text(&r.story));
			assert_string_equal(buf_text(&r.out), shown[i].in);
			run_free(&r);
		}
}

#define MESSAGE "Received: by x\r\nSubject: bad\r\n news\r\nFrom: a@b\r\n\r\nfirst\r\nbad line\r\nlast\r\n"

static const struct {
	const char *name, *find, *value, *out, *story; /* story: actions and complaints alone */
} actions[] = {
    {"DUNNO", "bad", "DUNNO", MESSAGE, ""},
    {"INFO", "Subject", "INFO seen", MESSAGE, "!info 0(seen)\n"},
    {"WARN", "Subject", "warn", MESSAGE, "!warning 0()\n"},
    {"IGNORE takes the folded lines too", "Subject", "IGNORE",
	"Received: by x\r\nFrom: a@b\r\n\r\nfirst\r\nbad line\r\nlast\r\n", "!ignore 0()\n"},
    {"STRIP says so", "bad line", "STRIP it",
	"Received: by x\r\nSubject: bad\r\n news\r\nFrom: a@b\r\n\r\nfirst\r\nlast\r\n", "!strip 3(it)\n"},
    {"REPLACE", "Subject", "REPLACE Subject: good",
	"Received: by x\r\nSubject: good\r\nFrom: a@b\r\n\r\nfirst\r\nbad line\r\nlast\r\n",
	"!replace 0(Subject: good)\n"},
    {"REPLACE of the first field", "Received", "REPLACE X: y",
	"X: y\r\nSubject: bad\r\n news\r\nFrom: a@b\r\n\r\nfirst\r\nbad line\r\nlast\r\n",
	"!replace 0(X: y)\n"},
    {"REPLACE in the body needs no field", "bad line", "REPLACE good line",
	"Received: by x\r\nSubject: bad\r\n news\r\nFrom: a@b\r\n\r\nfirst\r\ngood line\r\nlast\r\n",
	"!replace 3(good line)\n"},
    {"PREPEND", "From", "PREPEND X-Seen: yes",
	"Received: by x\r\nSubject: bad\r\n news\r\nX-Seen: yes\r\nFrom: a@b\r\n\r\nfirst\r\nbad "
	"line\r\nlast\r\n",
	"!prepend 0(X-Seen: yes)\n"},
    {"a replacement that is no field changes nothing", "From", "REPLACE no field", MESSAGE,
	"?REPLACE no field with text that is no header field\n"},
    {"REPLACE without text", "From", "REPLACE", MESSAGE, "?REPLACE without text\n"},
    {"REDIRECT needs an address", "From", "REDIRECT me", MESSAGE,
	"?REDIRECT me without an address user@domain\n"},
    {"FILTER needs a destination", "From", "FILTER smtp", MESSAGE,
	"?FILTER smtp without transport:destination\n"},
    {"an unknown action", "From", "FROBNICATE", MESSAGE, "?FROBNICATE an unknown action\n"},
    {"REJECT ends it", "From", "REJECT 5.7.9 no", "Received: by x\r\nSubject: bad\r\n news\r\n",
	"!reject 0(5.7.9 no)\n"},
    {"BCC", "From", "BCC c@d", MESSAGE, "!bcc 0(c@d)\n"},
};

static void
keep_actions(struct buf *out, const char *story)
{
	struct span rest = span_of(story), line;

	buf_init(out, 65536);
	while (span_next_line(&rest, &line))
		if (line.len > 0 && (line.ptr[0] == '!' || line.ptr[0] == '?'))
			(void)buf_printf(out, "%.*s\n", SPAN_ARG(line));
}

static void
verbs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		for (size_t step = 1; step < 300; step += 99) {
			struct run r = {.find = actions[i].find, .value = actions[i].value};
			struct buf story;
			uint64_t header = run(&r, &all, span_of(MESSAGE), step);
			keep_actions(&story, buf_text(&r.story));
			if (strcmp(buf_text(&r.out), actions[i].out) != 0 ||
			    strcmp(buf_text(&story), actions[i].story) != 0)
				fail_msg(
				    "%s: got\n%s%s", actions[i].name, buf_text(&r.out), buf_text(&story));
			ptrdiff_t end = span_find_span(buf_span(&r.out), SPAN_LIT("\r\n\r\n"));
			assert_int_equal(header, end < 0 ? r.out.len : (size_t)end + 4);
			buf_free(&story);
			run_free(&r);
		}
}

/* Catalogue F04, F06, F13: what a stranger can make large has its bound, and nothing of it is lost. */
static void
large(void **state)
{
	struct buf in;
	struct run r = {.find = "needle", .value = "INFO"};
	struct content_checks_rules rules = all;

	(void)state;
	buf_init(&in, 32 << 20);
	for (int i = 0; i < 2000; i++)
		(void)buf_printf(&in, "Content-Type: multipart/a; boundary=b%04d\r\n\r\n--b%04d\r\n", i, i);
	(void)run(&r, &all, buf_span(&in), 1000);
	assert_non_null(strstr(buf_text(&r.story), "5.6.0 mime nesting exceeds safety limit"));
	run_free(&r);
	/* What leaves is not refused any more. */
	rules.outgoing = true;
	(void)run(&r, &rules, buf_span(&in), 1000);
	rules.outgoing = false;
	assert_true(span_equal(buf_span(&r.out), buf_span(&in)));
	assert_non_null(strstr(buf_text(&r.story), "M Content-Type: multipart/a; boundary=b0100\n"));
	assert_non_null(strstr(buf_text(&r.story), "B Content-Type: multipart/a; boundary=b0101\n"));
	run_free(&r);
	buf_clear(&in);
	(void)buf_append_text(&in, "X:");
	for (int i = 0; i < 50000; i++)
		(void)buf_append_text(&in, "\r\n folded");
	(void)buf_append_text(&in, "\r\nY: needle\r\n\r\n");
	for (int i = 0; i < 400000; i++)
		(void)buf_append_text(&in, "long ");
	(void)buf_append_text(&in, "needle");
	rules.body_limit = 0;
	(void)run(&r, &rules, buf_span(&in), 30000);
	assert_true(span_equal(buf_span(&r.out), buf_span(&in)));
	assert_non_null(strstr(buf_text(&r.story), "!info 0()\n"));
	assert_non_null(strstr(buf_text(&r.story), "!info 3()\n"));
	run_free(&r);
	rules.body_limit = 1000;
	(void)run(&r, &rules, buf_span(&in), 30000);
	assert_null(strstr(buf_text(&r.story), "!info 3()\n"));
	run_free(&r);
	buf_free(&in);
}

/* A line without end that no table is to see is not gathered. */
static void
long_lines_pass(void **state)
{
	static const struct {
		const char *head;
		unsigned classes;
		uint64_t body_limit;
	} rows[] = {
	    {"Content-Type: multipart/a; boundary=b\r\n\r\n", 1U << CHECK_MIME_HEADER, 0},
	    {"A: b\r\n\r\n", 1U << CHECK_BODY, 1000},
	    {"A: b\r\nX: ", 1U << CHECK_BODY, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct content_checks_rules rules = all;
		struct run r = {0};
		const struct content_checks_sink sink = {put, acted, complain, &r};
		size_t in = strlen(rows[i].head);

		rules.classes = rows[i].classes;
		rules.body_limit = rows[i].body_limit;
		buf_init(&r.out, 32 << 20);
		buf_init(&r.story, 32 << 20);
		r.checks = content_checks_new(&rules, &sink);
		content_checks_put(r.checks, span_of(rows[i].head));
		for (int k = 0; k < 50000; k++, in += 4) {
			content_checks_put(r.checks, SPAN_LIT("long"));
			if (content_checks_asks(r.checks))
				ask(&r);
			assert_in_range(in + 4 - r.out.len, 0, 100000);
		}
		content_checks_finish(r.checks);
		if (content_checks_asks(r.checks))
			ask(&r);
		assert_int_equal(r.out.len, in);
		content_checks_free(&r.checks);
		run_free(&r);
	}
}

static void
choices(void **state)
{
	struct content_checks_rules rules = all;
	struct run r = {0};

	(void)state;
	rules.mime.off = true;
	(void)run(&r, &rules, span_of(shown[2].in), 7);
	assert_string_equal(buf_text(&r.story), "H Content-Type: multipart/mixed; boundary=\"x\"\nB pre\nB "
						"--x\nB X-Part: 1\nB in\nB --x--\nB epi\n");
	run_free(&r);
	rules = all;
	rules.classes = 1U << CHECK_NESTED_HEADER;
	(void)run(&r, &rules, span_of(shown[3].in), 7);
	assert_string_equal(buf_text(&r.story), "N Subject: in\n");
	run_free(&r);
	rules.classes = 15;
	rules.outgoing = true;
	r.find = "Subject";
	r.value = "REJECT no";
	(void)run(&r, &rules, span_of(MESSAGE), 7);
	assert_string_equal(buf_text(&r.out), MESSAGE);
	run_free(&r);
}

/* What is there is told, what is missing can be added in front of the empty line, however the content comes. */
static void
watched(void **state)
{
	static const struct {
		const char *value, *out, *fields;
	} rows[] = {
	    {"", "A: 1\r\n b\r\nDate: x\r\nC: 3\r\nAdded: field\r\n\r\nDate: x\r\n\r\nend\r\n",
		"A: 1\r\n b\r\n|Date: x\r\n|C: 3\r\n|end"},
	    {"IGNORE", "A: 1\r\n b\r\nC: 3\r\nAdded: field\r\n\r\n\r\nend\r\n",
		"A: 1\r\n b\r\n|C: 3\r\n|end"},
	    {"REPLACE B: 2", "A: 1\r\n b\r\nB: 2\r\nC: 3\r\nAdded: field\r\n\r\nB: 2\r\n\r\nend\r\n",
		"A: 1\r\n b\r\n|B: 2|C: 3\r\n|end"},
	    {"PREPEND B: 2",
		"A: 1\r\n b\r\nB: 2\r\nDate: x\r\nC: 3\r\nAdded: field\r\n\r\nB: 2\r\nDate: "
		"x\r\n\r\nend\r\n",
		"A: 1\r\n b\r\n|Date: x\r\n|C: 3\r\n|end"},
	    {"REJECT", "A: 1\r\n b\r\n", "A: 1\r\n b\r\n|"},
	};
	const struct span in = SPAN_LIT("A: 1\r\n b\r\nDate: x\r\nC: 3\r\n\r\nDate: x\r\n\r\nend\r\n");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t step = 1; step <= in.len; step++) {
			struct run r = {.watches = true, .find = "Date", .value = rows[i].value};
			uint64_t header = run(&r, &all, in, step);
			assert_string_equal(buf_text(&r.out), rows[i].out);
			assert_string_equal(buf_text(&r.fields), rows[i].fields);
			if (strstr(rows[i].out, "\r\n\r\n"))
				assert_int_equal(header, strstr(rows[i].out, "\r\n\r\n") + 4 - rows[i].out);
			run_free(&r);
		}
}

/* What stands behind the line in the log. */
static void
words_of_actions(void **state)
{
	static const struct {
		enum check_verb verb;
		const char *text, *words;
	} rows[] = {
	    {CHECK_REJECT, "", ": 5.7.1 message content rejected"},
	    {CHECK_REJECT, "5.7.9 not here", ": 5.7.9 not here"},
	    {CHECK_REJECT, "not here", ": 5.7.1 not here"},
	    {CHECK_REJECT, "2.0.0 fine", ": 5.7.1 2.0.0 fine"},
	    {CHECK_WARN, "look\001", ": look?"},
	    {CHECK_WARN, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_action action = {.verb = rows[i].verb, .text = span_of(rows[i].text)};
		struct buf line;

		buf_init(&line, 200);
		check_action_put_words(&action, 100, &line);
		assert_string_equal(buf_text(&line), rows[i].words);
		buf_free(&line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_of_actions),
	    cmocka_unit_test(lines),
	    cmocka_unit_test(verbs),
	    cmocka_unit_test(large),
	    cmocka_unit_test(long_lines_pass),
	    cmocka_unit_test(choices),
	    cmocka_unit_test(watched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
