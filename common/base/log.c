#include "common/base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/text.h"

static log_sink *current_sink;
static void *current_context;
static const char *program = "postern";

static void
write_stderr(const char *ident, const char *text, size_t len)
{
	dprintf(STDERR_FILENO, "%s: %.*s\n", ident ? ident : program, (int)len, text);
}

static void
emit(enum log_level level, const struct log *log, const char *severity, const char *format, va_list args)
{
	const char *ident = log ? log->ident : NULL;
	char raw[LOG_LINE_MAX];
	struct buf line;
	bool of_message = log && log->queue_id && log->queue_id[0];
	int n, head;

	/* "warning: QID: text", as Postfix has it. */
	head = snprintf(
	    raw, sizeof(raw), "%s%s%s", severity, of_message ? log->queue_id : "", of_message ? ": " : "");
	n = vsnprintf(raw + head, sizeof(raw) - (size_t)head, format, args);
	n = n < 0 ? head : head + n;
	if ((size_t)n >= sizeof(raw))
		n = sizeof(raw) - 1;
	buf_init(&line, sizeof(raw) * 2);
	text_append_printable(&line, span_make(raw, (size_t)n), sizeof(raw));
	if (current_sink)
		current_sink(level, ident, buf_text(&line), line.len, current_context);
	else
		write_stderr(ident, buf_text(&line), line.len);
	buf_free(&line);
}

void
log_info(const struct log *log, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit(LOG_LEVEL_INFO, log, "", format, args);
	va_end(args);
}

void
log_warning(const struct log *log, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit(LOG_LEVEL_WARNING, log, "warning: ", format, args);
	va_end(args);
}

void
log_error(const struct log *log, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit(LOG_LEVEL_ERROR, log, "error: ", format, args);
	va_end(args);
}

void
log_fatal(const struct log *log, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit(LOG_LEVEL_FATAL, log, "fatal: ", format, args);
	va_end(args);
}

void
log_set_sink(log_sink *sink, void *context)
{
	current_sink = sink;
	current_context = context;
}

void
log_set_program(const char *name)
{
	program = name;
}

void
log_last_words(const char *text)
{
	static bool dying;
	char line[600];

	snprintf(line, sizeof(line), "panic: %s", text);
	write_stderr(NULL, line, strlen(line));
	if (current_sink && !dying) {
		dying = true;
		current_sink(LOG_LEVEL_FATAL, NULL, line, strlen(line), current_context);
	}
}
