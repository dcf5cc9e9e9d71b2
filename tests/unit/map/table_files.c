#include "tests/unit/map/table_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/io.h"

static char directory[] = "/tmp/postern-map.XXXXXX";

int
files_begin(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL ? -1 : 0;
}

int
files_end(void **state)
{
	DIR *d = opendir(directory);

	(void)state;
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		(void)unlink(file_path(e->d_name));
	if (d != NULL)
		(void)closedir(d);
	(void)rmdir(directory);
	return 0;
}

const char *
file_path(const char *name)
{
	static char paths[4][512];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

void
file_write(const char *name, const void *bytes, size_t len)
{
	const char *path = file_path(name), *temporary = file_path("being-written");
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, bytes, len), 0);
	assert_int_equal(io_close(&fd), 0);
	assert_int_equal(rename(temporary, path), 0);
}

void
file_write_text(const char *name, const char *text)
{
	file_write(name, text, strlen(text));
}

const char *
table_name(const char *type, const char *name)
{
	static char names[4][600];
	static unsigned turn;
	char *text = names[turn++ % 4];

	(void)snprintf(text, sizeof(names[0]), "%s:%s", type, file_path(name));
	return text;
}

void
complaints_add(const char *file, unsigned line, const char *text, void *context)
{
	struct complaints *c = context;

	(void)file;
	int n = snprintf(c->text + c->len, sizeof(c->text) - c->len, "%u: %s\n", line, text);
	if (n > 0 && c->len + (size_t)n < sizeof(c->text))
		c->len += (size_t)n;
}

const char *
table_ask(const char *table, const char *key)
{
	static char answer[70000];
	struct complaints ignored = {.len = 0};
	const struct map_options options = {.complain = complaints_add, .context = &ignored};
	struct map *m = map_open(table, &options);
	struct map_found found;

	map_found_init(&found);
	switch (map_lookup(m, span_of(key), false, &found)) {
	case LOOKUP_FOUND:
		(void)snprintf(answer, sizeof(answer), "found %.*s", SPAN_ARG(buf_span(&found.value)));
		break;
	case LOOKUP_NOT_FOUND:
		(void)snprintf(answer, sizeof(answer), "not found");
		break;
	default:
		(void)snprintf(answer, sizeof(answer), "temporary");
	}
	map_found_free(&found);
	map_close(&m);
	return answer;
}
