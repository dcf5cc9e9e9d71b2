/*
 * expand: aliases(5), down to addresses that are no alias of this host.
 *
 * Tables are asked through lookup. Aliases within aliases are opened here, so that loops are seen; what comes out are
 * addresses with their routes. An alias that contains its own name means the user of that name ("\name").
 */
#ifndef POSTERN_LOCAL_EXPAND_H
#define POSTERN_LOCAL_EXPAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"

enum { EXPAND_DEPTH_MAX = 100, EXPAND_ITEMS_MAX = 20000 };

enum expand_status {
	EXPAND_NO_ALIAS, /* the name is none: deliver to the user */
	EXPAND_DONE, /* addresses */
	EXPAND_FAILED /* class, code, text */
};

struct expand_address {
	struct span recipient;
	struct span sender;
	struct span transport;
	struct span nexthop;
	uint64_t generation;
};

struct expand_result {
	enum expand_status status;
	enum outcome_class class;
	const char *code;
	struct span text;
	bool has_owner; /* owner-NAME is the sender from here on */
	size_t count;
	const struct expand_address *addresses;
};

struct expansion;

/* result is lent. May be called before expand_start() returns. */
typedef void expand_done(void *context, const struct expand_result *result);

struct expand_request {
	struct ipc_channel *lookup; /* NULL: it is not there */
	const char *alias_maps;
	struct span name; /* unquoted, lower case */
	struct span domain; /* of the recipient: owner-NAME gets it */
	struct span sender;
};

void expand_start(const struct expand_request *request, expand_done *done, void *context);

#endif
