/* Texts of tables: the first byte chooses the kind, the rest is the file; some keys are then asked. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/map/entries.h"
#include "common/map/lines.h"
#include "common/map/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
say_nothing(const char *file, unsigned line, const char *text, void *context)
{
	(void)file;
	(void)line;
	(void)text;
	(void)context;
}

static void
ask(const char *table)
{
	static const char *const keys[] = {"a@b.test", "192.0.2.1", "2001:db8::1", "abc", "@", "\"a b\"@c"};
	const struct map_options options = {.complain = say_nothing};
	struct map *m = map_open(table, &options);
	struct map_found found;

	map_found_init(&found);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		(void)map_lookup(m, span_of(keys[i]), false, &found);
	map_found_free(&found);
	map_close(&m);
}

/* Alias files have a parser of their own, which only the builder uses. */
static void
read_aliases(struct span text)
{
	struct lines lines;
	struct span line, value;
	struct buf key;

	buf_init(&key, MAP_KEY_MAX);
	lines_begin(&lines, text);
	while (lines_next(&lines, &line))
		(void)entry_parse_alias(line, &key, &value);
	lines_end(&lines);
	buf_free(&key);
}

/* An inline table is its own text. */
static void
ask_inline(struct span text)
{
	struct buf name;

	buf_init(&name, 1 << 20);
	(void)buf_append_text(&name, "inline:");
	(void)buf_append_span(&name, text);
	ask(buf_text(&name));
	buf_free(&name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A kind that this build does not have answers "temporary" to everything. */
	static const char *const types[] = {"texthash", "cidr", "regexp", NULL, NULL, "pcre", "sqlite"};
	static int fd = -1;
	char table[64];

	if (size == 0)
		return 0;
	struct span text = span_make(data + 1, size - 1);
	unsigned kind = (unsigned)(data[0] - '0') % 7;
	if (kind == 3) {
		read_aliases(text);
		return 0;
	}
	if (kind == 4) {
		ask_inline(text);
		return 0;
	}
	if (fd < 0)
		fd = memfd_create("map", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || io_pwrite_all(fd, text.ptr, text.len, 0) < 0)
		return 0;
	(void)snprintf(table, sizeof(table), "%s:/proc/self/fd/%d", types[kind], fd);
	ask(table);
	return 0;
}
