/* Addresses of envelopes and header fields: rows of what is taken, and of what never is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/mail/address.h"

#define BOTH (ADDRESS_NULL_OK | ADDRESS_NO_DOMAIN_OK)

struct path_row {
	const char *why;
	const char *text;
	size_t len; /* 0: strlen(text) */
	unsigned flags;
	enum address_fault fault;
	const char *address;
	const char *rest;
};

static const struct path_row paths[] = {
    {"plain", "<a@b>", 0, 0, ADDRESS_OK, "a@b", ""},
    {"parameters follow", "<a@b> SIZE=51", 0, ADDRESS_STRICT, ADDRESS_OK, "a@b", " SIZE=51"},
    {"a blank before the bracket (hand-held)", " <a@b>", 0, 0, ADDRESS_OK, "a@b", ""},
    {"the same, strict", " <a@b>", 0, ADDRESS_STRICT, ADDRESS_SYNTAX, "", ""},
    {"no brackets", " dude@noddy.com", 0, 0, ADDRESS_OK, "dude@noddy.com", ""},
    {"no brackets, parameters", "a@b BODY=7BIT", 0, 0, ADDRESS_OK, "a@b", " BODY=7BIT"},
    {"no brackets, strict", "a@b", 0, ADDRESS_STRICT, ADDRESS_SYNTAX, "", ""},
    {"trailing blanks", "<a@b>  ", 0, 0, ADDRESS_OK, "a@b", "  "},
    {"blanks inside the brackets", "< a@b >", 0, 0, ADDRESS_OK, "a@b", ""},
    {"junk after the path", "<a@b>x", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"null sender", "<>", 0, ADDRESS_NULL_OK, ADDRESS_OK, "", ""},
    {"null sender, sloppy", "< >", 0, ADDRESS_NULL_OK, ADDRESS_OK, "", ""},
    {"null recipient", "<>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"nothing at all", "", 0, BOTH, ADDRESS_SYNTAX, "", ""},
    {"B11: null sender and junk is left to the parameters", "<> \"=", 0, BOTH, ADDRESS_OK, "", " \"="},
    {"B11: =", "<> =", 0, BOTH, ADDRESS_OK, "", " ="},
    {"B11: open quote", "<\"", 0, BOTH, ADDRESS_SYNTAX, "", ""},
    {"B11: backslash at the end", "<\"a\\", 0, BOTH, ADDRESS_SYNTAX, "", ""},
    {"B11: backslash before the quote", "<\"a\\\"@b>", 0, BOTH, ADDRESS_SYNTAX, "", ""},
    {"B11: unquoted backslash", "<a\\@b>", 0, BOTH, ADDRESS_SYNTAX, "", ""},
    {"domain in lower case, local part as it is", "<Joe@EXAMPLE.Com>", 0, 0, ADDRESS_OK, "Joe@example.com",
	""},
    {"H05: needless quotes go", "<\"a\"@x>", 0, ADDRESS_STRICT, ADDRESS_OK, "a@x", ""},
    {"H05: needed quotes stay", "<\"a b\"@x>", 0, ADDRESS_STRICT, ADDRESS_OK, "\"a b\"@x", ""},
    {"needless escapes go", "<\"\\a\"@x>", 0, ADDRESS_STRICT, ADDRESS_OK, "a@x", ""},
    {"needed escapes stay", "<\"a\\\"\\\\\"@x>", 0, ADDRESS_STRICT, ADDRESS_OK, "\"a\\\"\\\\\"@x", ""},
    {"an at sign in quotes", "<\"a@b\"@x>", 0, 0, ADDRESS_OK, "\"a@b\"@x", ""},
    {"a bracket in quotes", "<\"a>b\"@x> y", 0, 0, ADDRESS_OK, "\"a>b\"@x", " y"},
    {"a blank in quotes, no brackets", "\"a b\"@x y", 0, 0, ADDRESS_OK, "\"a b\"@x", " y"},
    {"words of both kinds", "<a.\"b\".c@x>", 0, 0, ADDRESS_OK, "a.b.c@x", ""},
    {"words of both kinds, strict", "<a.\"b\".c@x>", 0, ADDRESS_STRICT, ADDRESS_SYNTAX, "", ""},
    {"an empty local part in quotes", "<\"\"@x>", 0, 0, ADDRESS_OK, "\"\"@x", ""},
    {"no local part", "<@x>", 0, BOTH, ADDRESS_SYNTAX, "", ""},
    {"no domain after @", "<a@>", 0, BOTH, ADDRESS_SYNTAX, "", ""},
    {"a final dot", "<a@b.test.>", 0, 0, ADDRESS_OK, "a@b.test", ""},
    {"of a name that might be completed", "<a@b.>", 0, 0, ADDRESS_OK, "a@b.", ""},
    {"two of them", "<a@b..>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"two dots", "<a..b@x>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"dot first", "<.a@x>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"dot last", "<a.@x>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"two at signs", "<a@b@c>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"two paths", "<<a@b>>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"no closing bracket", "<a@b", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"no opening bracket", "a@b>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"source route", "<@one,@two:joe@three>", 0, ADDRESS_STRICT, ADDRESS_OK, "joe@three", ""},
    {"source route over a literal", "<@[IPv6:::1]:joe@three>", 0, 0, ADDRESS_OK, "joe@three", ""},
    {"source route that ends nowhere", "<@one,@two>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"source route without at", "<@one,two:joe@three>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"postmaster alone", "<Postmaster>", 0, ADDRESS_NO_DOMAIN_OK, ADDRESS_OK, "Postmaster", ""},
    {"a name alone where it is not allowed", "<joe>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"IPv4 literal", "<a@[192.0.2.1]>", 0, ADDRESS_STRICT, ADDRESS_OK, "a@[192.0.2.1]", ""},
    {"IPv6 literal in its one form", "<a@[IPv6:2001:DB8:0::1]>", 0, 0, ADDRESS_OK, "a@[ipv6:2001:db8::1]",
	""},
    {"B16: bad literal", "<a@[999.1.1.1]>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"B16: unclosed literal", "<a@[IPv6:::1>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"literal without its tag", "<a@[::1]>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"underscore in a domain", "<a@x_y.z>", 0, 0, ADDRESS_OK, "a@x_y.z", ""},
    {"a full stop behind the domain", "<a@x.y.>", 0, 0, ADDRESS_OK, "a@x.y", ""},
    {"the same, strict", "<a@x.y.>", 0, ADDRESS_STRICT, ADDRESS_SYNTAX, "", ""},
    {"H03: what looks like an option is a local part", "<-oQ/tmp/x@y>", 0, 0, ADDRESS_OK, "-oQ/tmp/x@y", ""},
    {"H03: unless that is not wanted", "<-oQ/tmp/x@y>", 0, ADDRESS_NO_OPTION, ADDRESS_SYNTAX, "", ""},
    {"H03: quotes go", "<\"-oQ\"@y>", 0, ADDRESS_NO_OPTION, ADDRESS_SYNTAX, "", ""},
    {"H03: quotes stay", "<\"-o Q\"@y>", 0, ADDRESS_NO_OPTION, ADDRESS_SYNTAX, "", ""},
    {"H03: a route is no way round it", "<@a:-x@y>", 0, ADDRESS_NO_OPTION, ADDRESS_SYNTAX, "", ""},
    {"H03: a hyphen behind is none", "<a-b@y>", 0, ADDRESS_NO_OPTION, ADDRESS_OK, "a-b@y", ""},
    {"H03: a pipe too", "<|/bin/sh@y>", 0, 0, ADDRESS_OK, "|/bin/sh@y", ""},
    {"H03: an include is none", "<:include:/etc/shadow@y>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"H03: newline", "<a\nb@y>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"H03: newline in quotes", "<\"a\nb\"@y>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"B13: NUL", "<a\0b@y>", 7, 0, ADDRESS_SYNTAX, "", ""},
    {"B13: NUL in quotes", "<\"a\0\"@y>", 8, 0, ADDRESS_SYNTAX, "", ""},
    {"B13: NUL in the domain", "<a@y\0.z>", 8, 0, ADDRESS_SYNTAX, "", ""},
    {"DEL", "<a\177@y>", 0, 0, ADDRESS_SYNTAX, "", ""},
    {"B14: UTF-8 without SMTPUTF8", "<d\xc3\xb6@y>", 0, 0, ADDRESS_NEEDS_UTF8, "", ""},
    {"B14: UTF-8 domain without SMTPUTF8", "<d@\xc3\xb6.y>", 0, 0, ADDRESS_NEEDS_UTF8, "", ""},
    {"B14: UTF-8 with it", "<d\xc3\xb6@\xc3\xb6.y>", 0, ADDRESS_UTF8, ADDRESS_OK, "d\xc3\xb6@\xc3\xb6.y", ""},
    {"B14: overlong", "<\xc0\x80@y>", 0, ADDRESS_UTF8, ADDRESS_SYNTAX, "", ""},
    {"B14: surrogate", "<\xed\xa0\x80@y>", 0, ADDRESS_UTF8, ADDRESS_SYNTAX, "", ""},
    {"B14: beyond U+10FFFF", "<\xf5\x80\x80\x80@y>", 0, ADDRESS_UTF8, ADDRESS_SYNTAX, "", ""},
    {"B14: cut short", "<\xc3@y>", 0, ADDRESS_UTF8, ADDRESS_SYNTAX, "", ""},
};

static struct arena *
arena(void)
{
	return arena_new(1 << 16);
}

static void
check_span(const char *why, struct span got, const char *want)
{
	if (span_is(got, want))
		return;
	fail_msg("%s: got '%.*s', want '%s'", why, SPAN_ARG(got), want);
}

static void
paths_are_taken_as_written_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct path_row *row = &paths[i];
		struct arena *a = arena();
		struct span address, rest;
		struct span text = span_make(row->text, row->len ? row->len : strlen(row->text));
		enum address_fault fault = address_parse_path(a, text, row->flags, &address, &rest);
		if (fault != row->fault)
			fail_msg("%s: fault %d, want %d", row->why, (int)fault, (int)row->fault);
		if (fault == ADDRESS_OK) {
			check_span(row->why, address, row->address);
			check_span(row->why, rest, row->rest);
		}
		arena_free(&a);
	}
}

/* Each prefix is parsed from memory of just that size, so that a sanitizer sees a step too far. */
static void
paths_cut_short_are_safe(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		size_t len = paths[i].len ? paths[i].len : strlen(paths[i].text);
		for (size_t cut = 0; cut <= len; cut++) {
			char *copy = malloc(cut ? cut : 1);
			struct arena *a = arena();
			struct span address, rest;
			assert_non_null(copy);
			memcpy(copy, paths[i].text, cut);
			address_parse_path(a, span_make(copy, cut), paths[i].flags, &address, &rest);
			arena_free(&a);
			free(copy);
		}
	}
}

static void
lengths_have_their_limits(void **state)
{
	static const struct {
		size_t local, label, labels;
		enum address_fault fault;
	} rows[] = {
	    {64, 63, 3, ADDRESS_OK},
	    {512, 10, 2, ADDRESS_OK},
	    {513, 10, 2, ADDRESS_TOO_LONG},
	    {1, 64, 1, ADDRESS_SYNTAX},
	    {1, 63, 4, ADDRESS_OK},
	    {1, 63, 5, ADDRESS_TOO_LONG},
	    {100000, 1, 1, ADDRESS_TOO_LONG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1 << 20);
		struct span address, rest;
		struct buf b;
		buf_init(&b, 1 << 20);
		buf_append_text(&b, "<");
		for (size_t n = 0; n < rows[i].local; n++)
			buf_append_text(&b, "x");
		for (size_t label = 0; label < rows[i].labels; label++) {
			buf_append_text(&b, label ? "." : "@");
			for (size_t n = 0; n < rows[i].label; n++)
				buf_append_text(&b, "d");
		}
		buf_append_text(&b, ">");
		assert_int_equal(address_parse_path(a, buf_span(&b), 0, &address, &rest), rows[i].fault);
		buf_free(&b);
		arena_free(&a);
	}
}

static void
parts_are_split_and_joined(void **state)
{
	static const struct {
		const char *address, *local, *domain, *plain;
	} rows[] = {
	    {"a@b", "a", "b", "a"},
	    {"a", "a", "", "a"},
	    {"\"a@b\"@c", "\"a@b\"", "c", "a@b"},
	    {"\"a\\\"@b\"@c", "\"a\\\"@b\"", "c", "a\"@b"},
	    {"\"a\\", "\"a\\", "", "a\\"},
	    {"", "", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena();
		struct span local, domain;
		address_split(span_of(rows[i].address), &local, &domain);
		check_span(rows[i].address, local, rows[i].local);
		check_span(rows[i].address, domain, rows[i].domain);
		check_span(rows[i].address, address_unquote_local(a, local), rows[i].plain);
		arena_free(&a);
	}
}

static void
extensions_are_split_as_postfix_does(void **state)
{
	static const struct {
		const char *local, *delimiters, *user, *extension;
		bool split_owners;
	} rows[] = {
	    {"joe+x", "+", "joe", "x", false},
	    {"joe+x+y", "+", "joe", "x+y", false},
	    {"joe-x", "+-", "joe", "x", false},
	    {"joe", "+", "joe", "", false},
	    {"joe+", "+", "joe", "", false},
	    {"+joe", "+", "+joe", "", false},
	    {"joe+x", "", "joe+x", "", false},
	    {"owner-list", "-", "owner-list", "", false},
	    {"list-request", "-", "list-request", "", false},
	    {"-request", "-", "-request", "", false},
	    {"owner-list+x", "+", "owner-list", "x", false},
	    {"owner-list", "-", "owner", "list", true},
	    {"list-request", "-", "list", "request", true},
	    {"double-bounce", "-", "double-bounce", "", true},
	    {"MAILER-DAEMON", "-", "MAILER-DAEMON", "", false},
	    {"double-bounce", "-", "double-bounce", "", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span user, extension;
		address_split_extension(
		    span_of(rows[i].local), rows[i].delimiters, rows[i].split_owners, &user, &extension);
		check_span(rows[i].local, user, rows[i].user);
		check_span(rows[i].local, extension, rows[i].extension);
	}
}

struct found {
	struct buf text;
	unsigned most;
};

static bool
collect(struct span address, void *context)
{
	struct found *f = context;
	buf_printf(&f->text, "%s%.*s", f->text.len ? "|" : "", SPAN_ARG(address));
	return --f->most > 0;
}

static const struct {
	const char *why, *text, *addresses;
	int status;
} lists[] = {
    {"one", "joe@example.com", "joe@example.com", 0},
    {"names", "Joe <joe@a>, \"Doe, Jane\" <jane@b>", "joe@a|jane@b", 0},
    {"comments nest", "joe (a (b \\) c) <x@y>) @a (z)", "joe@a", 0},
    {"a group", "friends: joe@a, Jane <jane@b>;, bob@c", "joe@a|jane@b|bob@c", 0},
    {"an empty group", "undisclosed-recipients:;", "", 0},
    {"local names", "joe, jane", "joe|jane", 0},
    {"folded", "joe@a,\r\n\tjane@b\r\n", "joe@a|jane@b", 0},
    {"blanks around dots (obsolete)", "joe . doe @ example . com", "joe.doe@example.com", 0},
    {"a source route", "Joe <@one,@two:joe@three>", "joe@three", 0},
    {"empty elements", ",, joe@a,,", "joe@a", 0},
    {"semicolons for commas", "joe@a; jane@b", "joe@a|jane@b", 0},
    {"an encoded name", "=?utf-8?q?J=C3=B6?= <joe@a>", "joe@a", 0},
    {"an encoded word is no address", "=?utf-8?q?joe@evil?=, bob@a", "bob@a", -1},
    {"the beginning of an encoded word is one", "=?joe@a", "=?joe@a", 0},
    {"a name without address", "Joe Doe, bob@a", "bob@a", -1},
    {"a comma in a quoted name holds no address", "\"evil@x, \" <joe@a>", "joe@a", 0},
    {"an open comment", "joe@a, bob@b (oops", "joe@a", -1},
    {"an open quote", "joe@a, \"bob", "joe@a", -1},
    {"an open bracket", "joe@a, <bob@b", "joe@a", -1},
    {"two brackets", "<a@b><c@d>, e@f", "e@f", -1},
    {"text behind the bracket", "<a@b> c, e@f", "e@f", -1},
    {"the quoted local part keeps its blank", "\"a b\"@c", "\"a b\"@c", 0},
    {"a literal", "joe@[IPv6:::1], x@[127.0.0.1]", "joe@[ipv6:::1]|x@[127.0.0.1]", 0},
    {"UTF-8", "J\xc3\xb6 <j\xc3\xb6@\xc3\xb6.x>", "j\xc3\xb6@\xc3\xb6.x", 0},
    {"bytes that are no UTF-8", "<\xff@x>, a@b", "a@b", -1},
    {"null path", "<>", "", 0},
    {"the last at sign counts", "a.b@c@d, <e@f@[192.0.2.1]>", "\"a.b@c\"@d|\"e@f\"@[192.0.2.1]", 0},
    {"not beside quotes, or with nothing beside one", "\"a\"@b@c, d@e@, @f@g, j@@k, h@i", "h@i", -1},
};

static void
lists_give_their_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct arena *a = arena();
		struct found f = {.most = 100};
		struct error err;
		int status;
		buf_init(&f.text, 4096);
		status = address_list_parse(a, span_of(lists[i].text), collect, &f, &err);
		check_span(lists[i].why, buf_span(&f.text), lists[i].addresses);
		if (status != lists[i].status)
			fail_msg("%s: status %d", lists[i].why, status);
		buf_free(&f.text);
		arena_free(&a);
	}
}

/* Values of tables: white space separates, too. */
static void
words_are_addresses(void **state)
{
	static const struct {
		const char *text, *addresses;
		int status;
	} values[] = {
	    {"joe ann@b", "joe|ann@b", 0},
	    {"joe . d @ example . com\tann (Ann) bob", "joe.d@example.com|ann|bob", 0},
	    {"\"a b\" \"c d\"@e f", "\"a b\"|\"c d\"@e|f", 0},
	    {"Joe D <joe@a> ann <bob@b>, \"C, D\" <c@d> e", "joe@a|bob@b|c@d|e", 0},
	    {"<joe@a> <ann@b>", "joe@a|ann@b", 0},
	    {"joe ann; bob , carl", "joe|ann|bob|carl", 0},
	    {"joe \"ann", "joe", -1},
	    {"joe @", "", -1},
	    {"joe@a joe@a@auto.b", "joe@a|\"joe@a\"@auto.b", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct arena *a = arena();
		struct found f = {.most = 100};
		struct error err;
		buf_init(&f.text, 4096);
		assert_int_equal(
		    address_words_parse(a, span_of(values[i].text), collect, &f, &err), values[i].status);
		check_span(values[i].text, buf_span(&f.text), values[i].addresses);
		buf_free(&f.text);
		arena_free(&a);
	}
}

/* Longer than one address may be, and looked through once. */
static void
many_words(void **state)
{
	enum { WORDS = 50000 };
	struct arena *a = arena_new(WORDS * 100);
	struct found f = {.most = WORDS + 1};
	struct buf text;
	struct error err;

	(void)state;
	buf_init(&text, WORDS * 5);
	buf_init(&f.text, WORDS * 5);
	for (unsigned i = 0; i < WORDS; i++)
		buf_append_text(&text, "a@b ");
	assert_int_equal(address_words_parse(a, buf_span(&text), collect, &f, &err), 0);
	assert_int_equal(f.most, 1);
	buf_free(&text);
	buf_free(&f.text);
	arena_free(&a);
}

static void
collect_unusable(struct span text, void *context)
{
	struct found *f = context;

	buf_printf(&f->text, "%s!%.*s", f->text.len ? "|" : "", SPAN_ARG(text));
}

static void
what_is_no_address_is_told_as_it_was_written(void **state)
{
	static const struct {
		const char *text, *elements;
		bool words;
	} values[] = {
	    {"a@-x, b@x c@@d", "!a@-x|b@x|!c@@d", true},
	    {"a@x, Joe Doe, \"J\" <b@-x> , =?utf-8?q?c=40x?=", "a@x|!Joe Doe|!b@-x|!=?utf-8?q?c=40x?=",
		false},
	    {"a@x (b, c@x", "!a@x", false},
	    {"<a@x", "!a@x", true},
	    {"g: a@[x], >;", "!a@[x]|!", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct arena *a = arena();
		struct found f = {.most = 100};
		buf_init(&f.text, 4096);
		address_elements_parse(
		    a, span_of(values[i].text), values[i].words, collect, collect_unusable, &f);
		check_span(values[i].text, buf_span(&f.text), values[i].elements);
		buf_free(&f.text);
		arena_free(&a);
	}
}

static void
a_list_ends_when_the_caller_has_enough(void **state)
{
	struct arena *a = arena();
	struct found f = {.most = 2};
	struct error err;

	(void)state;
	buf_init(&f.text, 4096);
	assert_int_equal(address_words_parse(a, SPAN_LIT("a@x b@x c@x"), collect, &f, &err), 0);
	check_span("two words", buf_span(&f.text), "a@x|b@x");
	buf_free(&f.text);
	f = (struct found){.most = 2};
	buf_init(&f.text, 4096);
	assert_int_equal(address_list_parse(a, SPAN_LIT("a@x, b@x, c@x"), collect, &f, &err), 0);
	check_span("two", buf_span(&f.text), "a@x|b@x");
	buf_free(&f.text);
	arena_free(&a);
}

/* ---- catalogue H01: the collection of isemail.info, where it is at hand ---- */

/* The next JSON string behind the key, unescaped. Enough for that file: \uXXXX stands for ASCII and UTF-8 there. */
static const char *
json_string(const char *at, const char *key, char *out, size_t size, size_t *len)
{
	at = at ? strstr(at, key) : NULL;
	if (at == NULL)
		return NULL;
	at = strchr(at + strlen(key), '"');
	*len = 0;
	for (at++; *at && *at != '"' && *len + 4 < size; at++) {
		unsigned code = (unsigned char)*at;
		if (*at == '\\') {
			at++;
			code = *at == 'n' ? '\n' : *at == 'r' ? '\r' : *at == 't' ? '\t' : (unsigned char)*at;
			if (*at == 'u') {
				char hex[5] = {at[1], at[2], at[3], at[4], 0};
				code = (unsigned)strtoul(hex, NULL, 16);
				at += 4;
			}
		}
		if (code >= 0x80 && (unsigned char)*at < 0x80) {
			out[(*len)++] = (char)(0xc0 | code >> 6);
			code = 0x80 | (code & 0x3f);
		}
		out[(*len)++] = (char)code;
	}
	out[*len] = '\0';
	return at;
}

static void
the_collection_is_told_apart(void **state)
{
	const char *folder = getenv("POSTERN_ADDRESS_CORPUS"), *at;
	char path[1000], address[1000], category[100];
	static char text[1 << 20];
	unsigned good = 0, bad = 0;
	size_t len, category_len;
	FILE *in;

	(void)state;
	snprintf(path, sizeof(path), "%s/isemail-tests.json", folder ? folder : "");
	in = folder ? fopen(path, "r") : NULL;
	if (in == NULL)
		skip();
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	at = text;
	while ((at = json_string(at, "\"address\":", address, sizeof(address), &len)) != NULL) {
		struct arena *a = arena();
		struct span got, rest;
		char bracketed[1010];
		enum address_fault fault;
		at = json_string(at, "\"category\":", category, sizeof(category), &category_len);
		bracketed[0] = '<';
		memcpy(bracketed + 1, address, len);
		bracketed[len + 1] = '>';
		fault = address_parse_path(a, span_make(bracketed, len + 2), 0, &got, &rest);
		if (strstr(category, "VALID") || strstr(category, "RFC5321")) {
			good++;
			if (fault != ADDRESS_OK)
				fail_msg("refused: %s", address);
		} else if (strstr(category, "ERR")) {
			bad++;
			if (fault == ADDRESS_OK)
				fail_msg("accepted: %s", address);
		}
		arena_free(&a);
	}
	assert_true(good > 15 && bad > 25);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_collection_is_told_apart),
	    cmocka_unit_test(paths_are_taken_as_written_down),
	    cmocka_unit_test(paths_cut_short_are_safe),
	    cmocka_unit_test(lengths_have_their_limits),
	    cmocka_unit_test(parts_are_split_and_joined),
	    cmocka_unit_test(extensions_are_split_as_postfix_does),
	    cmocka_unit_test(lists_give_their_addresses),
	    cmocka_unit_test(words_are_addresses),
	    cmocka_unit_test(many_words),
	    cmocka_unit_test(what_is_no_address_is_told_as_it_was_written),
	    cmocka_unit_test(a_list_ends_when_the_caller_has_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
