/*
 * log: one event, one line.
 *
 * Lines go to the process's sink: standard error until the server skeleton (common/server) puts in the one that
 * sends them to the log process. Texts are made printable and cut to LOG_LINE_MAX here, so callers may pass what
 * strangers wrote. Only the thread that runs the event loop logs; other threads hand their lines to it.
 * No secret and no content of a message is ever logged.
 */
#ifndef POSTERN_BASE_LOG_H
#define POSTERN_BASE_LOG_H

#include <stddef.h>

enum { LOG_LINE_MAX = 2000 };

/* Numbers as in syslog(3). */
enum log_level { LOG_LEVEL_FATAL = 2, LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6 };

/*
 * What a line is about. NULL stands for the process's own. ident is the service name that Postfix would log as
 * ("smtpd", "qmgr", "smtp", "cleanup"), or one with its own syslog_name in front where it holds a '/'
 * ("postern/submission/smtpd"). queue_id, where set, leads the line: "QID: text".
 */
struct log {
	const char *ident;
	const char *queue_id;
};

void log_info(const struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text gets Postfix's "warning: ", "error: " or "fatal: " in front (the queue id before it). */
void log_warning(const struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_error(const struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_fatal(const struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ident may be NULL. text is printable, without newline. */
typedef void log_sink(enum log_level level, const char *ident, const char *text, size_t len, void *context);

/* NULL restores standard error. */
void log_set_sink(log_sink *sink, void *context);

/* The name in front of lines to standard error. Kept by reference. */
void log_set_program(const char *name);

/* For panic(): straight to standard error and to the sink, allocating nothing. */
void log_last_words(const char *text);

#endif
