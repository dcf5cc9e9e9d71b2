/*
 * tablefile: the parameters of a table in a database, "pgsql:/etc/postern/users.cf", or those that begin with "users_" in
 * postern.conf, "pgsql:users" (settings.h).
 *
 * The file has main.cf's lines, "name = value" with continuation and comments; nothing is expanded in it. Parameters may
 * be passwords: no value is ever put into a message, only names and line numbers.
 */
#ifndef POSTERN_MAP_TABLEFILE_H
#define POSTERN_MAP_TABLEFILE_H

#include <stdint.h>

#include "common/map/kinds.h"

struct tablefile;

/* NULL with err. */
struct tablefile *tablefile_open(const struct map_input *in, struct error *err);
void tablefile_close(struct tablefile **t);

/* For messages: the file, or "postern.conf". */
const char *tablefile_place(const struct tablefile *t);

/* The last one of that name counts; fallback (may be NULL) if there is none. Lives as long as the tablefile. */
const char *tablefile_text(struct tablefile *t, const char *name, const char *fallback);

/* Of all names and values, under a key of this process: tables with the same are the same. */
uint64_t tablefile_mark(const struct tablefile *t);

/* Bad values are told, and the fallback is taken. */
uint64_t tablefile_number(
    struct tablefile *t, const char *name, uint64_t fallback, uint64_t min, uint64_t max);
bool tablefile_bool(struct tablefile *t, const char *name, bool fallback);

/* Tells of the line of name (0: it is not there): "FILE, line N: text". */
void tablefile_complain(struct tablefile *t, const char *name, const char *text);

/* -1 with err if name is missing or empty. */
int tablefile_need(struct tablefile *t, const char *name, const char **value, struct error *err);

/* All parameters were asked for: tells of names that nobody knows. */
void tablefile_finish(struct tablefile *t);

#endif
