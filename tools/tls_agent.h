/*
 * tls_agent: delivery's agent in a tool: its engine, with a resolver and tables of the tool's own behind the channels
 * on which delivery asks the processes of those names.
 */
#ifndef POSTERN_TOOLS_TLS_AGENT_H
#define POSTERN_TOOLS_TLS_AGENT_H

#include "common/conf/conf.h"
#include "delivery/smtp/agent.h"

struct tls_agent;

/* NULL with err. */
struct tls_agent *tls_agent_new(const struct conf *conf, struct error *err);
void tls_agent_free(struct tls_agent **a);

struct agent *tls_agent_agent(struct tls_agent *a);

/* Turns the event loop until *done. */
void tls_agent_run(struct tls_agent *a, const bool *done);

/*
 * Started by root: becomes a user who may do nothing, for what comes next reads what strangers send. Files and tables
 * are to be read before. -1 with err.
 */
int tls_agent_drop(const char *user, struct error *err);

#endif
