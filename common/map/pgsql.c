/*
 * pgsql: a query to PostgreSQL: pgsql_table(5).
 *
 * The library is used without blocking, since only so has a query a deadline.
 */
#include "config.h"

#ifdef HAVE_PGSQL

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/map/client_library.h"
#include "common/map/clients.h"
#include "common/map/query.h"

#define SYMBOLS(S)                                                                                           \
	S(PQconninfoParse)                                                                                   \
	S(PQconninfoFree)                                                                                    \
	S(PQfreemem)                                                                                         \
	S(PQconnectStartParams)                                                                              \
	S(PQconnectPoll)                                                                                     \
	S(PQfinish)                                                                                          \
	S(PQstatus)                                                                                          \
	S(PQsocket)                                                                                          \
	S(PQerrorMessage)                                                                                    \
	S(PQsetNoticeProcessor)                                                                              \
	S(PQescapeStringConn)                                                                                \
	S(PQsetnonblocking)                                                                                  \
	S(PQsendQuery)                                                                                       \
	S(PQflush)                                                                                           \
	S(PQconsumeInput)                                                                                    \
	S(PQisBusy)                                                                                          \
	S(PQgetResult)                                                                                       \
	S(PQresultStatus)                                                                                    \
	S(PQresultErrorMessage)                                                                              \
	S(PQntuples)                                                                                         \
	S(PQnfields)                                                                                         \
	S(PQgetisnull)                                                                                       \
	S(PQgetvalue)                                                                                        \
	S(PQgetlength)                                                                                       \
	S(PQclear)
#define MEMBER(function) __typeof__(function) *function;
#define ROW(function) {#function, (void **)&pq.function},

static struct {
	SYMBOLS(MEMBER)
} pq;
static const struct client_symbol symbols[] = {SYMBOLS(ROW){NULL, NULL}};

struct database {
	struct tablefile *file;
	struct query query;
	struct clients *clients;
	const char *user, *password, *dbname, *encoding;
};

static int
pgsql_load(struct error *err)
{
	static int loaded;
	return client_library_load(PGSQL_SONAME, symbols, &loaded, err);
}

static void
ignore_notice(void *context, const char *text)
{
	(void)context;
	(void)text;
}

static void
disconnect(void *connection)
{
	pq.PQfinish(connection);
}

/* Turns PQconnectPoll() until it is done. */
static int
finish_connecting(PGconn *c, int64_t deadline_us, struct error *err)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (state != PGRES_POLLING_OK) {
		if (pq.PQstatus(c) == CONNECTION_BAD || state == PGRES_POLLING_FAILED) {
			client_error(err, "PostgreSQL", pq.PQerrorMessage(c));
			return -1;
		}
		if (!client_wait(pq.PQsocket(c), state == PGRES_POLLING_WRITING, deadline_us))
			return error_set(err, "PostgreSQL: no connection in time");
		state = pq.PQconnectPoll(c);
	}
	return 0;
}

/* What the library says of one that it cannot read may quote the password in it. */
static bool
uri_is_well_formed(const char *uri)
{
	char *ignored = NULL;
	PQconninfoOption *options = pq.PQconninfoParse(uri, &ignored);

	if (ignored != NULL)
		pq.PQfreemem(ignored);
	if (options == NULL)
		return false;
	pq.PQconninfoFree(options);
	return true;
}

static void *
connect_server(void *table, const char *text, int64_t deadline_us, struct error *err)
{
	const struct database *d = table;
	struct client_place where;
	char timeout[16];
	bool uri = strstr(text, "://") != NULL;

	if (uri && !uri_is_well_formed(text)) {
		error_set(err, "PostgreSQL: hosts: a URI that makes no sense");
		return NULL;
	}
	if (!uri && !client_place_parse(text, &where)) {
		error_set(err, "%s: need unix:FOLDER, HOST or HOST:PORT", text);
		return NULL;
	}
	(void)snprintf(timeout, sizeof(timeout), "%u", client_seconds(deadline_us));
	/* What is empty counts as not given. "dbname" may be a whole URI (expand_dbname). */
	const char *const names[] = {"host", "port", "user", "password", "dbname", "client_encoding",
	    "connect_timeout", "application_name", NULL};
	const char *const values[] = {uri ? "" : where.host, uri ? "" : where.port, uri ? "" : d->user,
	    uri ? "" : d->password, uri ? text : d->dbname, d->encoding, timeout, "postern", NULL};
	PGconn *c = pq.PQconnectStartParams(names, values, 1);
	if (c == NULL) {
		error_set(err, "PostgreSQL: out of memory");
		return NULL;
	}
	(void)pq.PQsetNoticeProcessor(c, ignore_notice, NULL);
	if (finish_connecting(c, deadline_us, err) < 0) {
		pq.PQfinish(c);
		return NULL;
	}
	if (pq.PQsetnonblocking(c, 1) != 0) {
		client_error(err, "PostgreSQL", pq.PQerrorMessage(c));
		pq.PQfinish(c);
		return NULL;
	}
	return c;
}

static int
quote(struct buf *out, struct span text, void *context)
{
	char quoted[2 * MAP_KEY_MAX + 1];
	int wrong = 0;

	if (text.len > MAP_KEY_MAX)
		return -1;
	size_t len = pq.PQescapeStringConn(context, quoted, text.ptr, text.len, &wrong);
	return wrong ? -1 : buf_append(out, quoted, len);
}

