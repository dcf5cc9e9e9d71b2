/*
 * names: hosts that "listen" or inet_interfaces name, looked up as the system does (/etc/hosts, then DNS).
 *
 * What a name server answers is read by a program of its own, "resolver names HOST FAMILIES", which becomes postern-dns
 * where root asks, has nothing open but a pipe and sends addresses back through that: never by the process that asks.
 * Waits, five seconds at most: at a start, a reload or a check, and only where there is a name.
 */
#ifndef POSTERN_MASTER_NAMES_H
#define POSTERN_MASTER_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum { NAME_ADDRESSES_MAX = 16 };

struct name_address {
	int family; /* AF_INET, AF_INET6 */
	uint8_t octets[16]; /* 4 of them, or all */
};

/* What the program writes, to NAMES_FD: as many as there are, or why there is none. */
struct name_answer {
	int count;
	struct name_address list[NAME_ADDRESSES_MAX];
	char trouble[100];
};

#define NAMES_ARGUMENT "names"
enum { NAMES_FD = 3 };

/*
 * programs: daemon_directory. Addresses of the families that are wanted, each once, in the system's order: how many, or
 * -1 with err.
 */
int names_look_up(const char *host, bool ipv4, bool ipv6, const char *programs,
    struct name_address list[NAME_ADDRESSES_MAX], struct error *err);

#endif
