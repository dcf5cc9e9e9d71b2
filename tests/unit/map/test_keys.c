/* Which keys are tried, in which order: a table that knows nothing, and one entry at a time that must be the first hit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/map/keys.h"

static bool
is_ours(struct span domain, void *context)
{
	(void)context;
	return span_is(domain, "ours.test");
}

/*
 * want: the keys in order, separated by blanks. Each is put alone into a table together with all that follow it, and
 * must be the one that hits; then none hits.
 */
struct row {
	const char *name;
	enum lookup_form form;
	const char *question, *want;
	bool parents;
};

static const struct row rows[] = {
    {"exact", LOOKUP_EXACT, "a+b@c.test", "a+b@c.test", false},
    {"host, with parents", LOOKUP_HOST, "a.b.test", "a.b.test b.test test", true},
    {"host, with .parents", LOOKUP_HOST, "a.b.test", "a.b.test .b.test .test", false},
    {"IPv4", LOOKUP_ADDRESS, "192.0.2.1", "192.0.2.1 192.0.2 192.0 192", false},
    {"IPv6", LOOKUP_ADDRESS, "2001:db8::1", "2001:db8::1 2001:db8 2001", false},
    {"client: name first", LOOKUP_CLIENT, "a.test\n192.0.2.1", "a.test test 192.0.2.1 192.0.2 192.0 192",
	true},
    {"access: address", LOOKUP_MAIL_ACCESS, "u+x@a.test", "u+x@a.test u@a.test a.test test u+x@ u@", true},
    {"access: without extension", LOOKUP_MAIL_ACCESS, "u@a.test", "u@a.test a.test .test u@", false},
    {"access: without a domain", LOOKUP_MAIL_ACCESS, "u", "u@our.test our.test .test u@", false},
    {"access: null sender", LOOKUP_MAIL_ACCESS, "", "<>", true},
    {"access: quoted", LOOKUP_MAIL_ACCESS, "\"u/v+x\"@a.test",
	"\"u/v+x\"@a.test u/v+x@a.test \"u/v\"@a.test u/v@a.test a.test \"u/v+x\"@ u/v+x@ \"u/v\"@ u/v@",
	false},
    {"mail: quoted", LOOKUP_MAIL, "\"u\\\"v\"@ours.test",
	"\"u\\\"v\"@ours.test u\"v@ours.test \"u\\\"v\" u\"v @ours.test", false},
    {"mail: quotes that keep it one address", LOOKUP_MAIL, "\"u@v\"@a.test", "\"u@v\"@a.test @a.test", false},
    {"mail: a quote that nothing closes", LOOKUP_MAIL, "\"uv", "\"uv", false},
    {"mail: an escape at the end", LOOKUP_MAIL, "\"u\\", "\"u\\", false},
    {"mail: ours", LOOKUP_MAIL, "u+x@ours.test", "u+x@ours.test u@ours.test u+x u @ours.test", false},
    {"mail: another's", LOOKUP_MAIL, "u+x@a.test", "u+x@a.test u@a.test @a.test", false},
    {"mail: bare", LOOKUP_MAIL, "u", "u", false},
    {"aliases", LOOKUP_LOCAL, "u+x", "u+x u", false},
    {"aliases: an '@' is part of the name", LOOKUP_LOCAL, "u@v", "u@v", false},
    {"aliases: owner- is no extension", LOOKUP_LOCAL, "owner+x", "owner+x owner", false},
    {"transport", LOOKUP_TRANSPORT, "u+x@a.b.test", "u+x@a.b.test u@a.b.test a.b.test .b.test .test *",
	false},
    {"no delimiter at the start", LOOKUP_LOCAL, "+x", "+x", false},
    {"next hop: parents with a dot, whatever others do", LOOKUP_NEXTHOP, "mx.b.test",
	"mx.b.test .b.test .test", true},
    {"next hop in brackets: itself alone", LOOKUP_NEXTHOP, "[mx.b.test]", "[mx.b.test]", true},
    {"next hop with a port: itself alone", LOOKUP_NEXTHOP, "mx.b.test:587", "mx.b.test:587", true},
    {"both forms of a domain", LOOKUP_VIRTUAL, "u+x@b\303\274cher.test",
	"u+x@b\303\274cher.test u+x@xn--bcher-kva.test u@b\303\274cher.test u@xn--bcher-kva.test "
	"@b\303\274cher.test @xn--bcher-kva.test",
	false},
    {"and the other way round", LOOKUP_HOST, "xn--bcher-kva.test",
	"xn--bcher-kva.test b\303\274cher.test .test", false},
    {"names of this host have one form", LOOKUP_LOCAL, "xn--bcher-kva.test", "xn--bcher-kva.test", false},
    {"an address literal has no parents", LOOKUP_TRANSPORT, "u@[192.0.2.1]", "u@[192.0.2.1] [192.0.2.1] *",
	false},
};

