/*
 * clients: connections of one table to the servers that hold its data.
 *
 * A table has one connection to each of its hosts, opened when it is needed, and asks one host after the other until
 * one answers: those connected already, then UNIX sockets, then the others in random order. A connection that turns out
 * to be dead is made anew once. A host that failed is left alone for a while that grows from one second to thirty
 * (or always is retry_interval), by this table in all threads of the process: then one of them tries it. Other tables are
 * not held up, for what failed may be this one's port, name or password.
 */
#ifndef POSTERN_MAP_CLIENTS_H
#define POSTERN_MAP_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/map/kinds.h"
#include "common/map/tablefile.h"

/*
 * CLIENT_ANSWER_MAX: octets of a question's answer, as the server sends it. No value may have as many; what has them is a query
 * for the wrong rows, or a server that lies, and libraries of databases keep all that comes.
 */
enum { CLIENT_ANSWER_MAX = 1024 * 1024 };
enum { CLIENT_HOSTS_MAX = 32, CLIENT_TIMEOUT_SECONDS = 10, CLIENT_TIMEOUT_MAX = 100 };

/* hit->value is empty each time a server is asked. */
struct client_question {
	struct span key;
	struct map_hit *hit;
	bool *cut; /* to be set if the rest of an answer is not waited for: all is well with the host */
};

struct client_kind {
	const char *name; /* of the table's kind */
	const char *server; /* whom it asks, as errors have it */
	/* NULL with err. */
	void *(*connect)(void *table, const char *host, int64_t deadline_us, struct error *err);
	/* lost: the connection is of no use any more, and another host may be asked. */
	enum lookup_status (*ask)(void *table, void *connection, const struct client_question *q,
	    int64_t deadline_us, bool *lost, struct error *err);
	void (*disconnect)(void *connection);
	bool in_order; /* hosts are asked as they are written, not in random order */
};

struct clients;

/* hosts: words of a list. table is handed through to kind's functions; name is what stands behind "kind:". */
struct clients *clients_new(
    const struct client_kind *kind, void *table, const char *name, const char *hosts, unsigned timeout_s);
void clients_free(struct clients **c);

/*
 * From the table's file (mysql_table(5), pgsql_table(5)), in seconds: retry_interval, and idle_interval, after which a
 * connection is not used again.
 */
void clients_read_intervals(struct clients *c, struct tablefile *file);

/* Asks; what is wrong with the last host asked is in err. */
enum lookup_status clients_ask(struct clients *c, struct span key, struct map_hit *hit, struct error *err);

/* "unix:PATH" and "/PATH" (local, host is the path), "inet:HOST:PORT", "HOST:PORT" or "HOST"; IPv6 may have brackets. */
struct client_place {
	bool local;
	char host[512], port[64]; /* port: empty if there is none */
};
bool client_place_parse(const char *text, struct client_place *place);

/* err becomes "who: text", of which one line that is printable is taken: libraries and servers write it. */
void client_error(struct error *err, const char *who, const char *text);

/* Waits until fd can be read (or written). False when the time is over. */
bool client_wait(int fd, bool writing, int64_t deadline_us);

/* Whole seconds until then, at least 1: for libraries that count in these. */
unsigned client_seconds(int64_t deadline_us);

#endif
