#include "common/conf/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { COMPLAINTS_MAX = 1000 };

struct conf_report {
	struct conf_complaint *list;
	size_t count;
};

struct conf_report *
conf_report_new(void)
{
	return mem_alloc(sizeof(struct conf_report));
}

void
conf_report_free(struct conf_report **r)
{
	if (!*r)
		return;
	for (size_t i = 0; i < (*r)->count; i++) {
		free((void *)(uintptr_t)(*r)->list[i].file);
		free((void *)(uintptr_t)(*r)->list[i].text);
	}
	free((*r)->list);
	free(*r);
	*r = NULL;
}

static int
rank(char severity)
{
	return severity == 'f' ? 2 : severity == 'e' ? 1 : 0;
}

size_t
conf_report_count(const struct conf_report *r, char at_least)
{
	size_t n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += rank(r->list[i].severity) >= rank(at_least);
	return n;
}

const struct conf_complaint *
conf_report_at(const struct conf_report *r, size_t i)
{
	return i < r->count ? &r->list[i] : NULL;
}

void
conf_report_add(
    struct conf_report *r, char severity, const char *file, unsigned line, const char *format, ...)
{
	struct conf_complaint *c;
	char text[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	/* The same mistake seen again in another section, or under stress. */
	for (size_t i = 0; i < r->count; i++) {
		if (r->list[i].line == line && strcmp(r->list[i].text, text) == 0)
			return;
	}
	if (r->count == COMPLAINTS_MAX) {
		/* What stops the start is never lost among the others. */
		c = &r->list[COMPLAINTS_MAX - 1];
		if (rank(severity) <= rank(c->severity))
			return;
		free((void *)(uintptr_t)c->file);
		free((void *)(uintptr_t)c->text);
	} else {
		r->list = mem_resize(r->list, (r->count + 1) * sizeof(*r->list));
		c = &r->list[r->count++];
	}
	c->severity = severity;
	c->file = mem_strdup(file);
	c->line = line;
	c->text = mem_strdup(text);
}
