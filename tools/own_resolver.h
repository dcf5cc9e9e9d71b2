/*
 * own_resolver: resolver's engine within a tool, with the name servers and hosts that resolver would have.
 */
#ifndef POSTERN_TOOLS_OWN_RESOLVER_H
#define POSTERN_TOOLS_OWN_RESOLVER_H

#include "common/base/error.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "services/resolver/engine.h"

/* dns_servers, or /etc/resolv.conf; /etc/hosts. NULL with err if dns_servers makes no sense. */
struct engine *own_resolver_new(struct event_base *base, const struct conf_values *v, struct error *err);

/* Answers a DNS_ASK, perhaps later: the channel must live until then. */
void own_resolver_answer(struct engine *engine, struct ipc_channel *channel, const struct ipc_frame *frame);

#endif
