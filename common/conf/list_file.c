#include "common/conf/list_file.h"

#include <errno.h>
#include <string.h>

#include "common/base/text.h"
#include "common/conf/source.h"

enum { DEPTH_MAX = 10, PATH_SIZE = 1024 };

static int include(struct span text, bool negated, unsigned depth, struct buf *out, struct error *err);

const char *
list_file_strictest(struct span parameter)
{
	static const struct {
		const char *name, *strictest;
	} lists[] = {
	    {"lmtp_sasl_mechanism_filter", "!static:all"},
	    {"mynetworks", ""},
	    {"smtp_sasl_mechanism_filter", "!static:all"},
	    {"smtpd_client_event_limit_exceptions", ""},
	    {"smtpd_forbid_bare_newline_exclusions", ""},
	    {"smtpd_sasl_exceptions_networks", ""},
	    {"smtpd_sasl_mechanism_filter", "!static:all"},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (span_is(parameter, lists[i].name))
			return lists[i].strictest;
	return NULL;
}

/* A table's line: only the key counts. What turns a pattern around, or holds for some addresses alone, is no key. */
static int
take_key(struct span *line, struct error *err)
{
	struct span key;

	if (ascii_is_space(line->ptr[0])) {
		line->len = 0; /* goes on with the result of the line before */
		return 0;
	}
	(void)span_next_word(line, " \t\r\v\f", &key);
	if (key.ptr[0] == '!' || key.ptr[0] == '/' || span_is_nocase(key, "if") ||
	    span_is_nocase(key, "endif"))
		return error_set(
		    err, "%.*s: within a list a table's lines begin with addresses", SPAN_ARG(key));
	*line = key;
	return 0;
}

static int
include_lines(struct span rest, bool table, bool negated, unsigned depth, struct buf *out, struct error *err)
{
	struct span line, trimmed;

	while (span_next_word(&rest, "\n", &line)) {
		trimmed = text_trim(line);
		if (trimmed.len == 0 || trimmed.ptr[0] == '#')
			continue;
		if (table && take_key(&line, err) < 0)
			return -1;
		if (include(line, negated, depth + 1, out, err) < 0)
			return -1;
	}
	return 0;
}

static int
include_file(struct span path, bool table, bool negated, unsigned depth, struct buf *out, struct error *err)
{
	char name[PATH_SIZE];
	struct buf text;
	int result = -1;

	errno = 0;
	if (depth == DEPTH_MAX)
		return error_set(err, "%.*s: files name files too deeply", SPAN_ARG(path));
	if (!span_copy(path, name, sizeof(name)))
		return error_set(err, "a file's name is too long");
	buf_init(&text, SOURCE_FILE_MAX + 1);
	if (source_load(name, &text, err) == 0)
		result = include_lines(buf_span(&text), table, negated, depth, out, err);
	buf_free(&text);
	return result;
}

/* The file that a word names, if it names one that can be read here. */
static bool
names_file(struct span word, struct span *path, bool *table)
{
	static const char *const kinds[] = {"", "cidr:", "texthash:"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		*path = span_from(word, strlen(kinds[i]));
		*table = i > 0;
		if (span_starts(word, kinds[i]) && span_starts(*path, "/"))
			return true;
	}
	return false;
}

static struct span
without_marks(struct span word)
{
	while (word.len > 1 && word.ptr[0] == '!')
		word = span_from(word, 1);
	return word;
}

bool
list_file_is_named(struct span text)
{
	struct span word, path;
	bool table;

	while (conf_list_next(&text, &word))
		if (names_file(without_marks(word), &path, &table))
			return true;
	return false;
}

static int
include(struct span text, bool negated, unsigned depth, struct buf *out, struct error *err)
{
	struct span word, path;
	bool table;

	while (conf_list_next(&text, &word)) {
		struct span plain = without_marks(word);
		bool excludes = negated != ((word.len - plain.len) % 2 == 1);

		if (names_file(plain, &path, &table)) {
			if (include_file(path, table, excludes, depth, out, err) < 0)
				return -1;
			continue;
		}
		(void)buf_printf(out, "%s%s%.*s", out->len ? ", " : "", excludes ? "!" : "", SPAN_ARG(plain));
		if (out->full)
			return error_set(err, "the list is too long");
	}
	return 0;
}

int
list_file_include(struct span text, struct buf *out, struct error *err)
{
	buf_clear(out);
	return include(text, false, 0, out, err);
}
