/*
 * sqlite: a query to an SQLite database: sqlite_table(5).
 *
 * The database is only read. It may wait for another program's lock, and a query without an index for the disk, so it
 * is asked in a thread (MAP_BLOCKS).
 */
#include "config.h"

#ifdef HAVE_SQLITE

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/map/client_library.h"
#include "common/map/clients.h"
#include "common/map/query.h"

#define SYMBOLS(S)                                                                                           \
	S(sqlite3_open_v2)                                                                                   \
	S(sqlite3_close)                                                                                     \
	S(sqlite3_busy_timeout)                                                                              \
	S(sqlite3_prepare_v2)                                                                                \
	S(sqlite3_step)                                                                                      \
	S(sqlite3_finalize)                                                                                  \
	S(sqlite3_column_text)                                                                               \
	S(sqlite3_column_bytes)                                                                              \
	S(sqlite3_errmsg)                                                                                    \
	S(sqlite3_extended_errcode)                                                                          \
	S(sqlite3_limit)                                                                                     \
	S(sqlite3_progress_handler)
#define MEMBER(function) __typeof__(function) *function;
#define ROW(function) {#function, (void **)&lib.function},

static struct {
	SYMBOLS(MEMBER)
} lib;
static const struct client_symbol symbols[] = {SYMBOLS(ROW){NULL, NULL}};

enum { BUSY_MS = 5000, STEPS_BETWEEN_LOOKS = 10000 };

struct database {
	struct tablefile *file;
	struct query query;
	const char *path;
	sqlite3 *handle;
	bool unchanging; /* opened without locks: a WAL database that nobody writes */
	struct stat seen;
	int64_t deadline_us;
};

static int
sqlite_load(struct error *err)
{
	static int loaded;
	return client_library_load(SQLITE_SONAME, symbols, &loaded, err);
}

static void
handle_close(struct database *d)
{
	if (d->handle != NULL)
		(void)lib.sqlite3_close(d->handle);
	d->handle = NULL;
}

/* A query that goes on for ever is ended. */
static int
on_progress(void *context)
{
	const struct database *d = context;
	return clock_mono_us() >= d->deadline_us;
}

/* '?', '#' and '%' have a meaning in the URI. */
static void
uri_make(struct buf *uri, const char *path, bool unchanging)
{
	(void)buf_append_text(uri, "file:");
	for (const char *c = path; *c != '\0'; c++) {
		if (*c == '?' || *c == '#' || *c == '%')
			(void)buf_printf(uri, "%%%02x", (unsigned char)*c);
		else
			(void)buf_append(uri, c, 1);
	}
	(void)buf_append_text(uri, unchanging ? "?mode=ro&immutable=1" : "?mode=ro");
}

static int
handle_open(struct database *d, bool unchanging, struct error *err)
{
	struct buf uri;

	if (stat(d->path, &d->seen) < 0)
		return error_errno(err, "open %s", d->path);
	buf_init(&uri, 4 * MAP_NAME_MAX);
	uri_make(&uri, d->path, unchanging);
	int status = lib.sqlite3_open_v2(
	    buf_text(&uri), &d->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	buf_free(&uri);
	if (status != SQLITE_OK) {
		error_set(err, "open %s: %s", d->path,
		    d->handle != NULL ? lib.sqlite3_errmsg(d->handle) : "out of memory");
		handle_close(d);
		return -1;
	}
	d->unchanging = unchanging;
	(void)lib.sqlite3_busy_timeout(d->handle, BUSY_MS);
	/* Of a text or row: what is asked for is taken apart and put together in memory, whatever its length. */
	(void)lib.sqlite3_limit(d->handle, SQLITE_LIMIT_LENGTH, CLIENT_ANSWER_MAX);
	lib.sqlite3_progress_handler(d->handle, STEPS_BETWEEN_LOOKS, on_progress, d);
	return 0;
}

/* The file was replaced (rename), or rewritten while we took it for unchanging. */
static bool
is_another(const struct database *d)
{
	struct stat now;

	if (stat(d->path, &now) < 0)
		return true;
	if (now.st_ino != d->seen.st_ino || now.st_dev != d->seen.st_dev)
		return true;
	return d->unchanging && (now.st_mtim.tv_sec != d->seen.st_mtim.tv_sec ||
				    now.st_mtim.tv_nsec != d->seen.st_mtim.tv_nsec);
}

/* True if a writer's WAL lies beside the file. */
static bool
has_wal(const struct database *d)
{
	char path[MAP_NAME_MAX + 8];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s-wal", d->path);
	return stat(path, &st) == 0;
}

static int
quote(struct buf *out, struct span text, void *context)
{
	(void)context;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\'')
			(void)buf_append(out, "'", 1);
		(void)buf_append(out, &text.ptr[i], 1);
	}
	return 0;
}

