/*
 * client_library: libraries of table kinds, loaded when the first table of that kind is opened.
 *
 * Most hosts have no table in a database; sendmail(1), which runs once a message, need not load four database clients
 * for that. The library's own header gives the types, so a symbol cannot be called wrongly:
 *
 *	#define SYMBOLS(S) S(PQfinish) S(PQgetvalue)
 *	#define MEMBER(function) __typeof__(function) *function;
 *	#define ROW(function) {#function, (void **)&pq.function},
 *	static struct { SYMBOLS(MEMBER) } pq;
 *	static const struct client_symbol symbols[] = {SYMBOLS(ROW){NULL, NULL}};
 */
#ifndef POSTERN_MAP_CLIENT_LIBRARY_H
#define POSTERN_MAP_CLIENT_LIBRARY_H

#include "common/base/error.h"

struct client_symbol {
	const char *name;
	void **place;
};

/*
 * Loads file (a soname) and fills the places; once per library and process, under a lock. *loaded remembers it.
 * Inside lookup's sandbox no library can be loaded any more: map_preload().
 */
int client_library_load(
    const char *file, const struct client_symbol *symbols, int *loaded, struct error *err);

#endif
