#include "tools/queue_stats.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tools/json_scan.h"

enum {
	BUCKETS = 10,
	COLUMNS = BUCKETS + 2,
	KEY_MAX = 1100,
	NAME_WIDTH = 30,
	NAME_LEAST = 20, /* where lines are bounded */
	NUMBER_WIDTH = 5,
	DIGITS = 20
};

/* Messages, those of each age, kilobytes. */
static const char *const heads[COLUMNS] = {
    "T", "5", "10", "20", "40", "80", "160", "320", "640", "1280", "1280+", "KB"};

struct group {
	char *key;
	uint64_t numbers[COLUMNS];
};

struct queue_stats {
	struct group *groups;
	size_t count, cap;
};

struct queue_stats *
queue_stats_new(void)
{
	return mem_alloc(sizeof(struct queue_stats));
}

void
queue_stats_free(struct queue_stats **s)
{
	struct queue_stats *gone = *s;

	*s = NULL;
	if (!gone)
		return;
	for (size_t i = 0; i < gone->count; i++)
		free(gone->groups[i].key);
	free(gone->groups);
	free(gone);
}

static char *
printable(struct span key)
{
	struct buf clean;
	char *copy;

	buf_init(&clean, (size_t)KEY_MAX * 4);
	text_append_printable(&clean, key, KEY_MAX);
	copy = mem_strdup(buf_text(&clean));
	buf_free(&clean);
	return copy;
}

void
queue_stats_row(struct queue_stats *s, struct span row)
{
	struct group *g;
	struct json_scan j;
	size_t age = 0;
	char name[32] = "";

	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->groups = mem_resize(s->groups, s->cap * sizeof(*s->groups));
	}
	g = &s->groups[s->count++];
	memset(g, 0, sizeof(*g));
	json_scan_init(&j, row);
	while (json_scan_next(&j)) {
		uint64_t n;

		if (j.is_name)
			span_copy(j.value, name, sizeof(name));
		else if (j.kind == JSON_STRING && strcmp(name, "key") == 0 && !g->key)
			g->key = printable(j.value);
		else if (j.kind != JSON_WORD || number_parse(j.value, 0, UINT64_MAX, &n) < 0)
			continue;
		else if (strcmp(name, "messages") == 0)
			g->numbers[0] = n;
		else if (strcmp(name, "bytes") == 0)
			g->numbers[COLUMNS - 1] = (n + 1023) / 1024;
		else if (strcmp(name, "ages") == 0 && age < BUCKETS)
			g->numbers[1 + age++] = n;
	}
	json_scan_free(&j);
	if (!g->key)
		g->key = mem_strdup("");
}

/* ---- printing ---- */

/* How many octets of UTF-8 take so many columns; those of another encoding take one each, or none. */
static size_t
octets_of(struct span text, size_t columns)
{
	size_t i = 0;

	while (i < text.len && (columns > 0 || ((unsigned char)text.ptr[i] & 0xC0) == 0x80))
		columns -= ((unsigned char)text.ptr[i++] & 0xC0) != 0x80;
	return i;
}

static size_t
columns_of(struct span text)
{
	size_t columns = 0;

	for (size_t i = 0; i < text.len; i++)
		columns += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
	return columns;
}

static void
add_cell(struct buf *line, const char *text, size_t width)
{
	size_t len = strlen(text);

	buf_printf(line, " %*s%s", len < width ? (int)(width - len) : 0, "", text);
}

static void
end_line(struct buf *line, FILE *to, unsigned columns)
{
	struct span text = buf_span(line);

	if (columns > 0)
		text = span_sub(text, 0, octets_of(text, columns));
	fprintf(to, "%.*s\n", SPAN_ARG(text));
	buf_clear(line);
}

/* A name that is longer than its place is cut: where lines are bounded, the numbers count more. */
static void
add_name(struct buf *line, const char *name, size_t width)
{
	size_t len = columns_of(span_of(name));

	if (len > width)
		buf_append_span(line, span_sub(span_of(name), 0, octets_of(span_of(name), width)));
	else
		buf_printf(line, "%*s%s", (int)(width - len), "", name);
}

static size_t
name_width(const struct queue_stats *s, unsigned columns, size_t numbers)
{
	size_t width = NAME_WIDTH;

	for (size_t i = 0; i < s->count; i++) {
		size_t len = columns_of(span_of(s->groups[i].key));

		width = len > width ? len : width;
	}
	/* In a very narrow terminal at least the first numbers, which are the totals. */
	if (columns > 0 && width + numbers > columns)
		width = columns > numbers + NAME_LEAST ? columns - numbers
			: columns / 2 < NAME_LEAST     ? columns / 2
						       : NAME_LEAST;
	return width;
}

void
queue_stats_print(const struct queue_stats *s, FILE *to, unsigned columns)
{
	size_t widths[COLUMNS], total = 0, name;
	char text[DIGITS + 2];
	struct buf line;

	/* The total has the largest numbers. */
	for (size_t k = 0; k < COLUMNS; k++) {
		int len = snprintf(text, sizeof(text), "%llu",
		    s->count ? (unsigned long long)s->groups[0].numbers[k] : 0ull);

		widths[k] = columns > 0 ? strlen(heads[k]) : NUMBER_WIDTH;
		if ((size_t)len > widths[k])
			widths[k] = (size_t)len;
		total += 1 + widths[k];
	}
	name = name_width(s, columns, total);
	buf_init(&line, KEY_MAX * 4 + 1024);
	add_name(&line, "", name);
	for (size_t k = 0; k < COLUMNS; k++)
		add_cell(&line, heads[k], widths[k]);
	end_line(&line, to, columns);
	for (size_t i = 0; i < s->count; i++) {
		add_name(&line, s->groups[i].key, name);
		for (size_t k = 0; k < COLUMNS; k++) {
			snprintf(text, sizeof(text), "%llu", (unsigned long long)s->groups[i].numbers[k]);
			add_cell(&line, text, widths[k]);
		}
		end_line(&line, to, columns);
	}
	buf_free(&line);
}
