/*
 * conf: main.cf's grammar, and one schema row per parameter.
 *
 * params.def is the only list of parameters: struct conf_values, the parser, postern config, postern check and the
 * reference manual page come from it. master (and the tools) read the file; every other process receives the
 * expanded values over its control connection and parses single values by the same rows.
 *
 * A configuration is immutable and counted: whoever keeps one past a turn of the loop holds a reference, so that a
 * transaction ends under the configuration that it began with.
 */
#ifndef POSTERN_CONF_CONF_H
#define POSTERN_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

/*
 * Types of parameters and what C sees of them:
 *   BOOL   yes, no                              bool
 *   INT    decimal, within [min, max]           int64_t
 *   SIZE   octets, as INT; suffixes k, m, g     int64_t
 *   TIME   ms s m h d w (the row's own unit)    int64_t, microseconds
 *   ENUM   one word of a list                   int, index in the list; CONF_<NAME>_<WORD> constants where used
 *   TEXT   anything                             const char *, never NULL, $names expanded
 *   RAW    anything                             const char *, never NULL, as written: whoever uses it expands it
 * Row: TYPE(name, default, ...): see the head of params.def.
 */
#define BOOL(name, fallback, help) bool name;
#define INT(name, fallback, low, high, help) int64_t name;
#define SIZE(name, fallback, low, high, help) int64_t name;
#define TIME(name, fallback, unit, low, high, help) int64_t name;
#define ENUM(name, fallback, words, help) int name;
#define TEXT(name, fallback, help) const char *name;
#define RAW(name, fallback, help) const char *name;
struct conf_values {
#include "common/conf/params.def"
};
#undef BOOL
#undef INT
#undef SIZE
#undef TIME
#undef ENUM
#undef TEXT
#undef RAW

/* Values of ENUM rows, in the order of their words. */
enum {
	CONF_SMTPD_FORBID_BARE_NEWLINE_NO,
	CONF_SMTPD_FORBID_BARE_NEWLINE_NOTE,
	CONF_SMTPD_FORBID_BARE_NEWLINE_NORMALIZE,
	CONF_SMTPD_FORBID_BARE_NEWLINE_REJECT,
	CONF_SMTPD_FORBID_BARE_NEWLINE_YES
};

enum { CONF_HEADER_FROM_FORMAT_STANDARD, CONF_HEADER_FROM_FORMAT_OBSOLETE };

enum { CONF_SMTPD_SASL_SCRAM_NO, CONF_SMTPD_SASL_SCRAM_AUTO, CONF_SMTPD_SASL_SCRAM_YES };

enum { CONF_SMTPD_SASL_TYPE_DOVECOT, CONF_SMTPD_SASL_TYPE_TABLE, CONF_SMTPD_SASL_TYPE_PAM };

/* Bounds of the file: a longer value, name or list of sections is an ordinary mistake. */
enum { CONF_VALUE_MAX = 50000, CONF_NAME_MAX = 63, CONF_SECTION_NAME_MAX = 32, CONF_SECTIONS_MAX = 64 };

/* A listener: "[name]" in postern.conf, with "listen = address:port, ...". */
struct conf_section {
	const char *name;
	const char *listen;
	const struct conf_values *values; /* the global ones with the section's on top */
	const struct conf_values
	    *stressed; /* the same where $stress is "yes": while the host is nearly full */
};

struct conf {
	uint64_t generation;
	const struct conf_values *values;
	const struct conf_values *stressed;
	const struct conf_section *sections; /* never none: without any in the file, "smtp" on port 25 */
	size_t section_count;
};

struct conf *conf_ref(const struct conf *c);
void conf_unref(struct conf **c);

/* NULL if there is none of that name. */
const struct conf_section *conf_section_find(const struct conf *c, struct span name);

/*
 * The expanded text of any parameter by its name. Also of those without a row: what the file defines for itself
 * (restriction classes), and <transport>_destination_..., which is default_destination_... where the file does not
 * set it. NULL if there is none of that name.
 */
const char *conf_lookup(const struct conf_values *v, const char *name);

/* The same as a number (of a TIME: microseconds), by the rules of its row; -1 if there is none. */
int64_t conf_lookup_number(const struct conf_values *v, const char *name);

/* ---- reading the file (master, tools) ---- */

/* One complaint of the parser. severity: 'w' goes on without it, 'e' is an error, 'f' would make the host unsafe. */
struct conf_complaint {
	char severity;
	const char *file;
	unsigned line; /* 0: of no single line */
	const char *text; /* with the name that was probably meant, where one is close */
};

struct conf_report; /* a list of complaints */

struct conf_report *conf_report_new(void);
void conf_report_free(struct conf_report **r);
size_t conf_report_count(const struct conf_report *r, char at_least);
const struct conf_complaint *conf_report_at(const struct conf_report *r, size_t i);

/*
 * Reads CONFDIR/postern.conf. NULL with err if it cannot be read at all or a complaint is 'f'; otherwise a usable
 * configuration (a bad value keeps its default, except that restrictions are never fewer than written).
 */
struct conf *conf_load(const char *confdir, struct conf_report *report, struct error *err);

/* The same for tools that look at or stop a host: NULL only if the file cannot be read. Never starts anything. */
struct conf *conf_load_anyway(const char *confdir, struct conf_report *report, struct error *err);

/*
 * Walks what was set, and defaults that depend on this host, as (section, name, expanded value): what master ships to its
 * children.
 */
typedef void conf_visit(struct span section, struct span name, struct span value, void *context);
void conf_each_changed(const struct conf *c, conf_visit *visit, void *context);

/* ---- building one from shipped values (children) ---- */

struct conf_builder;
struct conf_builder *conf_builder_new(void);
int conf_builder_set(
    struct conf_builder *b, struct span section, struct span name, struct span value, struct error *err);

/* Ends the builder. Missing values are the defaults. */
struct conf *conf_builder_finish(struct conf_builder **b, uint64_t generation, struct error *err);

/* For unit tests and single-purpose tools: the defaults, with "name = value" lines on top. NULL with err. */
struct conf *conf_from_text(const char *text, struct error *err);

/* ---- lists ---- */

/*
 * Postfix's list syntax: words separated by comma or white space; double quotes and {} group, and stay part of the
 * word. Returns false at the end.
 */
bool conf_list_next(struct span *rest, struct span *word);

/* Is word in the list, whatever its case? */
bool conf_list_has(const char *list, const char *word);

#endif
