#include "common/map/mapfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/map/entries.h"
#include "common/map/file_values.h"
#include "common/map/kinds.h"
#include "common/map/lines.h"
#include "common/map/placing.h"
#include "common/map/writer.h"

/* A file that is being written. */
struct build {
	const struct mapfile_options *options;
	const char *source; /* what complaints name */
	struct placing place;
	const struct writer *writer;
	void *file;
};

static int
file_open(struct build *b, bool fresh, size_t source_bytes, struct error *err)
{
	b->file = b->writer->open(b->place.temporary, b->writer->type, fresh, source_bytes, err);
	return b->file != NULL ? 0 : -1;
}

static void
complain(const struct build *b, unsigned line, const char *text)
{
	b->options->complain(b->source, line, text, b->options->context);
}

/* key has room for a NUL behind it; values are copied for theirs. */
static int
put(struct build *b, char *key, size_t key_len, struct span value, bool with_nul, unsigned line,
    struct error *err)
{
	char text[MAP_KEY_MAX + 100];
	char *copy = mem_strndup(value.ptr, value.len);
	size_t nul = with_nul ? 1 : 0;

	key[key_len] = '\0';
	bool replace = b->options->duplicates == MAPFILE_REPLACE;
	enum writer_result result = b->writer->put(
	    b->file, span_make(key, key_len + nul), span_make(copy, value.len + nul), replace, err);
	free(copy);
	if (result == WRITER_EXISTS && b->options->duplicates == MAPFILE_WARN) {
		(void)snprintf(text, sizeof(text), "duplicate entry: \"%s\"", key);
		complain(b, line, text);
	}
	return result == WRITER_FAILED ? -1 : 0;
}

/* A value that names files. */
static int
put_files(struct build *b, char *key, size_t key_len, struct span files, unsigned number, struct error *err)
{
	struct buf value;
	int result;

	buf_init(&value, MAP_VALUE_MAX);
	result = file_value_encode(files, &value, err);
	if (result < 0)
		error_while(err, "%s, line %u: nothing was built", b->source, number);
	else
		result = put(b, key, key_len, buf_span(&value), !b->options->no_nul, number, err);
	buf_free(&value);
	return result;
}

/* One logical line. A mistake is told and skipped. */
static int
put_line(struct build *b, struct span line, unsigned number, struct buf *alias, struct error *err)
{
	char key[MAP_KEY_MAX + 1];
	struct span name, value;
	const char *wrong;

	if ((wrong = map_line_wrong(line, b->options->octets)) != NULL) {
		complain(b, number, wrong);
		return 0;
	}
	if (b->options->form == MAPFILE_ALIAS) {
		wrong = entry_parse_alias(line, alias, &value);
		name = buf_span(alias);
	} else {
		wrong = entry_parse_map(line, &name, &value);
	}
	if (wrong == entry_value_too_long)
		return error_set(err, "%s, line %u: %s: nothing was built", b->source, number, wrong);
	if (wrong != NULL) {
		complain(b, number, wrong);
		return 0;
	}
	if (b->options->form == MAPFILE_MAP && name.ptr[name.len - 1] == ':')
		complain(b, number, "record is in \"key: value\" format; is this an alias file?");
	if (b->options->keep_case) {
		memcpy(key, name.ptr, name.len);
	} else if (!map_key_fold(name, b->options->octets, key, &name)) {
		complain(b, number, entry_key_too_long);
		return 0;
	}
	if (b->options->file_values)
		return put_files(b, key, name.len, value, number, err);
	return put(b, key, name.len, value, !b->options->no_nul, number, err);
}

static int
put_text(struct build *b, struct span text, struct error *err)
{
	struct lines lines;
	struct span line;
	struct buf alias;
	int status = 0;

	buf_init(&alias, MAP_KEY_MAX);
	lines_begin(&lines, text);
	while (status == 0 && lines_next(&lines, &line))
		status = put_line(b, line, lines.first, &alias, err);
	lines_end(&lines);
	buf_free(&alias);
	return status;
}