static enum lookup_status
rows_read(struct database *d, sqlite3_stmt *s, struct query_result *result, struct error *err)
{
	int status;

	/* The first column, as in Postfix, though with other databases all count. */
	while ((status = lib.sqlite3_step(s)) == SQLITE_ROW) {
		const unsigned char *text = lib.sqlite3_column_text(s, 0);
		int len = lib.sqlite3_column_bytes(s, 0);
		if (text != NULL && query_add(result, span_make(text, (size_t)len), err) < 0)
			return LOOKUP_TEMPORARY;
		if (result->value->full)
			break;
	}
	if (status != SQLITE_DONE && status != SQLITE_ROW) {
		error_set(err, "%s: %s", d->path, lib.sqlite3_errmsg(d->handle));
		return LOOKUP_TEMPORARY;
	}
	return query_end(result);
}

static enum lookup_status
run(struct database *d, const char *sql, struct query_result *result, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	enum lookup_status status = LOOKUP_TEMPORARY;

	if (lib.sqlite3_prepare_v2(d->handle, sql, -1, &statement, NULL) == SQLITE_OK && statement != NULL)
		status = rows_read(d, statement, result, err);
	else
		error_set(err, "%s: %s", d->path, statement == NULL ? lib.sqlite3_errmsg(d->handle) : "");
	(void)lib.sqlite3_finalize(statement);
	return status;
}

static enum lookup_status
sqlite_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct database *d = table;
	struct query_result result = {.query = &d->query, .key = key, .value = hit->value};
	struct buf sql;

	enum lookup_status status = query_admits(&d->query, key, hit, err);
	if (status != LOOKUP_FOUND)
		return status;
	if (d->handle != NULL && (is_another(d) || (d->unchanging && has_wal(d))))
		handle_close(d);
	if (d->handle == NULL && handle_open(d, false, err) < 0)
		return LOOKUP_TEMPORARY;
	buf_init(&sql, QUERY_TEXT_MAX);
	status = query_make(d->query.template, key, quote, NULL, &sql, err);
	if (status != LOOKUP_FOUND) {
		buf_free(&sql);
		return status;
	}
	d->deadline_us = clock_mono_us() + CLIENT_TIMEOUT_SECONDS * US_PER_SECOND;
	status = run(d, buf_text(&sql), &result, err);
	/* A database in WAL mode that no writer has open cannot be locked by a reader without rights to write. */
	if (status == LOOKUP_TEMPORARY && d->handle != NULL && !d->unchanging && !has_wal(d) &&
	    (lib.sqlite3_extended_errcode(d->handle) & 0xff) == SQLITE_CANTOPEN) {
		handle_close(d);
		buf_clear(hit->value);
		result.count = 0;
		if (handle_open(d, true, err) == 0)
			status = run(d, buf_text(&sql), &result, err);
	}
	buf_free(&sql);
	return status;
}

static void
sqlite_close_table(void *table)
{
	struct database *d = table;

	handle_close(d);
	query_close(&d->query);
	tablefile_close(&d->file);
	free(d);
}

static void *
sqlite_open_table(const struct map_input *in, struct error *err)
{
	if (sqlite_load(err) < 0)
		return NULL;
	struct tablefile *file = tablefile_open(in, err);
	if (file == NULL)
		return NULL;
	struct database *d = mem_alloc(sizeof(*d));
	d->file = file;
	if (tablefile_need(file, "dbpath", &d->path, err) < 0 ||
	    query_open_sql(&d->query, file, in, err) < 0 || handle_open(d, false, err) < 0) {
		sqlite_close_table(d);
		return NULL;
	}
	tablefile_finish(file);
	return d;
}

const struct map_kind map_kind_sqlite = {
    .name = "sqlite",
    .suffix = "",
    .needs = MAP_BLOCKS | MAP_LIBRARY_SQLITE,
    .open = sqlite_open_table,
    .lookup = sqlite_lookup,
    .close = sqlite_close_table,
    .preload = sqlite_load,
};

#endif
