/*
 * mysql: a query to MySQL or MariaDB: mysql_table(5).
 */
#include "config.h"

#ifdef HAVE_MYSQL

#include <mysql.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/map/client_library.h"
#include "common/map/clients.h"
#include "common/map/query.h"

#define SYMBOLS(S)                                                                                           \
	S(mysql_init)                                                                                        \
	S(mysql_options)                                                                                     \
	S(mysql_ssl_set)                                                                                     \
	S(mysql_real_connect)                                                                                \
	S(mysql_set_character_set)                                                                           \
	S(mysql_real_escape_string)                                                                          \
	S(mysql_real_query)                                                                                  \
	S(mysql_use_result)                                                                                  \
	S(mysql_get_socket)                                                                                  \
	S(mysql_next_result)                                                                                 \
	S(mysql_num_fields)                                                                                  \
	S(mysql_field_count)                                                                                 \
	S(mysql_fetch_row)                                                                                   \
	S(mysql_fetch_lengths)                                                                               \
	S(mysql_free_result)                                                                                 \
	S(mysql_error)                                                                                       \
	S(mysql_errno)                                                                                       \
	S(mysql_close)                                                                                       \
	S(mysql_thread_end)                                                                                  \
	S(mysql_load_plugin)
#define MEMBER(function) __typeof__(function) *function;
#define ROW(function) {#function, (void **)&my.function},

static struct {
	SYMBOLS(MEMBER)
} my;
static const struct client_symbol symbols[] = {SYMBOLS(ROW){NULL, NULL}};

/* Errors of the client (2000 and up) tell of the connection, those of the server of the question. */
enum { CLIENT_ERRORS = 2000, CLIENT_ERRORS_END = 3000, CLIENT_AUTHENTICATION = 2, SERVER_SHUTDOWN = 1053 };
/* Octets: more than the protocol's largest packet, so that client_meter.h ends a row that is too long, and nobody before it. */
enum { PACKET_MAX = 17 * 1024 * 1024 };

struct database {
	struct tablefile *file;
	struct query query;
	struct clients *clients;
	const char *user, *password, *dbname, *charset, *option_file, *option_group;
	const char *tls_key, *tls_cert, *tls_ca_file, *tls_ca_path, *tls_ciphers;
	bool tls_verify, need_result;
};

/* How a server wants passwords said is a module of the library: what common ones need is loaded with it. */
static void
load_modules(void)
{
	static const char *const modules[] = {"caching_sha2_password", "sha256_password", "client_ed25519"};
	MYSQL *handle = my.mysql_init(NULL);

	for (size_t i = 0; handle != NULL && i < sizeof(modules) / sizeof(modules[0]); i++)
		(void)my.mysql_load_plugin(handle, modules[i], CLIENT_AUTHENTICATION, 0);
	if (handle != NULL)
		my.mysql_close(handle);
}

static int
mysql_load(struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static int loaded;

	if (client_library_load(MYSQL_SONAME, symbols, &loaded, err) < 0)
		return -1;
	(void)pthread_once(&once, load_modules);
	return 0;
}

static void
disconnect(void *connection)
{
	my.mysql_close(connection);
}

