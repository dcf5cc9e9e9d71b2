#include "common/conf/own_networks.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/conf/conf.h"

enum { OCTETS_MAX = 16, NETWORK_TEXT_MAX = INET6_ADDRSTRLEN + 8 };

static const char loopback[] = "127.0.0.0/8 [::1]/128";

/* The octets of an address; 0: of another family. */
static size_t
octets_of(const struct sockaddr *sa, uint8_t octets[OCTETS_MAX])
{
	if (sa && sa->sa_family == AF_INET) {
		memcpy(octets, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
		return 4;
	}
	if (sa && sa->sa_family == AF_INET6) {
		memcpy(octets, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		return 16;
	}
	return 0;
}

/* Leading ones. */
static unsigned
mask_bits(const uint8_t *mask, size_t len)
{
	unsigned bits = 0;

	while (bits < len * 8 && mask[bits / 8] & 0x80U >> bits % 8)
		bits++;
	return bits;
}

/* Classes A, B and C; what is none stands for itself. */
static unsigned
class_bits(uint8_t first)
{
	return first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : 32;
}

static bool
stands_there(const struct buf *out, struct span network)
{
	struct span rest = buf_span(out), word;

	while (span_next_word(&rest, " ", &word))
		if (span_equal(word, network))
			return true;
	return false;
}

bool
own_networks_add(struct buf *out, const struct sockaddr *address, const struct sockaddr *mask, bool class)
{
	char text[INET6_ADDRSTRLEN], network[NETWORK_TEXT_MAX];
	uint8_t octets[OCTETS_MAX], ones[OCTETS_MAX];
	size_t len = octets_of(address, octets);
	unsigned bits;

	if (len == 0)
		return false;
	bits = octets_of(mask, ones) == len ? mask_bits(ones, len) : (unsigned)len * 8;
	if (class && len == 4)
		bits = class_bits(octets[0]);
	/* The whole world is nobody's network: an interface without a mask. */
	if (bits == 0)
		bits = (unsigned)len * 8;
	for (unsigned i = bits; i < len * 8; i++)
		octets[i / 8] &= (uint8_t) ~(0x80U >> i % 8);
	if (inet_ntop(len == 4 ? AF_INET : AF_INET6, octets, text, sizeof(text)) == NULL)
		return false;
	(void)snprintf(network, sizeof(network), len == 4 ? "%s/%u" : "[%s]/%u", text, bits);
	if (stands_there(out, span_of(network)))
		return false;
	(void)buf_printf(out, "%s%s", out->len > 0 ? " " : "", network);
	return true;
}

/* Names in inet_interfaces are not looked up here: what they stand for is not trusted. */
static bool
is_used(const struct sockaddr *sa, struct span interfaces)
{
	uint8_t octets[OCTETS_MAX], wanted[OCTETS_MAX];
	size_t len = octets_of(sa, octets);
	struct span word;
	char text[64];

	while (conf_list_next(&interfaces, &word)) {
		if (span_is_nocase(word, "all"))
			return true;
		if (word.len > 2 && word.ptr[0] == '[')
			word = span_sub(word, 1, word.len - 2);
		if (len > 0 && span_copy(word, text, sizeof(text)) &&
		    inet_pton(len == 4 ? AF_INET : AF_INET6, text, wanted) == 1 &&
		    memcmp(octets, wanted, len) == 0)
			return true;
	}
	return false;
}

void
own_networks_append(enum networks_style style, struct span interfaces, struct buf *out)
{
	struct ifaddrs *all = NULL;

	buf_append_text(out, loopback);
	if (style == NETWORKS_HOST || getifaddrs(&all) < 0)
		return;
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
		if (!(i->ifa_flags & IFF_LOOPBACK) && i->ifa_flags & IFF_UP &&
		    is_used(i->ifa_addr, interfaces))
			(void)own_networks_add(out, i->ifa_addr, i->ifa_netmask, style == NETWORKS_CLASS);
	freeifaddrs(all);
}