static enum lookup_status
ask(const struct row *row, const char *entries, struct map_found *found)
{
	const struct map_keys keys = {
	    .delimiters = "+", .parent_matches = row->parents, .is_local = is_ours, .origin = "our.test"};
	struct map_set *set = map_set_new(NULL);
	struct maplist *list = map_set_list(set, span_of(entries), NULL);

	enum lookup_status status = map_find(list, row->form, span_of(row->question), &keys, found, NULL);
	map_set_free(&set);
	return status;
}

/* inline:{{key1=1}, {key2=1}, ...} of what is left in keys. */
static void
entries_make(struct buf *out, struct span keys)
{
	struct span key;

	buf_clear(out);
	(void)buf_append_text(out, "inline:{");
	while (span_next_word(&keys, " ", &key))
		(void)buf_printf(out, "{%.*s=1},", SPAN_ARG(key));
	(void)buf_append_text(out, "{nothing=1}}");
}

static void
order(void **state)
{
	struct buf entries;
	struct map_found found;

	(void)state;
	buf_init(&entries, 4096);
	map_found_init(&found);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span rest = span_of(rows[i].want), key;
		for (;;) {
			entries_make(&entries, rest);
			enum lookup_status status = ask(&rows[i], buf_text(&entries), &found);
			if (!span_next_word(&rest, " ", &key)) {
				assert_int_equal(status, LOOKUP_NOT_FOUND);
				break;
			}
			if (status != LOOKUP_FOUND || !span_equal(buf_span(&found.key), key))
				fail_msg("%s: want %.*s, got %d %.*s", rows[i].name, SPAN_ARG(key), status,
				    SPAN_ARG(buf_span(&found.key)));
		}
	}
	map_found_free(&found);
	buf_free(&entries);
}

static void
mark_of_a_built_table(void **state)
{
	static const struct row local[] = {
	    {"@", LOOKUP_LOCAL, "@", "", false}, {"@+x", LOOKUP_LOCAL, "@+x", "", false}};
	struct map_found found;

	(void)state;
	map_found_init(&found);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(ask(&local[i], "inline:{{@=@},{u=1}}", &found), LOOKUP_NOT_FOUND);
	map_found_free(&found);
}

/* What would be another address's key, or more than was asked for. */
static void
others_are_not_tried(void **state)
{
	static const struct row keys_of_others[] = {
	    {"quotes that keep it one address", LOOKUP_MAIL, "\"u@v\"@a.test", "u@v@a.test", false},
	    {"nothing in quotes is nobody, not everybody", LOOKUP_MAIL_ACCESS, "\"\"@a.test", "@a.test",
		false},
	    {"a user of another domain", LOOKUP_MAIL, "u+x@a.test", "u", false},
	    {"and with the extension", LOOKUP_MAIL, "u+x@a.test", "u+x", false},
	    {"a domain of virtual(8) alone", LOOKUP_VIRTUAL, "u@a.test", "a.test", false},
	    {"parents without their dot", LOOKUP_HOST, "a.b.test", "b.test", false},
	    {"or with it", LOOKUP_HOST, "a.b.test", ".b.test", true},
	    {"a half octet", LOOKUP_ADDRESS, "192.0.21.1", "192.0.2", false},
	    {"a user whose domain it is", LOOKUP_MAIL_ACCESS, "u@a.test", "u", false},
	    {"@domain of access(5)", LOOKUP_MAIL_ACCESS, "u@a.test", "@a.test", true},
	    {"the name before an '@'", LOOKUP_LOCAL, "u@v", "u", false},
	    {"the name of a host for its next hop", LOOKUP_NEXTHOP, "[mx.b.test]", "mx.b.test", false},
	    {"a literal's parent", LOOKUP_TRANSPORT, "u@[192.0.2.1]", ".2.1]", false},
	    {"the other form of an exact key", LOOKUP_EXACT, "u@xn--bcher-kva.test", "u@b\303\274cher.test",
		false},
	};
	struct buf entries;
	struct map_found found;

	(void)state;
	buf_init(&entries, 4096);
	map_found_init(&found);
	for (size_t i = 0; i < sizeof(keys_of_others) / sizeof(keys_of_others[0]); i++) {
		entries_make(&entries, span_of(keys_of_others[i].want));
		if (ask(&keys_of_others[i], buf_text(&entries), &found) != LOOKUP_NOT_FOUND)
			fail_msg("%s: %s is tried", keys_of_others[i].name, keys_of_others[i].want);
	}
	map_found_free(&found);
	buf_free(&entries);
}

