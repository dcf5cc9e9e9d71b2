/*
 * interfaces: the addresses of this host.
 */
#ifndef POSTERN_ENGINE_INTERFACES_H
#define POSTERN_ENGINE_INTERFACES_H

#include <stdbool.h>
#include <stddef.h>

#include "services/lookup/engine/route.h"

enum { INTERFACES_MAX = 4096 };

struct route_interfaces {
	size_t count;
	struct {
		char address[64];
		bool loopback;
	} list[];
};

#endif
