/*
 * postern map and postern alias, also as postmap(1) and postalias(1): building tables, asking them, listing them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/conf/table_settings.h"
#include "common/map/file_values.h"
#include "common/map/mapfile.h"
#include "tools/check_aliases.h"
#include "tools/map_message.h"
#include "tools/tool.h"

enum { INPUT_MAX = 1 << 28, KEYS_MAX = 1000000, TABLES_MAX = 100 };

enum mode { MODE_BUILD, MODE_QUERY, MODE_LIST, MODE_REMOVE, MODE_ADD };

struct job {
	struct tool *tool;
	const char *name; /* "map" or "alias" */
	enum mode mode;
	const char *key; /* of -q and -d; "-": keys are on standard input */
	bool header_keys, body_keys, mime_keys; /* -h, -b, -m: what is there is a message */
	struct mapfile_options options;
	unsigned complaints;
};

static void
complain(const char *file, unsigned line, const char *text, void *context)
{
	struct job *job = context;

	job->complaints++;
	if (line > 0)
		(void)fprintf(stderr, "%s: warning: %s, line %u: %s\n", job->tool->program, file, line, text);
	else
		(void)fprintf(stderr, "%s: warning: %s: %s\n", job->tool->program, file, text);
}

static int
mode_set(struct job *job, enum mode mode)
{
	if (job->mode != MODE_BUILD)
		return tool_fail(job->tool, EX_USAGE, "specify only one of -d -i -q or -s");
	job->mode = mode;
	return 0;
}

/* Options of postmap(1) and postalias(1). Those that mean nothing here are taken without a word. */
static int
options_read(struct job *job, int argc, char **argv)
{
	/* Of aliases neither messages nor files are made. */
	const char *letters =
	    job->options.form == MAPFILE_ALIAS ? "c:d:finNopq:rsuvw" : "Abc:d:fFhimnNopq:rsuUvw";
	int c, status = 0;

	optind = 1;
	while (status == 0 && (c = getopt(argc, argv, letters)) != -1) {
		switch (c) {
		case 'c':
			job->tool->confdir = optarg;
			break;
		case 'd':
		case 'q':
			job->key = optarg;
			status = mode_set(job, c == 'd' ? MODE_REMOVE : MODE_QUERY);
			break;
		case 'i':
		case 's':
			status = mode_set(job, c == 'i' ? MODE_ADD : MODE_LIST);
			break;
		case 'A':
			job->options.anew = true;
			break;
		case 'b':
			job->body_keys = true;
			break;
		case 'h':
			job->header_keys = true;
			break;
		case 'm':
			job->mime_keys = true;
			break;
		case 'F':
			job->options.file_values = true;
			break;
		case 'f':
			job->options.keep_case = true;
			break;
		case 'n':
			job->options.no_nul = true;
			break;
		case 'p':
			job->options.own_mode = true;
			break;
		case 'r':
			job->options.duplicates = MAPFILE_REPLACE;
			break;
		case 'u':
			job->options.octets = true;
			break;
		case 'w':
			job->options.duplicates = MAPFILE_IGNORE;
			break;
		case '?':
			return tool_usage(job->tool, job->name);
		default:
			break;
		}
	}
	return status;
}

/* All of standard input. NULL after a message. */
static char *
input_read(const struct job *job, size_t *len)
{
	char *bytes = NULL;
	size_t room = 0;

	*len = 0;
	for (;;) {
		if (*len == room) {
			room = room == 0 ? 65536 : room * 2;
			bytes = mem_resize(bytes, room);
		}
		ssize_t got = io_read_all(STDIN_FILENO, bytes + *len, room - *len);
		if (got > 0)
			*len += (size_t)got;
		if (got <= 0 || *len > INPUT_MAX) {
			if (got == 0)
				return bytes;
			tool_fail(job->tool, EX_IOERR, "standard input: %s",
			    got < 0 ? strerror(errno) : "too long");
			free(bytes);
			return NULL;
		}
	}
}

/* With -F *value becomes what it stands for, in content. False: it stands for nothing. */
static bool
resolve_value(const struct job *job, struct span *value, struct buf *content)
{
	if (!job->options.file_values)
		return true;
	if (file_value_decode(*value, content) < 0)
		return false;
	*value = buf_span(content);
	return true;
}

static bool
print_row(const struct job *job, struct span key, struct span value)
{
	if (key.ptr != NULL) {
		(void)fwrite(key.ptr, 1, key.len, stdout);
		(void)fputs(job->options.form == MAPFILE_ALIAS ? ":\t" : "\t", stdout);
	}
	(void)fwrite(value.ptr, 1, value.len, stdout);
	return putchar('\n') != EOF;
}