/* As Postfix has it: a table that answers nothing for a key is out of order, and nobody is unknown by that. */
static void
empty_results(void **state)
{
	static const char *const tables[] = {"inline:{u@a=}", "regexp:{{/^u@a$/ }}", "static:{}",
	    "unionmap:{inline:{x=y},static:{}},inline:{u@a=}"};
	const struct map_keys keys = {.delimiters = "+"};
	struct map_found found;

	(void)state;
	map_found_init(&found);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct map_set *set = map_set_new(NULL);
		struct maplist *list = map_set_list(set, span_of(tables[i]), NULL);
		assert_int_equal(
		    map_find(list, LOOKUP_VIRTUAL, SPAN_LIT("u@a"), &keys, &found, NULL), LOOKUP_TEMPORARY);
		assert_non_null(strstr(found.err.text, "key u@a: an empty result is not allowed"));
		map_set_free(&set);
	}
	map_found_free(&found);
}

/* Catalogue H10: parts of the key in a value are no route, file or second address. */
static void
substitution(void **state)
{
	static const struct {
		const char *name, *table;
		enum lookup_form form;
		const char *question;
		enum lookup_status want;
	} cases[] = {
	    {"an address", "regexp:{{/^(.*)@a$/ $1@b}}", LOOKUP_MAIL, "u@a", LOOKUP_FOUND},
	    {"a quoted address stays one", "regexp:{{/^(.*)@a$/ $1@b}}", LOOKUP_MAIL, "\"u, v\"@a",
		LOOKUP_FOUND},
	    {"two addresses out of one", "regexp:{{/^\"(.*)\"@a$/ $1}}", LOOKUP_MAIL, "\"u, v\"@a",
		LOOKUP_TEMPORARY},
	    {"a quote that opens none", "regexp:{{/^(.).*@a$/ $1}}", LOOKUP_MAIL, "\"u\"@a",
		LOOKUP_TEMPORARY},
	    {"a command", "regexp:{{/^(.*)$/ $1}}", LOOKUP_LOCAL, "|id", LOOKUP_TEMPORARY},
	    {"a route", "regexp:{{/^.*@(.*)$/ smtp:[$1]}}", LOOKUP_TRANSPORT, "u@a", LOOKUP_TEMPORARY},
	    {"a fixed route", "regexp:{{/^.*@(.*)$/ smtp:[x]}}", LOOKUP_TRANSPORT, "u@a", LOOKUP_FOUND},
	    {"through another table", "pipemap:{regexp:{{/^(.*)$/ $1}},static:x}", LOOKUP_LOCAL, "u",
		LOOKUP_TEMPORARY},
	};
	const struct map_keys keys = {.delimiters = "+"};
	struct map_found found;

	(void)state;
	map_found_init(&found);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct map_set *set = map_set_new(NULL);
		struct maplist *list = map_set_list(set, span_of(cases[i].table), NULL);
		enum lookup_status got =
		    map_find(list, cases[i].form, span_of(cases[i].question), &keys, &found, NULL);
		if (got != cases[i].want)
			fail_msg("%s: %d", cases[i].name, got);
		map_set_free(&set);
	}
	map_found_free(&found);
}