/* sendmail wants "@"; NIS wants its two without NUL, whatever the others have. */
static int
put_signatures(struct build *b, struct error *err)
{
	char at[] = "@", modified[] = "YP_LAST_MODIFIED", master[] = "YP_MASTER_NAME", stamp[32];
	const char *host = b->options->hostname != NULL ? b->options->hostname : "localhost";
	struct mapfile_options quiet = *b->options;

	quiet.duplicates = MAPFILE_REPLACE;
	const struct mapfile_options *before = b->options;
	b->options = &quiet;
	(void)snprintf(stamp, sizeof(stamp), "%010lld", (long long)time(NULL));
	int status = put(b, at, 1, SPAN_LIT("@"), !quiet.no_nul, 0, err);
	if (status == 0)
		status = put(b, modified, strlen(modified), span_of(stamp), false, 0, err);
	if (status == 0)
		status = put(b, master, strlen(master), span_of(host), false, 0, err);
	b->options = before;
	return status;
}

/* Ends a build well (status 0) or not: in either case nothing is left behind. */
static int
build_end(struct build *b, int status, struct error *err)
{
	struct error late;

	if (b->file != NULL) {
		int closed = b->writer->close(b->file, status != 0, status == 0 ? err : &late);
		if (status == 0)
			status = closed;
	}
	return placing_end(&b->place, status, err);
}

static int
build_begin(struct build *b, const char *type, const char *path, struct error *err)
{
	b->writer = writer_find(type, err);
	if (b->writer == NULL)
		return -1;
	if (placing_begin(&b->place, path, b->writer->suffix, b->options->own_mode, err) < 0)
		return -1;
	if (b->options->file_values)
		b->place.mode &= 0600;
	return 0;
}

int
mapfile_build(const char *type, const char *path, const struct mapfile_options *options, struct error *err)
{
	struct build b = {.options = options, .source = path};
	size_t len;

	if (build_begin(&b, type, path, err) < 0)
		return -1;
	char *bytes = lines_load(path, MAPFILE_SOURCE_MAX, &len, err);
	int status = bytes == NULL ? -1 : file_open(&b, true, len, err);
	if (status == 0)
		status = put_text(&b, span_make(bytes, len), err);
	if (status == 0 && options->form == MAPFILE_ALIAS)
		status = put_signatures(&b, err);
	free(bytes);
	return build_end(&b, status, err);
}

/* A copy of the file that is there, to be changed. */
static int
change_begin(struct build *b, const char *type, const char *path, struct error *err)
{
	if (build_begin(b, type, path, err) < 0)
		return -2;
	if (!b->writer->changes)
		return error_set(err, "%s files cannot be changed, only built anew", type);
	return placing_copy_old(&b->place, err);
}

int
mapfile_add(const char *type, const char *path, struct span text, const struct mapfile_options *options,
    struct error *err)
{
	struct build b = {.options = options, .source = "stdin"};

	int status = options->anew ? build_begin(&b, type, path, err) : change_begin(&b, type, path, err);
	if (status == -2 || (options->anew && status < 0))
		return -1;
	if (status >= 0)
		status = file_open(&b, status == 0, text.len, err);
	if (status == 0)
		status = put_text(&b, text, err);
	return build_end(&b, status, err);
}

/* With and without NUL, for a table may come from elsewhere. */
static int
remove_one(struct build *b, struct span key, size_t *removed, struct error *err)
{
	char copy[MAP_KEY_MAX + 1];

	if (key.len == 0 || key.len > MAP_KEY_MAX)
		return 0;
	if (b->options->keep_case)
		memcpy(copy, key.ptr, key.len);
	else if (!map_key_fold(key, b->options->octets, copy, &key))
		return 0;
	copy[key.len] = '\0';
	for (size_t nul = 0; nul < 2; nul++) {
		enum writer_result result = b->writer->remove(b->file, span_make(copy, key.len + nul), err);
		if (result == WRITER_FAILED)
			return -1;
		if (result == WRITER_DONE)
			++*removed;
	}
	return 0;
}

int
mapfile_remove(const char *type, const char *path, const struct span *keys, size_t count,
    const struct mapfile_options *options, size_t *removed, struct error *err)
{
	struct build b = {.options = options, .source = path};

	*removed = 0;
	int status = change_begin(&b, type, path, err);
	if (status == -2)
		return -1;
	if (status == 0)
		status = error_set(err, "open database %s: %s", b.place.final, strerror(ENOENT));
	else if (status == 1)
		status = file_open(&b, false, 0, err);
	for (size_t i = 0; status == 0 && i < count; i++)
		status = remove_one(&b, keys[i], removed, err);
	return build_end(&b, status, err);
}
