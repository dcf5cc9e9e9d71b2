#include "tools/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/map/settings.h"

enum { FAILURE_MAX = 8192 };

const struct conf *
tool_conf(struct tool *tool)
{
	struct conf_report *report;
	struct error err;

	if (tool->conf)
		return tool->conf;
	report = conf_report_new();
	tool->conf = conf_load_anyway(tool->confdir, report, &err);
	conf_report_free(&report);
	if (!tool->conf)
		tool_fail(tool, EX_CONFIG, "%s", err.text);
	else
		map_settings_use(tool->conf);
	return tool->conf;
}

const char *
tool_path(const struct tool *tool, const char *rest)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", tool->conf->values->queue_directory, rest);
	return path;
}

int
tool_fail(const struct tool *tool, int status, const char *format, ...)
{
	char text[FAILURE_MAX];
	struct buf line;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* One line, and nothing that a terminal obeys, whatever was given for a name. */
	buf_init(&line, sizeof(text));
	text_append_printable(&line, span_of(text), sizeof(text));
	fprintf(stderr, "%s: %s\n", tool->program, buf_text(&line));
	buf_free(&line);
	return status;
}
