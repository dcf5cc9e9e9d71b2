/*
 * source: what a configuration file says, before anything is expanded: scopes of settings.
 *
 * The first scope is the global one, the others are the sections in their order. Everything lies in the arena of
 * the source. Private to common/conf and tools/ (postern config shows what was written).
 */
#ifndef POSTERN_CONF_SOURCE_H
#define POSTERN_CONF_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/conf.h"

enum { SOURCE_SETTINGS_MAX = 4000, SOURCE_FILE_MAX = 4 << 20 };

struct setting {
	const char *name;
	const char *text;
	unsigned line;
	bool literal; /* expanded already */
	bool used; /* some value refers to it */
};

struct scope {
	const char *section; /* "" is the global one */
	const char *listen; /* NULL if not given */
	const char
	    *folder; /* of the file, which is $config_directory; NULL: of a section, or there is no file */
	unsigned line;
	struct setting *settings;
	size_t count;
};

struct source {
	struct arena *arena;
	const char *file;
	bool on_disk; /* a file, whose lists may name others (list_file.h) */
	struct conf_report *report;
	struct scope scopes[1 + CONF_SECTIONS_MAX];
	size_t scope_count;
	size_t setting_count;
};

/* Has the global scope. file and report are kept by reference. */
struct source *source_new(const char *file, struct conf_report *report);
void source_free(struct source **s);

/* Reads all of a regular file of up to SOURCE_FILE_MAX octets into out. */
int source_load(const char *path, struct buf *out, struct error *err);

/* Letters, digits, '_', '-' and '.': what the name of a parameter or section is made of. How long it is, is not looked at. */
bool source_name_valid(struct span name);

/* Understands a whole file's text; mistakes go to the report. */
void source_read(struct source *s, struct span text);

/* NULL if there are too many. The section is added when it is new. */
struct scope *source_scope(struct source *s, struct span section);

/* Adds or replaces. NULL at the limits. */
struct setting *source_set(
    struct source *s, struct scope *scope, struct span name, struct span text, unsigned line);

/* NULL if that scope does not set it. */
struct setting *scope_find(const struct scope *scope, struct span name);

/* True if the host is less safe when this parameter is not as written: complaints about it stop the start. */
bool setting_is_vital(struct span name);

#endif
