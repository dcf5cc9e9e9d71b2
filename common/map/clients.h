/*
 * clients: connections of one table to the servers that hold its data.
 *
 * A table has one connection to each of its hosts, opened when it is needed, and asks one host after the other until
 * one answers: those connected already, then UNIX sockets, then the others in random order. A connection that turns out
 * to be dead is made anew once. A host that failed is left alone for a while that grows from one second to thirty,
 * by all threads of the process: then one of them tries it.
 */
#ifndef POSTERN_MAP_CLIENTS_H
#define POSTERN_MAP_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/ipc/protocol.h"

enum { CLIENT_HOSTS_MAX = 32, CLIENT_TIMEOUT_SECONDS = 10, CLIENT_TIMEOUT_MAX = 100 };

struct client_kind {
	/* NULL with err. */
	void *(*connect)(void *table, const char *host, int64_t deadline_us, struct error *err);
	/* lost: the connection is of no use any more, and another host may be asked. */
	enum lookup_status (*ask)(void *table, void *connection, void *question, int64_t deadline_us,
	    bool *lost, struct error *err);
	void (*disconnect)(void *connection);
	bool in_order; /* hosts are asked as they are written, not in random order */
};

struct clients;

/* hosts: words of a list. table is handed through to kind's functions. */
struct clients *clients_new(
    const struct client_kind *kind, void *table, const char *hosts, unsigned timeout_s);
void clients_free(struct clients **c);

/* Asks; what is wrong with the last host asked is in err. */
enum lookup_status clients_ask(struct clients *c, void *question, struct error *err);

/* Waits until fd can be read (or written). False when the time is over. */
bool client_wait(int fd, bool writing, int64_t deadline_us);

/* Whole seconds until then, at least 1: for libraries that count in these. */
unsigned client_seconds(int64_t deadline_us);

#endif
