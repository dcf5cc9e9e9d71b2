#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>

#include "services/policy/counters.h"

/* Clears what is behind the first 'bits' bits. */
static void
mask(uint8_t octets[16], unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned here = bits > 8 * i ? bits - 8 * i : 0;

		if (here < 8)
			octets[i] &= (uint8_t)(0xff << (8 - here));
	}
}

/* Returns false if it is no address; an IPv4 address in IPv6's clothes comes out as IPv4. */
static bool
normal_address(struct span address, struct client_prefixes prefixes, char out[INET6_ADDRSTRLEN])
{
	/* As IPv6 writes IPv4 (RFC 4291, 2.5.5.2). */
	struct in6_addr v6 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	char text[64];

	if (!span_copy(address, text, sizeof(text)))
		return false;
	if (inet_pton(AF_INET, text, v6.s6_addr + 12) != 1 && inet_pton(AF_INET6, text, &v6) != 1)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&v6)) {
		mask(v6.s6_addr, 96 + prefixes.ipv4);
		return inet_ntop(AF_INET, v6.s6_addr + 12, out, INET6_ADDRSTRLEN) != NULL;
	}
	mask(v6.s6_addr, prefixes.ipv6);
	return inet_ntop(AF_INET6, &v6, out, INET6_ADDRSTRLEN) != NULL;
}

struct span
client_key(
    struct span section, struct span address, struct client_prefixes prefixes, char key[CLIENT_KEY_SIZE])
{
	char normal[INET6_ADDRSTRLEN];

	if (normal_address(address, prefixes, normal))
		address = span_of(normal);
	snprintf(key, CLIENT_KEY_SIZE, "%.*s\n%.*s", SPAN_ARG(section), SPAN_ARG(address));
	return span_of(key);
}