static bool
print_pair(struct span key, struct span value, void *context)
{
	const struct job *job = context;
	struct buf content;

	buf_init(&content, MAP_VALUE_MAX);
	if (!resolve_value(job, &value, &content))
		(void)fprintf(stderr, "%s: warning: a value is not base64\n", job->tool->program);
	bool printed = print_row(job, key, value);
	buf_free(&content);
	return printed;
}

/* Prints what a key leads to: 0, 1 if there is none, or a status after a message. */
static int
query_one(struct job *job, struct map *m, struct span key, bool with_key, struct map_found *found)
{
	enum lookup_status status = map_lookup(m, key, false, found);

	if (status == LOOKUP_TEMPORARY)
		return tool_fail(
		    job->tool, EX_TEMPFAIL, "table %s: query error: %s", map_name(m), found->err.text);
	if (status == LOOKUP_NOT_FOUND)
		return 1;
	struct span value = buf_span(&found->value);
	struct buf content;

	buf_init(&content, MAP_VALUE_MAX);
	bool resolved = resolve_value(job, &value, &content);
	if (resolved)
		(void)print_row(job, with_key ? key : (struct span){0}, value);
	buf_free(&content);
	if (!resolved)
		return tool_fail(job->tool, EX_TEMPFAIL,
		    "table %s: query error: key %.*s: malformed BASE64 value", map_name(m), SPAN_ARG(key));
	return 0;
}

/* Looks for a key in one table after the other; *status is 0 as soon as one was found, 1 before. False after trouble. */
static bool
query_each(
    struct job *job, struct map **tables, size_t count, struct span key, struct map_found *found, int *status)
{
	int got = 1;

	for (size_t i = 0; got == 1 && i < count; i++)
		got = query_one(job, tables[i], key, true, found);
	if (got != 1)
		*status = got;
	return got <= 1;
}

static int
query_input(struct job *job, struct map **tables, size_t count, struct map_found *found)
{
	const struct map_message_choice choice = {job->header_keys, job->body_keys, job->mime_keys};
	size_t len;
	int status = 1;
	char *bytes = input_read(job, &len);
	struct span rest = span_make(bytes, len), key;
	struct map_message *message = NULL;

	if (bytes == NULL)
		return EX_IOERR;
	if (job->header_keys || job->body_keys)
		message = map_message_new(rest, &choice);
	while ((message ? map_message_next(message, &key) : span_next_line(&rest, &key)) &&
	       query_each(job, tables, count, key, found, &status))
		continue;
	map_message_free(&message);
	free(bytes);
	return status;
}

/* "TYPE:FILE" of an argument, which may be FILE of default_database_type. NULL after a message. */
static char *
table_name(const struct job *job, const char *argument)
{
	if (strchr(argument, ':') != NULL)
		return mem_strdup(argument);
	if (tool_conf(job->tool) == NULL)
		return NULL;
	const char *type = job->tool->conf->values->default_database_type;
	size_t size = strlen(type) + strlen(argument) + 2;
	char *name = mem_alloc(size);
	(void)snprintf(name, size, "%s:%s", type, argument);
	return name;
}

static struct map *
table_open(struct job *job, const char *argument)
{
	/* Of messages, the tables are header_checks and their like. */
	const struct map_options options = {.complain = complain,
	    .context = job,
	    .state = map_state_to_nobody,
	    .octets = job->options.octets || job->header_keys || job->body_keys,
	    .keep_case = job->options.keep_case};
	char *name = table_name(job, argument);
	struct span text = span_of(name), prefix;

	/* pgsql:users has its parameters in postern.conf. */
	bool usable =
	    name != NULL && (!conf_next_prefix_table(&text, &prefix) || tool_conf(job->tool) != NULL);
	struct map *m = usable ? map_open(name, &options) : NULL;

	free(name);
	return m;
}

static int
list(struct job *job, struct map *m)
{
	struct error err;
	return map_each(m, print_pair, job, &err) < 0 ? tool_fail(job->tool, EX_TEMPFAIL, "%s", err.text) : 0;
}

static bool
keys_on_input(const struct job *job)
{
	return job->key != NULL && strcmp(job->key, "-") == 0;
}

/* The first table's list or value; keys on standard input are looked for in one table after the other. */
static int
ask(struct job *job, char *const *arguments, size_t count)
{
	struct map *tables[TABLES_MAX];
	struct map_found found;
	size_t opened = 0;
	struct error err;
	int status = 0;

	if (count > TABLES_MAX)
		return tool_fail(job->tool, EX_USAGE, "too many tables");
	map_found_init(&found);
	while (status == 0 && opened < count) {
		struct map *m = table_open(job, arguments[opened]);
		if (m == NULL)
			status = EX_CONFIG;
		else if (map_check(m, &err) < 0)
			status = tool_fail(job->tool, EX_TEMPFAIL, "table %s: %s", map_name(m), err.text);
		if (m != NULL)
			tables[opened++] = m;
	}
	if (status == 0 && job->mode == MODE_LIST)
		status = list(job, tables[0]);
	else if (status == 0 && keys_on_input(job))
		status = query_input(job, tables, opened, &found);
	else if (status == 0)
		status = query_one(job, tables[0], span_of(job->key), false, &found);
	map_found_free(&found);
	while (opened > 0)
		map_close(&tables[--opened]);
	return status;
}

