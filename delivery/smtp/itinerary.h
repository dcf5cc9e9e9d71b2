/*
 * itinerary: where a job's mail may go: the routes of its next hop in order, then those of smtp_fallback_relay, each
 * with what it asks of TLS. And the key under which connections for it are kept: they serve only jobs of the same
 * transport and next hop, of which every route has the same policy; and, where senders have logins of their own, of the
 * same sender.
 */
#ifndef POSTERN_DELIVERY_SMTP_ITINERARY_H
#define POSTERN_DELIVERY_SMTP_ITINERARY_H

#include "delivery/smtp/job.h"
#include "delivery/smtp/route.h"
#include "delivery/smtp/tls_policy.h"

enum { ITINERARY_KEY_SIZE = 1700 };

struct itinerary;

/* All is known. */
typedef void itinerary_ready(void *context);

/* The job must outlive it. Nothing is asked yet. */
struct itinerary *itinerary_new(struct job *job, itinerary_ready *ready, void *context);

/* Calls ready once, perhaps before it returns; then the itinerary may be gone. */
void itinerary_begin(struct itinerary *i);
void itinerary_free(struct itinerary **i);

/* No route: the next hop makes no sense, and itinerary_error() says why; it is NULL otherwise. */
size_t itinerary_count(const struct itinerary *i);
const struct error *itinerary_error(const struct itinerary *i);

const struct route *itinerary_route(const struct itinerary *i, size_t at);
struct tls_policy *itinerary_policy(const struct itinerary *i, size_t at);

/* The key of the idle connections that will do. */
const char *itinerary_key(const struct itinerary *i);

#endif
