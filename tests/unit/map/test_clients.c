/* Hosts of tables: where they are, which are asked, and what is said when none answers. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/map/clients.h"
#include "tests/unit/map/table_files.h"

static void
places(void **state)
{
	static const struct {
		const char *text;
		bool local;
		const char *host, *port;
	} rows[] = {
	    {"unix:/run/db", true, "/run/db", ""},
	    {"/run/db", true, "/run/db", ""},
	    {"unix:", true, "", ""},
	    {"db.test", false, "db.test", ""},
	    {"db.test:5432", false, "db.test", "5432"},
	    {"inet:db.test:5432", false, "db.test", "5432"},
	    {"[::1]:5432", false, "::1", "5432"},
	    {"[::1]", false, "::1", ""},
	    {"2001:db8::1", false, "2001:db8::1", ""},
	    {":5432", false, ":5432", ""},
	};
	struct client_place p;
	char long_name[600];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(client_place_parse(rows[i].text, &p));
		if (p.local != rows[i].local || strcmp(p.host, rows[i].host) != 0 ||
		    strcmp(p.port, rows[i].port) != 0)
			fail_msg("%s: %d \"%s\" \"%s\"", rows[i].text, p.local, p.host, p.port);
	}
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_false(client_place_parse(long_name, &p));
}

/* A "server" that a table reaches unless its password is wrong. */
static unsigned connects;

static void *
connect_server(void *table, const char *host, int64_t deadline_us, struct error *err)
{
	(void)host;
	(void)deadline_us;
	connects++;
	if (strcmp(table, "right") == 0)
		return &connects;
	error_set(err, "wrong password");
	return NULL;
}

static enum lookup_status
ask_server(void *table, void *connection, const struct client_question *q, int64_t deadline_us, bool *lost,
    struct error *err)
{
	(void)table;
	(void)connection;
	(void)deadline_us;
	(void)lost;
	(void)err;
	(void)buf_append_span(q->hit->value, q->key);
	return LOOKUP_FOUND;
}

static void
disconnect(void *connection)
{
	(void)connection;
}

static enum lookup_status
ask_once(const struct client_kind *kind, const char *table, struct error *err)
{
	char password[10];
	struct buf value;
	struct map_hit hit = {.value = &value};

	(void)snprintf(password, sizeof(password), "%s", table);
	buf_init(&value, 100);
	struct clients *c = clients_new(kind, password, table, "db.test", 10);
	enum lookup_status status = clients_ask(c, SPAN_LIT("key"), &hit, err);
	assert_true(status != LOOKUP_FOUND || span_is(buf_span(&value), "key"));
	clients_free(&c);
	buf_free(&value);
	return status;
}

/* A host that one table cannot use rests for that table, in all threads, and for no other. */
static void
rests(void **state)
{
	static const struct client_kind one = {
	    "one", "the server", connect_server, ask_server, disconnect, false};
	static const struct client_kind two = {
	    "two", "the server", connect_server, ask_server, disconnect, false};
	struct error err = {0};

	(void)state;
	assert_int_equal(ask_once(&one, "wrong", &err), LOOKUP_TEMPORARY);
	assert_string_equal(err.text, "wrong password");
	assert_int_equal(connects, 1);
	assert_int_equal(ask_once(&one, "wrong", &err), LOOKUP_TEMPORARY);
	assert_int_equal(connects, 1);
	assert_int_equal(ask_once(&one, "right", &err), LOOKUP_FOUND);
	assert_int_equal(ask_once(&two, "wrong", &err), LOOKUP_TEMPORARY);
	assert_int_equal(connects, 3);
}