static int
remove_keys(struct job *job, const char *type, const char *path, struct error *err)
{
	size_t len = 0, count = 0, removed = 0;
	struct span key = span_of(job->key), rest, *keys = &key;
	char *bytes = NULL;

	if (keys_on_input(job)) {
		if ((bytes = input_read(job, &len)) == NULL)
			return EX_IOERR;
		keys = mem_alloc_array(KEYS_MAX, sizeof(keys[0]));
		rest = span_make(bytes, len);
		while (count < KEYS_MAX && span_next_line(&rest, &keys[count]))
			count++;
	} else {
		count = 1;
	}
	int status = mapfile_remove(type, path, keys, count, &job->options, &removed, err);
	if (keys != &key)
		free(keys);
	free(bytes);
	return status < 0 ? -1 : removed > 0 ? 0 : 1;
}

static int
add_input(struct job *job, const char *type, const char *path, struct error *err)
{
	size_t len;
	char *bytes = input_read(job, &len);

	if (bytes == NULL)
		return EX_IOERR;
	int status = mapfile_add(type, path, span_make(bytes, len), &job->options, err);
	free(bytes);
	return status;
}

/* What stands in the table now and will put mail off. */
static void
check_members(struct job *job, const char *type, const char *path)
{
	size_t size = strlen(type) + strlen(path) + 2;
	char *table = mem_alloc(size);

	(void)snprintf(table, size, "%s:%s", type, path);
	if (alias_text_known(table))
		alias_text_check(table, false, complain, job);
	free(table);
}

static int
change(struct job *job, const char *type, const char *path)
{
	struct error err = {0};
	int status;

	if (job->mode == MODE_REMOVE)
		status = remove_keys(job, type, path, &err);
	else if (job->mode == MODE_ADD)
		status = add_input(job, type, path, &err);
	else
		status = mapfile_build(type, path, &job->options, &err);
	if (status == 0 && job->mode == MODE_BUILD && job->options.form == MAPFILE_ALIAS)
		check_members(job, type, path);
	return status < 0 ? tool_fail(job->tool, EX_DATAERR, "%s", err.text) : status;
}

static int
work(struct job *job, char *const *argument)
{
	if (job->mode == MODE_QUERY || job->mode == MODE_LIST)
		return ask(job, argument, 1);
	char *type = table_name(job, *argument);
	if (type == NULL)
		return EX_CONFIG;
	char *path = strchr(type, ':');
	*path++ = '\0';
	int status = change(job, type, path);
	free(type);
	return status;
}

static int
run(struct job *job, int argc, char **argv)
{
	int status = options_read(job, argc, argv);

	if (status != 0)
		return status;
	job->options.complain = complain;
	job->options.context = job;
	if (optind >= argc)
		return tool_usage(job->tool, job->name);
	bool of_input = job->mode == MODE_QUERY && keys_on_input(job);
	if ((job->header_keys || job->body_keys || job->mime_keys) && !of_input)
		return tool_fail(job->tool, EX_USAGE, "specify -b -h or -m only with \"-q -\"");
	if (job->mime_keys && !job->header_keys && !job->body_keys)
		(void)tool_fail(job->tool, 0, "warning: ignoring -m option without -b or -h");
	if (job->options.form == MAPFILE_ALIAS && job->mode == MODE_BUILD) {
		if (tool_conf(job->tool) == NULL)
			return EX_CONFIG;
		job->options.hostname = job->tool->conf->values->myhostname;
	}
	/* As postmap(1): several tables are built; a key is looked for in one after the other. */
	bool until_found = job->mode == MODE_QUERY || job->mode == MODE_REMOVE;
	if (of_input)
		return ask(job, argv + optind, (size_t)(argc - optind));
	for (int i = optind; i < argc; i++) {
		status = work(job, &argv[i]);
		if (status != 0 && !(until_found && status == 1))
			return status;
		if (until_found && status == 0)
			break;
	}
	return fflush(stdout) == 0 ? status : EX_IOERR;
}

int
command_map(int argc, char **argv, struct tool *tool)
{
	struct job job = {.tool = tool, .name = "map", .options = {.form = MAPFILE_MAP}};
	return run(&job, argc, argv);
}

int
command_alias(int argc, char **argv, struct tool *tool)
{
	struct job job = {.tool = tool, .name = "alias", .options = {.form = MAPFILE_ALIAS}};
	return run(&job, argc, argv);
}
