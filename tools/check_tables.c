/*
 * check: the tables that parameters name, wherever they do. Each must be of a kind that is there, be readable for
 * lookup, which is who reads them, and open without a complaint.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/conf/back_end.h"
#include "common/map/lines.h"
#include "common/map/mentions.h"
#include "tools/check.h"
#include "tools/check_access.h"
#include "tools/check_actions.h"
#include "tools/check_aliases.h"
#include "tools/check_classes.h"
#include "tools/check_lists.h"
#include "tools/check_passwords.h"
#include "tools/check_policies.h"
#include "tools/check_routes.h"
#include "tools/check_verdicts.h"

enum { TABLES_MAX = 10000, FILE_OCTETS_MAX = 16 << 20 };

struct tables {
	const char *confdir;
	const struct conf_values *values;
	FILE *out;
	const char *prefix; /* of each line */
	char *text; /* of postern.conf */
	size_t text_len;
	const char *reader; /* who reads them, if not we */
	struct table *seen;
	size_t bad;
};

static unsigned
line_of(const struct tables *t, const char *parameter)
{
	return check_line_of(span_make(t->text, t->text_len), parameter);
}

/* "FILE:LINE: PARAMETER: text", of postern.conf. The table is one that the parameter names, or "". */
static void
print_place(const struct tables *t, const char *parameter, const char *table)
{
	unsigned line = check_line_naming(span_make(t->text, t->text_len), parameter, table);

	fprintf(t->out, "%s", t->prefix);
	if (line > 0)
		fprintf(t->out, "%s/postern.conf:%u: ", t->confdir, line);
	fprintf(t->out, "%s: ", parameter);
}

/* A table that is merely older than its text is told, and is no mistake. */
static void
complain(const char *file, unsigned line, const char *text, void *context)
{
	struct tables *t = context;
	bool warning = strstr(text, "database is older than source file") != NULL;

	if (line > 0)
		printf("%s:%u: %s\n", file, line, text);
	else
		printf("%s: %s%s\n", file, warning ? "warning: " : "", text);
	t->bad += warning ? 0 : 1;
}

/* A default names a file that need not be there. */
static bool
is_missing_default(const struct tables *t, const char *parameter, const char *table)
{
	const char *path = strchr(table, ':');
	struct stat st;

	return line_of(t, parameter) == 0 && path && path[1] == '/' && stat(path + 1, &st) < 0;
}

/* Whoever may write a table may send mail where they like. */
static void
check_mode(struct tables *t, const char *path)
{
	struct stat st;

	if (path[0] != '/' || stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & S_IWOTH))
		return;
	printf("%s: everybody may write it\n", path);
	t->bad++;
}

static void
check_files(struct tables *t, const struct map *map, const char *table)
{
	const char *path = map_path(map), *source = strchr(table, ':');

	if (path == NULL)
		return;
	check_mode(t, path);
	if (source != NULL && strcmp(source + 1, path) != 0)
		check_mode(t, source + 1);
}

/* Of a table that is built the text counts too: the next one gets its owner and group. */
static void
print_remedy(const struct map *map, const char *table)
{
	const char *path = map_path(map), *source = strchr(table, ':');
	char first[2 * MAP_NAME_MAX + 100] = "", second[2 * MAP_NAME_MAX + 100];

	if (path != NULL && check_access_remedy(path, first, sizeof(first)))
		printf(" (%s)", first);
	if (path != NULL && source && strcmp(source + 1, path) != 0 &&
	    check_access_remedy(source + 1, second, sizeof(second)) && strcmp(first, second) != 0)
		printf(" (%s)", second);
}

/* The text is there, and was never built. */
static void
print_build(const struct map *map, const char *parameter, const char *table)
{
	const char *path = map_path(map), *source = strchr(table, ':');

	if (path == NULL || source == NULL || strcmp(source + 1, path) == 0 || access(source + 1, F_OK) < 0)
		return;
	if (strcmp(parameter, "alias_database") == 0)
		printf(" (newaliases builds it)");
	else
		printf(" (postern %s %s builds it)", strncmp(parameter, "alias_", 6) == 0 ? "alias" : "map",
		    table);
}

/* A table of kind oauth2 gets tokens for us, or says whose those of clients are. */
static void
check_purpose(struct tables *t, const struct map *map, const char *parameter, const char *table)
{
	bool clients = strcmp(parameter, "smtpd_sasl_path") == 0;

	if (!conf_is_token_table(span_of(table)) ||
	    (!clients && !span_ends_nocase(span_of(parameter), "_sasl_password_maps")) ||
	    map_of_tokens(map) == clients)
		return;
	print_place(t, parameter, table);
	printf("%s: for this it needs %s\n", table, clients ? "introspection_endpoint" : "token_endpoint");
	t->bad++;
}