/* A table of patterns sees the whole question only: "user@" must not match /^user/ with half an address. */
static void
patterns(void **state)
{
	static const struct {
		const char *table;
		enum lookup_form form;
		const char *question;
		enum lookup_status want;
	} cases[] = {
	    {"regexp:{{/^u@a.test$/ half}}", LOOKUP_MAIL_ACCESS, "u+x@a.test", LOOKUP_NOT_FOUND},
	    {"regexp:{{/^u@a.test$/ half}}", LOOKUP_MAIL_ACCESS, "u@a.test", LOOKUP_FOUND},
	    {"regexp:{{/^a.test$/ half}}", LOOKUP_MAIL_ACCESS, "u@a.test", LOOKUP_NOT_FOUND},
	    {"regexp:{{/^u@$/ half}}", LOOKUP_MAIL_ACCESS, "u@a.test", LOOKUP_NOT_FOUND},
	    {"regexp:{{/^u$/ half}}", LOOKUP_LOCAL, "u+x", LOOKUP_NOT_FOUND},
	    {"regexp:{{/^u$/ half}}", LOOKUP_LOCAL, "u", LOOKUP_FOUND},
	    {"regexp:{{/^u$/ half}}", LOOKUP_MAIL, "u@ours.test", LOOKUP_NOT_FOUND},
	    {"regexp:{{/^u$/ half}}", LOOKUP_MAIL, "u+x@ours.test", LOOKUP_NOT_FOUND},
	    {"regexp:{{/^@ours.test$/ half}}", LOOKUP_MAIL, "u@ours.test", LOOKUP_NOT_FOUND},
	    {"regexp:{{/^a.test$/ half}}", LOOKUP_TRANSPORT, "u@a.test", LOOKUP_NOT_FOUND},
	    {"regexp:{{/^[*]$/ half}}", LOOKUP_TRANSPORT, "u@a.test", LOOKUP_NOT_FOUND},
	};
	const struct map_keys keys = {.delimiters = "+", .is_local = is_ours};
	struct map_found found;

	(void)state;
	map_found_init(&found);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct map_set *set = map_set_new(NULL);
		struct maplist *list = map_set_list(set, span_of(cases[i].table), NULL);
		enum lookup_status got =
		    map_find(list, cases[i].form, span_of(cases[i].question), &keys, &found, NULL);
		if (got != cases[i].want)
			fail_msg("%s asked for %s: %d", cases[i].table, cases[i].question, got);
		map_set_free(&set);
	}
	map_found_free(&found);
}

/* What propagate_unmatched_extensions copies. */
static void
extensions(void **state)
{
	static const struct {
		const char *table, *question, *want;
	} cases[] = {
	    {"inline:{u@a.test=1}", "u+x@a.test", "+x"},
	    {"inline:{u+x@a.test=1}", "u+x@a.test", ""},
	    {"inline:{@a.test=1}", "u+x@a.test", ""},
	    {"inline:{{\"u v\"@a.test=1}}", "\"u v+x y\"@a.test", "+x y"},
	};
	const struct map_keys keys = {.delimiters = "+"};
	struct map_found found;
	struct span extension;

	(void)state;
	map_found_init(&found);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct map_set *set = map_set_new(NULL);
		struct maplist *list = map_set_list(set, span_of(cases[i].table), NULL);
		assert_int_equal(
		    map_find(list, LOOKUP_MAIL, span_of(cases[i].question), &keys, &found, &extension),
		    LOOKUP_FOUND);
		if (!span_is(extension, cases[i].want))
			fail_msg("%s: want \"%s\", got \"%.*s\"", cases[i].question, cases[i].want,
			    SPAN_ARG(extension));
		map_set_free(&set);
	}
	map_found_free(&found);
}

/* Tables are asked in order; trouble in one ends the search, for what stands behind it may be wrong. */
static void
lists(void **state)
{
	static const struct {
		const char *tables;
		enum lookup_status want;
		const char *value;
	} cases[] = {
	    {"inline:{a=1}, inline:{a=2}", LOOKUP_FOUND, "1"},
	    {"inline:{b=1} inline:{a=2}", LOOKUP_FOUND, "2"},
	    {"inline:{a=1}, fail:x", LOOKUP_FOUND, "1"},
	    {"fail:x, inline:{a=1}", LOOKUP_TEMPORARY, ""},
	    {"nosuch:x, inline:{a=1}", LOOKUP_TEMPORARY, ""},
	    {"inline:{b=1}, notype", LOOKUP_TEMPORARY, ""},
	    {"", LOOKUP_NOT_FOUND, ""},
	    {" , ", LOOKUP_NOT_FOUND, ""},
	};
	const struct map_keys keys = {.delimiters = "+"};
	struct map_set *set = map_set_new(NULL);
	struct map_found found;

	(void)state;
	map_found_init(&found);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct maplist *list = map_set_list(set, span_of(cases[i].tables), NULL);
		assert_int_equal(
		    map_find(list, LOOKUP_EXACT, SPAN_LIT("a"), &keys, &found, NULL), cases[i].want);
		if (cases[i].want == LOOKUP_FOUND)
			assert_true(span_is(buf_span(&found.value), cases[i].value));
		assert_ptr_equal(list, map_set_list(set, span_of(cases[i].tables), NULL));
	}
	map_found_free(&found);
	map_set_free(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(order),
	    cmocka_unit_test(mark_of_a_built_table),
	    cmocka_unit_test(others_are_not_tried),
	    cmocka_unit_test(empty_results),
	    cmocka_unit_test(substitution),
	    cmocka_unit_test(patterns),
	    cmocka_unit_test(extensions),
	    cmocka_unit_test(lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