/* A table of its own with these lines in its file. */
static struct clients *
clients_with(const struct client_kind *kind, char *password, const char *lines, struct tablefile **file)
{
	static struct complaints told;
	char name[300];
	struct error err;

	file_write_text("intervals.cf", lines);
	(void)snprintf(name, sizeof(name), "%s", file_path("intervals.cf"));
	const struct map_input in = {
	    .name = name, .path = name, .complain = complaints_add, .context = &told};
	*file = tablefile_open(&in, &err);
	assert_non_null(*file);
	struct clients *c = clients_new(kind, password, lines, "db.test", 10);
	clients_read_intervals(c, *file);
	tablefile_finish(*file);
	assert_string_equal(told.text, "");
	return c;
}

/* Asks once; returns how often it connected. */
static unsigned
connects_of(struct clients *c)
{
	struct buf value;
	struct map_hit hit = {.value = &value};
	struct error err;
	unsigned before = connects;

	buf_init(&value, 100);
	(void)clients_ask(c, SPAN_LIT("key"), &hit, &err);
	buf_free(&value);
	return connects - before;
}

static void
intervals(void **state)
{
	static const struct client_kind kind = {
	    "kind", "the server", connect_server, ask_server, disconnect, false};
	static const struct {
		const char *password, *lines;
		unsigned connects; /* in four questions */
	} rows[] = {
	    {"right", "idle_interval = 1\n", 4},
	    {"right", "idle_interval = 100\n", 1},
	    {"wrong", "retry_interval = 1\n", 4}, /* 3 if it doubled */
	    {"wrong", "retry_interval = 100\n", 1},
	};
	enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
	struct clients *all[ROWS];
	struct tablefile *files[ROWS];
	char passwords[ROWS][10];
	unsigned met[ROWS] = {0};

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		(void)snprintf(passwords[i], sizeof(passwords[i]), "%s", rows[i].password);
		all[i] = clients_with(&kind, passwords[i], rows[i].lines, &files[i]);
	}
	for (unsigned times = 0; times < 4; times++) {
		if (times > 0)
			assert_int_equal(nanosleep(&(struct timespec){1, 100 * 1000000}, NULL), 0);
		for (size_t i = 0; i < ROWS; i++)
			met[i] += connects_of(all[i]);
	}
	for (size_t i = 0; i < ROWS; i++) {
		if (met[i] != rows[i].connects)
			fail_msg("%s, %s: %u connections", rows[i].password, rows[i].lines, met[i]);
		clients_free(&all[i]);
		tablefile_close(&files[i]);
	}
}

#ifdef HAVE_PGSQL

static void
count_state(const char *table, const char *trouble, void *context)
{
	unsigned *told = context;

	(void)table;
	told[trouble == NULL]++;
}

/* No password in what is told, and no "all is well" for keys that the server was not asked for. */
static void
trouble(void **state)
{
	unsigned told[2] = {0, 0};
	const struct map_options options = {
	    .complain = map_complain_to_nobody, .context = told, .state = count_state};
	struct map_found found;

	(void)state;
	map_found_init(&found);
	file_write_text("pg.cf", "hosts = postgresql://me:sec%ret@127.0.0.1:1/db\n"
				 "query = SELECT v FROM t WHERE k = '%s'\n"
				 "domain = virt.test\n");
	struct map *m = map_open(table_name("pgsql", "pg.cf"), &options);
	assert_int_equal(map_lookup(m, SPAN_LIT("a@virt.test"), false, &found), LOOKUP_TEMPORARY);
	assert_non_null(strstr(found.err.text, "hosts"));
	assert_null(strstr(found.err.text, "ret"));
	assert_int_equal(told[0], 1);
	assert_int_equal(map_lookup(m, SPAN_LIT("a@else.test"), false, &found), LOOKUP_NOT_FOUND);
	assert_int_equal(map_lookup(m, SPAN_LIT(""), false, &found), LOOKUP_NOT_FOUND);
	assert_int_equal(told[1], 0);
	map_close(&m);
	map_found_free(&found);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(places),
	    cmocka_unit_test(rests),
	    cmocka_unit_test(intervals),
#ifdef HAVE_PGSQL
	    cmocka_unit_test(trouble),
#endif
	};
	return cmocka_run_group_tests(tests, files_begin, files_end);
}