static void
check_table(struct span name, const char *parameter, void *context)
{
	static char present;
	struct tables *t = context;
	const struct map_options options = {.complain = complain, .context = t, .state = map_state_to_nobody};
	char table[MAP_NAME_MAX];
	struct error err;

	if (table_get(t->seen, name) != NULL || !span_copy(name, table, sizeof(table)) ||
	    is_missing_default(t, parameter, table))
		return;
	(void)table_put(t->seen, name, &present);
	struct map *map = map_open(table, &options);
	if (map_check(map, &err) < 0) {
		print_place(t, parameter, table);
		printf("%s", err.text);
		if (err.number == EACCES && t->reader) {
			printf(", as user %s", t->reader);
			print_remedy(map, table);
		}
		if (err.number == ENOENT)
			print_build(map, parameter, table);
		(void)putchar('\n');
		t->bad++;
	} else
		check_purpose(t, map, parameter, table);
	check_files(t, map, table);
	if (strncmp(parameter, "alias_", 6) == 0 && alias_text_known(table))
		alias_text_check(table, true, complain, t);
	if (strcmp(parameter, "smtpd_sasl_path") == 0)
		t->bad += check_passwords(map, table);
	if (span_ends_nocase(span_of(parameter), "_sasl_password_maps"))
		check_password_readers(map, table);
	if (strcmp(parameter, "smtp_tls_policy_maps") == 0 || strcmp(parameter, "lmtp_tls_policy_maps") == 0)
		t->bad += check_policies(map, table, t->values, parameter[0] == 'l');
	t->bad += check_actions(map, table, parameter);
	t->bad += check_routes(map, table, parameter, t->values);
	map_close(&map);
}

/* First where a table is written: a default that refers to it would be blamed for it. */
static void
check_written(struct span name, const char *parameter, void *context)
{
	if (line_of(context, parameter) > 0)
		check_table(name, parameter, context);
}

static void
tell_list(const char *parameter, const struct error *trouble, void *context)
{
	struct tables *t = context;

	print_place(t, parameter, "");
	printf("%s", trouble->text);
	if (trouble->number == EACCES && t->reader)
		printf(", as user %s", t->reader);
	(void)putchar('\n');
	t->bad++;
}

static void
tell_class(const char *parameter, const char *text, void *context)
{
	print_place(context, parameter, "");
	puts(text);
}

/* Only those of a kind that is not there: what postern start says. */
static void
check_kind(struct span name, const char *parameter, void *context)
{
	struct tables *t = context;
	char table[MAP_NAME_MAX];
	struct error err;

	if (map_type_known(name) || !span_copy(name, table, sizeof(table)))
		return;
	const struct map_options options = {.complain = complain, .context = t, .state = map_state_to_nobody};
	struct map *map = map_open(table, &options);
	(void)map_check(map, &err);
	map_close(&map);
	print_place(t, parameter, table);
	fprintf(t->out, "%s\n", err.text);
	t->bad++;
}

static void
begin(struct tables *t, const char *confdir)
{
	char path[4096];
	struct error ignored;

	*t = (struct tables){
	    .confdir = confdir, .out = stdout, .prefix = "", .seen = table_new(TABLES_MAX, NULL)};
	(void)snprintf(path, sizeof(path), "%s/postern.conf", confdir);
	t->text = lines_load(path, FILE_OCTETS_MAX, &t->text_len, &ignored);
}

static void
end(struct tables *t)
{
	table_free(&t->seen);
	free(t->text);
}

size_t
check_table_kinds(const struct conf *c, const char *confdir, FILE *out, const char *prefix)
{
	struct tables t;

	begin(&t, confdir);
	t.out = out;
	t.prefix = prefix;
	map_mentions(c, check_kind, &t);
	end(&t);
	return t.bad;
}

/* The child: as lookup, if root may become that. */
static _Noreturn void
check_as_reader(const struct conf *c, const char *confdir, const struct passwd *reader, int result)
{
	struct tables t;

	begin(&t, confdir);
	t.values = c->values;
	if (reader != NULL && setgroups(1, &reader->pw_gid) == 0 && setgid(reader->pw_gid) == 0 &&
	    setuid(reader->pw_uid) == 0)
		t.reader = reader->pw_name;
	map_mentions(c, check_written, &t);
	map_mentions(c, check_table, &t);
	check_lists(c->values, tell_list, &t);
	t.bad += check_verdicts(c);
	check_classes(c->values, tell_class, &t);
	(void)fflush(stdout);
	_exit(io_write_all(result, &t.bad, sizeof(t.bad)) < 0);
}

size_t
check_tables(const struct conf *c, const char *confdir)
{
	const struct passwd *reader = geteuid() == 0 ? getpwnam("postern-lookup") : NULL;
	size_t bad = 1;
	int pair[2], status;

	(void)fflush(stdout);
	if (pipe(pair) < 0)
		return 1;
	pid_t pid = fork();
	if (pid == 0)
		check_as_reader(c, confdir, reader, pair[1]);
	(void)io_close(&pair[1]);
	if (pid < 0 || io_read_all(pair[0], &bad, sizeof(bad)) != (ssize_t)sizeof(bad)) {
		printf("the tables could not be checked\n");
		bad = 1;
	}
	(void)io_close(&pair[0]);
	if (pid > 0)
		(void)waitpid(pid, &status, 0);
	return bad;
}
