/*
 * derive: the same configuration with other values on top. Defaults that refer to these follow them.
 */
#ifndef POSTERN_CONF_DERIVE_H
#define POSTERN_CONF_DERIVE_H

#include "common/conf/conf.h"

struct conf_change {
	struct span name, value; /* of a global parameter; as it is, without $names to be expanded */
};

/* Of the same generation. NULL with err: an unknown name, or a bad value. */
struct conf *conf_derive(
    const struct conf *c, const struct conf_change *changes, size_t count, struct error *err);

#endif
