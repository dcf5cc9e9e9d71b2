/* postern config -e: the text of the file before and after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "tools/config_edit.h"

static void
edits(void **state)
{
	static const struct {
		const char *why, *before, *after;
	} rows[] = {
	    {"an empty file", "", "name = new\n"},
	    {"no newline at the end", "other = 1", "other = 1\nname = new\n"},
	    {"it is there", "a = 1\nname = old\nb = 2\n", "a = 1\nname = new\nb = 2\n"},
	    {"it is there without blanks", "name=old\n", "name = new\n"},
	    {"its continuation goes, comments stay", "name = old\n  more\n# why\n  and more\nb = 2\n",
		"name = new\n# why\nb = 2\n"},
	    {"a form feed is white space", "name = old\n\f\n\fmore\nb = 2\n", "name = new\n\f\nb = 2\n"},
	    {"given twice: the first place stays", "name = old\nb = 2\nname = older\n c\n",
		"name = new\nb = 2\n"},
	    {"another name that begins like it", "name_of = 1\n", "name_of = 1\nname = new\n"},
	    {"in a comment it is not", "#name = old\n", "#name = old\nname = new\n"},
	    {"a new one in front of sections", "a = 1\n\n# the section\n[s]\nlisten = :1\n",
		"a = 1\nname = new\n\n# the section\n[s]\nlisten = :1\n"},
	    {"a section's own stays", "[s]\nname = theirs\n", "name = new\n[s]\nname = theirs\n"},
	    {"behind the last comment of a file without sections", "a = 1\n# end\n",
		"a = 1\n# end\nname = new\n"},
	    {"the last line without a newline", "name = old", "name = new\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;

		buf_init(&out, 1000);
		assert_int_equal(config_edit_text(span_of(rows[i].before), CONFIG_SET, SPAN_LIT("name"),
				     SPAN_LIT("new"), &out),
		    0);
		if (strcmp(buf_text(&out), rows[i].after) != 0)
			fail_msg("%s: \"%s\"", rows[i].why, buf_text(&out));
		buf_free(&out);
	}
}

static void
removals(void **state)
{
	static const struct {
		const char *why, *before, *removed, *commented;
	} rows[] = {
	    {"it is not there", "a = 1\n", "a = 1\n", "a = 1\n"},
	    {"an empty file", "", "", ""},
	    {"with its continuation, and comments stay", "name = old\n  more\n# why\n  and more\nb = 2\n",
		"# why\nb = 2\n", "#name = old\n#  more\n# why\n#  and more\nb = 2\n"},
	    {"each place", "name = 1\nb = 2\nname=3\n", "b = 2\n", "#name = 1\nb = 2\n#name=3\n"},
	    {"a section's own stays", "name = 1\n[s]\nname = theirs\n", "[s]\nname = theirs\n",
		"#name = 1\n[s]\nname = theirs\n"},
	    {"the last line without a newline", "a = 1\nname = old", "a = 1\n", "a = 1\n#name = old"},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		bool remove = i % 2 == 0;
		struct buf out;

		buf_init(&out, 1000);
		assert_int_equal(
		    config_edit_text(span_of(rows[i / 2].before), remove ? CONFIG_REMOVE : CONFIG_COMMENT,
			SPAN_LIT("name"), SPAN_LIT(""), &out),
		    0);
		if (strcmp(buf_text(&out), remove ? rows[i / 2].removed : rows[i / 2].commented) != 0)
			fail_msg("%s: \"%s\"", rows[i / 2].why, buf_text(&out));
		buf_free(&out);
	}
}

static void
a_full_buffer_is_told(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 10);
	assert_int_equal(
	    config_edit_text(SPAN_LIT("a = 1\nb = 2\n"), CONFIG_SET, SPAN_LIT("name"), SPAN_LIT("new"), &out),
	    -1);
	buf_free(&out);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(edits),
	    cmocka_unit_test(removals),
	    cmocka_unit_test(a_full_buffer_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
