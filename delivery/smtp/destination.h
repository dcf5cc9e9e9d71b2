/*
 * destination: connections that wait a little for the next message to the same next hop.
 *
 * An idle connection serves only jobs of the very next hop (transport and text) that it was opened for, under the same
 * TLS policies: its key (itinerary.h). It leaves with QUIT after smtp_connection_cache_time_limit; when the peer ends it, it vanishes.
 */
#ifndef POSTERN_DELIVERY_SMTP_DESTINATION_H
#define POSTERN_DELIVERY_SMTP_DESTINATION_H

#include "common/base/span.h"
#include "delivery/smtp/connection.h"

/* Idle connections of one process, all destinations together. */
enum { DESTINATION_IDLE_MAX = 2000 };

struct destinations *destinations_new(void);

/* All idle connections say QUIT. */
void destinations_quit(struct destinations *d);
void destinations_free(struct destinations **d);

/* Takes the one that was used last, NULL if there is none. */
struct connection *destination_take(struct destinations *d, struct span key);

/* Keeps it if the configuration allows it, else says QUIT. The connection is no longer the caller's. */
void destination_put(struct destinations *d, struct connection *c);

#endif
