/*
 * query: gets one question answered by the name servers, or finds out that none will.
 *
 * UDP from a socket of its own for each server (connected, so that the kernel drops what comes from elsewhere; the
 * port is the kernel's random choice, the id is drawn anew for each server), TCP after truncation. A server that
 * is slow may still answer while the next one is asked.
 */
#ifndef POSTERN_RESOLVER_QUERY_H
#define POSTERN_RESOLVER_QUERY_H

#include "services/resolver/servers.h"
#include "services/resolver/wire.h"

struct event_base;
struct query;

enum query_end {
	QUERY_ANSWERED, /* answer is good */
	QUERY_FOLLOW, /* answer.canonical is to be asked for */
	QUERY_FAILED, /* some server answered, none of them usefully; answer.reason says how */
	QUERY_SILENT /* none answered */
};

/* The query is gone when this is called. answer is lent; answer->authentic has already been checked for trust. */
typedef void query_done(void *context, enum query_end end, const struct answer *answer);

/* done is never called before this returns. */
struct query *query_start(struct event_base *base, struct servers *servers, const struct question *q,
    query_done *done, void *context);

/* Without calling done. Clears the caller's pointer. */
void query_cancel(struct query **q);

/* The times (microseconds after the start) when the n-th try begins; the last is when it is given up. Tests shorten them. */
enum { QUERY_TRIES = 4 };
extern int64_t query_schedule_us[QUERY_TRIES + 1];

#endif
