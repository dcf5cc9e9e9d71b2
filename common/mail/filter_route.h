/*
 * filter_route: where mail goes that a FILTER action or content_filter sends somewhere else: "transport:destination", or
 * "transport" or "transport:" alone, to the recipient's own domain (access(5), header_checks(5)).
 */
#ifndef POSTERN_MAIL_FILTER_ROUTE_H
#define POSTERN_MAIL_FILTER_ROUTE_H

#include "common/base/span.h"

/* transport and nexthop become parts of filter or recipient. */
void filter_route(struct span filter, struct span recipient, struct span *transport, struct span *nexthop);

#endif