static const char *
null_if_empty(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void
set_options(const struct database *d, MYSQL *c, int64_t deadline_us)
{
	unsigned seconds = client_seconds(deadline_us);
	/* It believes what a row says of its length, and would call a longer one "Lost connection". */
	unsigned long row_max = PACKET_MAX;
	my_bool yes = 1;

	(void)my.mysql_options(c, MYSQL_OPT_MAX_ALLOWED_PACKET, &row_max);
	(void)my.mysql_options(c, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
	(void)my.mysql_options(c, MYSQL_OPT_READ_TIMEOUT, &seconds);
	(void)my.mysql_options(c, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
	(void)my.mysql_options(c, MYSQL_SET_CHARSET_NAME, d->charset);
	/* A server could ask for any file of ours otherwise. */
	unsigned no = 0;
	(void)my.mysql_options(c, MYSQL_OPT_LOCAL_INFILE, &no);
	if (d->option_file[0] != '\0')
		(void)my.mysql_options(c, MYSQL_READ_DEFAULT_FILE, d->option_file);
	if (d->option_group[0] != '\0')
		(void)my.mysql_options(c, MYSQL_READ_DEFAULT_GROUP, d->option_group);
	if (d->tls_key[0] || d->tls_cert[0] || d->tls_ca_file[0] || d->tls_ca_path[0] || d->tls_ciphers[0])
		(void)my.mysql_ssl_set(c, null_if_empty(d->tls_key), null_if_empty(d->tls_cert),
		    null_if_empty(d->tls_ca_file), null_if_empty(d->tls_ca_path),
		    null_if_empty(d->tls_ciphers));
	if (d->tls_verify)
		(void)my.mysql_options(c, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
}

/* No host is the library's own default. */
static void *
connect_server(void *table, const char *text, int64_t deadline_us, struct error *err)
{
	const struct database *d = table;
	struct client_place where;
	uint64_t port = 0;

	if (!client_place_parse(text, &where) ||
	    (where.port[0] != '\0' && number_parse(span_of(where.port), 1, 65535, &port) < 0)) {
		error_set(err, "%s: need unix:PATH, HOST or HOST:PORT", text);
		return NULL;
	}
	const char *host = where.local ? NULL : null_if_empty(where.host);
	const char *path = where.local ? where.host : NULL;
	MYSQL *c = my.mysql_init(NULL);
	if (c == NULL) {
		error_set(err, "MySQL: out of memory");
		return NULL;
	}
	set_options(d, c, deadline_us);
	if (my.mysql_real_connect(c, host, null_if_empty(d->user), null_if_empty(d->password), d->dbname,
		(unsigned)port, path, CLIENT_MULTI_RESULTS) == NULL ||
	    my.mysql_set_character_set(c, d->charset) != 0) {
		client_error(err, "MySQL", my.mysql_error(c));
		my.mysql_close(c);
		return NULL;
	}
	return c;
}

static int
quote(struct buf *out, struct span text, void *context)
{
	char quoted[2 * MAP_KEY_MAX + 1];

	if (text.len > MAP_KEY_MAX)
		return -1;
	unsigned long len = my.mysql_real_escape_string(context, quoted, text.ptr, text.len);
	return len == (unsigned long)-1 ? -1 : buf_append(out, quoted, len);
}

/* An answer on its way: rows come one by one, and are not kept. */
struct answer {
	MYSQL *c;
	size_t taken;
	int64_t deadline_us;
	bool too_long, too_late;
	struct error *err;
};

/* 1 with *row, 0 after the last one, -1 with a->err. */
static int
row_next(struct answer *a, MYSQL_RES *rows, MYSQL_ROW *row)
{
	unsigned columns = my.mysql_num_fields(rows);

	*row = my.mysql_fetch_row(rows);
	if (*row == NULL && my.mysql_errno(a->c) == 0)
		return 0;
	if (*row == NULL) {
		client_error(a->err, "MySQL", my.mysql_error(a->c));
		return -1;
	}
	const unsigned long *lengths = my.mysql_fetch_lengths(rows);
	for (unsigned i = 0; i < columns; i++)
		a->taken += 1 + lengths[i];
	a->too_long = a->taken > CLIENT_ANSWER_MAX;
	a->too_late = !a->too_long && clock_mono_us() >= a->deadline_us;
	if (!a->too_long && !a->too_late)
		return 1;
	/* With nothing left to read the library does not wait for the rest. */
	(void)shutdown(my.mysql_get_socket(a->c), SHUT_RDWR);
	if (a->too_late)
		return error_set(a->err, "MySQL: no answer in time");
	return error_set(a->err, "MySQL: an answer of more than %d octets", CLIENT_ANSWER_MAX);
}

/* All rows are taken, but values only if they are wanted, and up to one that is refused. *broken: nothing more can come. */
static enum lookup_status
rows_read(const struct database *d, struct answer *a, MYSQL_RES *rows, const struct client_question *q,
    bool wanted, bool *broken)
{
	struct query_result result = {.query = &d->query, .key = q->key, .value = q->hit->value};
	unsigned columns = my.mysql_num_fields(rows);
	bool refused = false;
	MYSQL_ROW row;
	int status;

	while ((status = row_next(a, rows, &row)) > 0) {
		const unsigned long *lengths = my.mysql_fetch_lengths(rows);
		for (unsigned i = 0; i < columns && wanted && !refused; i++)
			refused =
			    row[i] != NULL && query_add(&result, span_make(row[i], lengths[i]), a->err) < 0;
	}
	*broken = status < 0;
	return status < 0 || refused ? LOOKUP_TEMPORARY : query_end(&result);
}

/* A stored procedure has a result more than it has sets of rows: all are taken, the first set that has rows counts. */
static enum lookup_status
results_read(const struct database *d, struct answer *a, const struct client_question *q)
{
	enum lookup_status status = LOOKUP_NOT_FOUND;
	struct error *err = a->err;
	bool any = false, broken = false;
	MYSQL *c = a->c;
	int more;

	do {
		MYSQL_RES *rows = my.mysql_use_result(c);
		if (rows == NULL && my.mysql_field_count(c) != 0) {
			client_error(err, "MySQL", my.mysql_error(c));
			return LOOKUP_TEMPORARY;
		}
		if (rows != NULL) {
			bool wanted = status == LOOKUP_NOT_FOUND;
			enum lookup_status read = rows_read(d, a, rows, q, wanted, &broken);
			status = wanted ? read : status;
			any = true;
			my.mysql_free_result(rows);
		}
		if (broken)
			return LOOKUP_TEMPORARY;
		more = my.mysql_next_result(c);
	} while (more == 0);
	if (more > 0) {
		client_error(err, "MySQL", my.mysql_error(c));
		return LOOKUP_TEMPORARY;
	}
	if (!any && d->need_result) {
		error_set(
		    err, "the query gave no result set (require_result_set = no takes that as: not found)");
		return LOOKUP_TEMPORARY;
	}
	return status;
}

static enum lookup_status
ask_server(void *table, void *connection, const struct client_question *q, int64_t deadline_us, bool *lost,
    struct error *err)
{
	const struct database *d = table;
	MYSQL *c = connection;
	struct answer answer = {.c = c, .deadline_us = deadline_us, .err = err};
	struct buf sql;

	buf_init(&sql, QUERY_TEXT_MAX);
	enum lookup_status status = query_make(d->query.template, q->key, quote, c, &sql, err);
	bool sent = status == LOOKUP_FOUND && my.mysql_real_query(c, buf_text(&sql), sql.len) == 0;
	buf_free(&sql);
	if (status != LOOKUP_FOUND)
		return status;
	status = LOOKUP_TEMPORARY;
	if (sent)
		status = results_read(d, &answer, q);
	else
		client_error(err, "MySQL", my.mysql_error(c));
	unsigned number = my.mysql_errno(c);
	*q->cut = answer.too_long;
	*lost = answer.too_late || (!*q->cut && number >= CLIENT_ERRORS && number < CLIENT_ERRORS_END) ||
		number == SERVER_SHUTDOWN;
	return status;
}

static const struct client_kind client = {"mysql", "MySQL", connect_server, ask_server, disconnect, false};

static enum lookup_status
mysql_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	const struct database *d = table;
	enum lookup_status status = query_admits(&d->query, key, hit, err);

	return status == LOOKUP_FOUND ? clients_ask(d->clients, key, hit, err) : status;
}

static void
mysql_close_table(void *table)
{
	struct database *d = table;

	clients_free(&d->clients);
	query_close(&d->query);
	tablefile_close(&d->file);
	free(d);
	my.mysql_thread_end();
}

static void
parameters_read(struct database *d, struct tablefile *file)
{
	d->user = tablefile_text(file, "user", "");
	d->password = tablefile_text(file, "password", "");
	d->charset = tablefile_text(file, "charset", "utf8mb4");
	d->option_file = tablefile_text(file, "option_file", "");
	d->option_group = tablefile_text(file, "option_group", "");
	d->tls_key = tablefile_text(file, "tls_key_file", "");
	d->tls_cert = tablefile_text(file, "tls_cert_file", "");
	d->tls_ca_file = tablefile_text(file, "tls_CAfile", "");
	d->tls_ca_path = tablefile_text(file, "tls_CApath", "");
	d->tls_ciphers = tablefile_text(file, "tls_ciphers", "");
	d->tls_verify = tablefile_bool(file, "tls_verify_cert", false);
	d->need_result = tablefile_bool(file, "require_result_set", true);
}

static void *
mysql_open(const struct map_input *in, struct error *err)
{
	if (mysql_load(err) < 0)
		return NULL;
	struct tablefile *file = tablefile_open(in, err);
	if (file == NULL)
		return NULL;
	struct database *d = mem_alloc(sizeof(*d));
	d->file = file;
	parameters_read(d, file);
	if (tablefile_need(file, "dbname", &d->dbname, err) < 0 ||
	    query_open_sql(&d->query, file, in, err) < 0) {
		mysql_close_table(d);
		return NULL;
	}
	const char *hosts = tablefile_text(file, "hosts", "");
	uint64_t timeout = tablefile_number(file, "timeout", CLIENT_TIMEOUT_SECONDS, 1, CLIENT_TIMEOUT_MAX);
	d->clients =
	    clients_new(&client, d, in->name, hosts[0] != '\0' ? hosts : "localhost", (unsigned)timeout);
	clients_read_intervals(d->clients, file);
	tablefile_finish(file);
	return d;
}

const struct map_kind map_kind_mysql = {
    .name = "mysql",
    .suffix = "",
    .needs = MAP_BLOCKS | MAP_NETWORK | MAP_LIBRARY_MYSQL,
    .open = mysql_open,
    .lookup = mysql_lookup,
    .close = mysql_close_table,
    .preload = mysql_load,
};

#endif