static enum lookup_status
rows_read(const struct database *d, const PGresult *rows, const struct client_question *q, struct error *err)
{
	struct query_result result = {.query = &d->query, .key = q->key, .value = q->hit->value};
	int row_count = pq.PQntuples(rows), columns = pq.PQnfields(rows);

	for (int row = 0; row < row_count; row++) {
		for (int i = 0; i < columns; i++) {
			if (pq.PQgetisnull(rows, row, i))
				continue;
			struct span value =
			    span_make(pq.PQgetvalue(rows, row, i), (size_t)pq.PQgetlength(rows, row, i));
			if (query_add(&result, value, err) < 0)
				return LOOKUP_TEMPORARY;
		}
	}
	return query_end(&result);
}

/* Sends what waits and takes what came, until a result is whole or the time is over. */
static int
wait_for_result(PGconn *c, int64_t deadline_us, struct error *err)
{
	int unsent;

	while ((unsent = pq.PQflush(c)) > 0)
		if (!client_wait(pq.PQsocket(c), true, deadline_us))
			return error_set(err, "PostgreSQL: the server takes no question in time");
	while (unsent == 0 && pq.PQisBusy(c)) {
		if (!client_wait(pq.PQsocket(c), false, deadline_us))
			return error_set(err, "PostgreSQL: no answer in time");
		if (pq.PQconsumeInput(c) == 0)
			unsent = -1;
	}
	if (unsent < 0)
		client_error(err, "PostgreSQL", pq.PQerrorMessage(c));
	return unsent;
}

static enum lookup_status
ask_server(void *table, void *connection, const struct client_question *q, int64_t deadline_us, bool *lost,
    struct error *err)
{
	const struct database *d = table;
	PGconn *c = connection;
	PGresult *rows;
	struct buf sql;

	buf_init(&sql, QUERY_TEXT_MAX);
	enum lookup_status status = query_make(d->query.template, q->key, quote, c, &sql, err);
	*lost = status == LOOKUP_FOUND && pq.PQsendQuery(c, buf_text(&sql)) == 0;
	buf_free(&sql);
	if (*lost) {
		client_error(err, "PostgreSQL", pq.PQerrorMessage(c));
		return LOOKUP_TEMPORARY;
	}
	if (status != LOOKUP_FOUND)
		return status;
	status = LOOKUP_NOT_FOUND;
	/* Several statements have several results: the last that has rows counts, and any error. */
	bool failed = false;
	for (;;) {
		if (wait_for_result(c, deadline_us, err) < 0) {
			*lost = true;
			return LOOKUP_TEMPORARY;
		}
		if ((rows = pq.PQgetResult(c)) == NULL)
			break;
		ExecStatusType kind = pq.PQresultStatus(rows);
		if (kind == PGRES_TUPLES_OK && !failed) {
			buf_clear(q->hit->value);
			status = rows_read(d, rows, q, err);
		} else if (kind != PGRES_COMMAND_OK && !failed) {
			client_error(err, "PostgreSQL", pq.PQresultErrorMessage(rows));
			failed = true;
		}
		pq.PQclear(rows);
	}
	*lost = pq.PQstatus(c) == CONNECTION_BAD;
	return failed ? LOOKUP_TEMPORARY : status;
}

static const struct client_kind client = {
    "pgsql", "PostgreSQL", connect_server, ask_server, disconnect, false};

static enum lookup_status
pgsql_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	const struct database *d = table;
	enum lookup_status status = query_admits(&d->query, key, hit, err);

	return status == LOOKUP_FOUND ? clients_ask(d->clients, key, hit, err) : status;
}

static void
pgsql_close(void *table)
{
	struct database *d = table;

	clients_free(&d->clients);
	query_close(&d->query);
	tablefile_close(&d->file);
	free(d);
}

static void *
pgsql_open(const struct map_input *in, struct error *err)
{
	if (pgsql_load(err) < 0)
		return NULL;
	struct tablefile *file = tablefile_open(in, err);
	if (file == NULL)
		return NULL;
	struct database *d = mem_alloc(sizeof(*d));
	d->file = file;
	d->user = tablefile_text(file, "user", "");
	d->password = tablefile_text(file, "password", "");
	d->encoding = tablefile_text(file, "encoding", "UTF8");
	d->dbname = tablefile_text(file, "dbname", "");
	const char *hosts = tablefile_text(file, "hosts", "");
	if (strstr(hosts, "://") == NULL && tablefile_need(file, "dbname", &d->dbname, err) < 0) {
		pgsql_close(d);
		return NULL;
	}
	if (query_open_sql(&d->query, file, in, err) < 0) {
		pgsql_close(d);
		return NULL;
	}
	uint64_t timeout = tablefile_number(file, "timeout", CLIENT_TIMEOUT_SECONDS, 1, CLIENT_TIMEOUT_MAX);
	d->clients = clients_new(&client, d, in->name, hosts[0] != '\0' ? hosts : "unix:", (unsigned)timeout);
	clients_read_intervals(d->clients, file);
	tablefile_finish(file);
	return d;
}

const struct map_kind map_kind_pgsql = {
    .name = "pgsql",
    .suffix = "",
    .needs = MAP_BLOCKS | MAP_NETWORK | MAP_LIBRARY_PGSQL,
    .open = pgsql_open,
    .lookup = pgsql_lookup,
    .close = pgsql_close,
    .preload = pgsql_load,
};

#endif
