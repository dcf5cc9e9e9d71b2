#include "services/lookup/engine/interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "common/base/mem.h"

static const char *
address_text(const struct sockaddr *sa, char *text, size_t size)
{
	if (sa->sa_family == AF_INET)
		return inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, text,
		    (socklen_t)size);
	if (sa->sa_family == AF_INET6)
		return inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, text,
		    (socklen_t)size);
	return NULL;
}

struct route_interfaces *
route_interfaces_read(void)
{
	struct ifaddrs *all = NULL;
	size_t count = 0;

	if (getifaddrs(&all) < 0)
		all = NULL;
	for (const struct ifaddrs *i = all; i != NULL && count < INTERFACES_MAX; i = i->ifa_next)
		count++;
	struct route_interfaces *list = mem_alloc(sizeof(*list) + count * sizeof(list->list[0]));
	for (const struct ifaddrs *i = all; i != NULL && list->count < count; i = i->ifa_next) {
		if (i->ifa_addr == NULL)
			continue;
		if (address_text(
			i->ifa_addr, list->list[list->count].address, sizeof(list->list[0].address)) == NULL)
			continue;
		list->list[list->count++].loopback = (i->ifa_flags & IFF_LOOPBACK) != 0;
	}
	if (all != NULL)
		freeifaddrs(all);
	return list;
}

void
route_interfaces_free(struct route_interfaces **i)
{
	free(*i);
	*i = NULL;
}
