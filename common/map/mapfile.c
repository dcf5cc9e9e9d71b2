#include "common/map/mapfile.h"

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/map/entries.h"
#include "common/map/lines.h"
#include "common/map/placing.h"

enum { CACHE_BYTES = 16 << 20, BUCKETS_HINT = 4096 };

/* A file that is being written. */
struct build {
	const struct mapfile_options *options;
	const char *source; /* what complaints name */
	struct placing place;
	DB *db;
};

static int
db_error(const struct build *b, int status, const char *what, struct error *err)
{
	return error_set(err, "%s %s: %s", what, b->place.temporary, db_strerror(status));
}

static int
db_open(struct build *b, const char *type, bool fresh, struct error *err)
{
	DBTYPE kind = strcmp(type, "hash") == 0 ? DB_HASH : DB_BTREE;
	int status = db_create(&b->db, NULL, 0);

	if (status != 0)
		return db_error(b, status, "db_create", err);
	b->db->set_errfile(b->db, NULL);
	(void)b->db->set_cachesize(b->db, 0, CACHE_BYTES, 0);
	if (kind == DB_HASH)
		(void)b->db->set_h_nelem(b->db, BUCKETS_HINT);
	status = b->db->open(
	    b->db, NULL, b->place.temporary, NULL, kind, fresh ? DB_CREATE | DB_TRUNCATE : 0, 0600);
	return status == 0 ? 0 : db_error(b, status, "open", err);
}

static int
db_finish(struct build *b, struct error *err)
{
	int status = b->db->close(b->db, 0);

	b->db = NULL;
	return status == 0 ? 0 : db_error(b, status, "write", err);
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
	DBT k = {0}, v = {0};

	key[key_len] = '\0';
	k.data = key;
	k.size = (u_int32_t)(key_len + (with_nul ? 1 : 0));
	v.data = copy;
	v.size = (u_int32_t)(value.len + (with_nul ? 1 : 0));
	bool replace = b->options->duplicates == MAPFILE_REPLACE;
	int status = b->db->put(b->db, NULL, &k, &v, replace ? 0 : DB_NOOVERWRITE);
	free(copy);
	if (status == DB_KEYEXIST) {
		(void)snprintf(text, sizeof(text), "duplicate entry: \"%s\"", key);
		if (b->options->duplicates == MAPFILE_WARN)
			complain(b, line, text);
		return 0;
	}
	return status == 0 ? 0 : db_error(b, status, "write", err);
}

/* One logical line. A mistake is told and skipped. */
static int
put_line(struct build *b, struct span line, unsigned number, struct buf *alias, struct error *err)
{
	char key[MAP_KEY_MAX + 1];
	struct span name, value;
	const char *wrong;

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
	memcpy(key, name.ptr, name.len);
	if (!b->options->keep_case)
		text_lower(key, name.len);
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
	while (status == 0 && lines_next(&lines, &line)) {
		if (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
			complain(b, lines.first, "logical line must not start with whitespace");
		status = put_line(b, line, lines.first, &alias, err);
	}
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

static int
type_check(const char *type, struct error *err)
{
	if (strcmp(type, "hash") == 0 || strcmp(type, "btree") == 0)
		return 0;
	return error_set(err, "unsupported map type for this operation: %s", type);
}

/* Ends a build well (status 0) or not: in either case nothing is left behind. */
static int
build_end(struct build *b, int status, struct error *err)
{
	if (b->db != NULL) {
		struct error late;
		int closed = db_finish(b, status == 0 ? err : &late);
		if (status == 0)
			status = closed;
	}
	return placing_end(&b->place, status, err);
}

int
mapfile_build(const char *type, const char *path, const struct mapfile_options *options, struct error *err)
{
	struct build b = {.options = options, .source = path};
	size_t len;

	if (type_check(type, err) < 0)
		return -1;
	if (placing_begin(&b.place, path, options->own_mode, err) < 0)
		return -1;
	char *bytes = lines_load(path, MAPFILE_SOURCE_MAX, &len, err);
	int status = bytes == NULL ? -1 : db_open(&b, type, true, err);
	if (status == 0)
		status = put_text(&b, span_make(bytes, len), err);
	if (status == 0 && options->form == MAPFILE_ALIAS)
		status = put_signatures(&b, err);
	free(bytes);
	return build_end(&b, status, err);
}

int
mapfile_add(const char *type, const char *path, struct span text, const struct mapfile_options *options,
    struct error *err)
{
	struct build b = {.options = options, .source = "stdin"};

	if (type_check(type, err) < 0)
		return -1;
	if (placing_begin(&b.place, path, options->own_mode, err) < 0)
		return -1;
	int copied = placing_copy_old(&b.place, err);
	int status = copied < 0 ? -1 : db_open(&b, type, copied == 0, err);
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
	memcpy(copy, key.ptr, key.len);
	copy[key.len] = '\0';
	if (!b->options->keep_case)
		text_lower(copy, key.len);
	for (size_t nul = 0; nul < 2; nul++) {
		DBT k = {0};
		k.data = copy;
		k.size = (u_int32_t)(key.len + nul);
		int status = b->db->del(b->db, NULL, &k, 0);
		if (status == 0)
			++*removed;
		else if (status != DB_NOTFOUND)
			return db_error(b, status, "write", err);
	}
	return 0;
}

int
mapfile_remove(const char *type, const char *path, const struct span *keys, size_t count,
    const struct mapfile_options *options, size_t *removed, struct error *err)
{
	struct build b = {.options = options, .source = path};

	*removed = 0;
	if (type_check(type, err) < 0)
		return -1;
	if (placing_begin(&b.place, path, options->own_mode, err) < 0)
		return -1;
	int status = placing_copy_old(&b.place, err);
	if (status == 0)
		status = error_set(err, "open database %s: %s", b.place.final, strerror(ENOENT));
	else if (status == 1)
		status = db_open(&b, type, false, err);
	for (size_t i = 0; status == 0 && i < count; i++)
		status = remove_one(&b, keys[i], removed, err);
	return build_end(&b, status, err);
}
