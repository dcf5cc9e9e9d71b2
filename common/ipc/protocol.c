#include "common/ipc/protocol.h"

#include <stddef.h>

static const char *const names[ROLE_COUNT] = {
    [ROLE_MASTER] = "master",
    [ROLE_LOG] = "log",
    [ROLE_SMTPD] = "smtpd",
    [ROLE_QUEUE] = "queue",
    [ROLE_DELIVERY] = "delivery",
    [ROLE_LOCAL] = "local",
    [ROLE_PICKUP] = "pickup",
    [ROLE_RESOLVER] = "resolver",
    [ROLE_LOOKUP] = "lookup",
    [ROLE_POLICY] = "policy",
    [ROLE_KEYS] = "keys",
    [ROLE_AUTH] = "auth",
    [ROLE_TOOL] = "tool",
};

const char *
role_name(enum role role)
{
	return (unsigned)role < ROLE_COUNT ? names[role] : "unknown";
}
