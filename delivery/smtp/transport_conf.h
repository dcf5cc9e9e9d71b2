/*
 * transport_conf: the configuration of one transport: the common one, with the -o options of its line in
 * transport_services on top; for one that speaks LMTP, lmtp_... in the place of smtp_... where
 * there is one.
 */
#ifndef POSTERN_DELIVERY_SMTP_TRANSPORT_CONF_H
#define POSTERN_DELIVERY_SMTP_TRANSPORT_CONF_H

#include "common/conf/conf.h"
#include "common/conf/transports.h"

/* Bounded; made when a transport is first used. */
struct transport_confs;

struct transport_confs *transport_confs_new(void);
void transport_confs_free(struct transport_confs **t);

/* A reference to the configuration of that transport. NULL with err for options that make no sense: its mail waits. */
struct conf *transport_conf(struct transport_confs *t, const struct conf *common,
    const struct transport_service *service, struct error *err);

#endif
