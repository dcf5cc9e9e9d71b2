/*
 * table_files: a directory of its own for each test program, and files in it.
 */
#ifndef POSTERN_TESTS_MAP_TABLE_FILES_H
#define POSTERN_TESTS_MAP_TABLE_FILES_H

#include <stddef.h>

#include "common/map/map.h"

/* Group set-up and tear-down for cmocka. */
int files_begin(void **state);
int files_end(void **state);

/* DIRECTORY/name in one of several static buffers. */
const char *file_path(const char *name);

/* Replaces the file by rename, as a careful editor does; its time is always a new one. */
void file_write(const char *name, const void *bytes, size_t len);
void file_write_text(const char *name, const char *text);

/* "type:DIRECTORY/name" in a static buffer. */
const char *table_name(const char *type, const char *name);

/* Complaints as "LINE: text\n" one after the other. */
struct complaints {
	char text[4096];
	size_t len;
};
void complaints_add(const char *file, unsigned line, const char *text, void *context);

/* Looks key up in a table that is opened for this alone: "found VALUE", "not found" or "temporary". */
const char *table_ask(const char *table, const char *key);

#endif
