/*
 * mx: from one route to the addresses of its hosts (RFC 5321, 5.1), by questions to resolver.
 *
 * MX records in order of preference, equals shuffled; the host's own address only if there is no MX at all; a null
 * MX (RFC 7505) refuses; hosts from our own place in the list upwards are left out. An IPv4 address in the place of
 * an exchanger's name is taken for what it is. Mail bounces only on answers that say no; whatever was not answered
 * is asked again later.
 */
#ifndef POSTERN_DELIVERY_SMTP_MX_H
#define POSTERN_DELIVERY_SMTP_MX_H

#include "delivery/smtp/agent.h"
#include "delivery/smtp/hosts.h"
#include "delivery/smtp/route.h"
#include "delivery/smtp/verdict.h"

/* Hosts of an MX set whose addresses are asked for at a time, the best ones first; the next only if these have none. */
enum { MX_BATCH = 20 };

struct mx;

/*
 * hosts: in order, the callee's from now on; with none, why says what to tell. May be called before mx_find()
 * returns. The search is over.
 */
typedef void mx_found(void *context, struct hosts *hosts, const struct verdict *why);

/* NULL when found was called already. conf and route are kept by copy or reference. */
struct mx *mx_find(
    struct agent *agent, const struct conf *conf, const struct route *route, mx_found *found, void *context);

/* found will not be called. */
void mx_cancel(struct mx **m);

#endif
