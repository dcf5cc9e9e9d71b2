#include "delivery/smtp/own.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

enum { OWN_MAX = 64, SMTP_PORT = 25 };

/* Everything is compared as IPv6, IPv4 as mapped. */
struct own_address {
	unsigned char octets[16];
	uint16_t port; /* of listeners, else 0 */
};

struct own {
	struct own_address interfaces[OWN_MAX];
	size_t interface_count;
	struct own_address proxies[OWN_MAX];
	size_t proxy_count;
	struct own_address listeners[OWN_MAX];
	size_t listener_count;
	char name[HOST_NAME_SIZE];
};

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

static void
octets_of_v4(unsigned char octets[16], const void *address)
{
	memcpy(octets, mapped, 12);
	memcpy(octets + 12, address, 4);
}

static bool
octets_parse(unsigned char octets[16], const char *text)
{
	unsigned char v4[4];

	if (inet_pton(AF_INET, text, v4) == 1) {
		octets_of_v4(octets, v4);
		return true;
	}
	return inet_pton(AF_INET6, text, octets) == 1;
}

static bool
octets_are_unspecified(const unsigned char octets[16])
{
	static const unsigned char any_v6[16];

	return memcmp(octets, any_v6, 16) == 0 || (memcmp(octets, mapped, 12) == 0 && octets[12] == 0);
}

static bool
octets_are_loopback(const unsigned char octets[16])
{
	static const unsigned char one_v6[16] = {[15] = 1};

	return memcmp(octets, one_v6, 16) == 0 || (memcmp(octets, mapped, 12) == 0 && octets[12] == 127);
}

static bool
octets_in(const struct own_address *list, size_t count, const unsigned char octets[16])
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(list[i].octets, octets, 16) == 0)
			return true;
	return false;
}

struct own *
own_new(void)
{
	struct own *o = mem_alloc(sizeof *o);
	struct ifaddrs *all;

	if (getifaddrs(&all) < 0)
		return o;
	for (const struct ifaddrs *i = all; i && o->interface_count < OWN_MAX; i = i->ifa_next) {
		unsigned char *octets = o->interfaces[o->interface_count].octets;

		if (!i->ifa_addr)
			continue;
		if (i->ifa_addr->sa_family == AF_INET) {
			struct sockaddr_in v4;

			memcpy(&v4, i->ifa_addr, sizeof v4);
			octets_of_v4(octets, &v4.sin_addr);
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			struct sockaddr_in6 v6;

			memcpy(&v6, i->ifa_addr, sizeof v6);
			memcpy(octets, &v6.sin6_addr, 16);
		} else {
			continue;
		}
		o->interface_count++;
	}
	freeifaddrs(all);
	return o;
}

void
own_free(struct own **o)
{
	free(*o);
	*o = NULL;
}

/* "address:port", "[v6]:port", "*:port", "port" of a section's listen. */
static void
own_add_listener(struct own *o, struct span word)
{
	struct own_address *a = &o->listeners[o->listener_count];
	ptrdiff_t colon = span_find_last(word, ':');
	struct span host = colon < 0 ? span_make("", 0) : span_sub(word, 0, (size_t)colon);
	char text[64];
	uint64_t port;

	if (o->listener_count == OWN_MAX)
		return;
	if (number_parse(span_from(word, (size_t)(colon + 1)), 1, 65535, &port) < 0)
		port = SMTP_PORT;
	if (host.len > 1 && host.ptr[0] == '[')
		host = span_sub(host, 1, host.len - 2);
	memset(a, 0, sizeof *a);
	a->port = (uint16_t)port;
	if (span_is_nocase(host, "localhost"))
		host = SPAN_LIT("127.0.0.1");
	/* What is no address stays unspecified: all of ours. */
	if (span_copy(host, text, sizeof text) && !octets_parse(a->octets, text))
		memset(a->octets, 0, 16);
	o->listener_count++;
}

void
own_configure(struct own *o, const struct conf *c)
{
	struct span rest = span_of(c->values->proxy_interfaces), word;
	char text[64];

	o->proxy_count = o->listener_count = 0;
	while (o->proxy_count < OWN_MAX && conf_list_next(&rest, &word))
		if (span_copy(word, text, sizeof text) &&
		    octets_parse(o->proxies[o->proxy_count].octets, text))
			o->proxy_count++;
	for (size_t i = 0; i < c->section_count; i++) {
		rest = span_of(c->sections[i].listen);
		while (conf_list_next(&rest, &word))
			own_add_listener(o, word);
	}
	span_copy(span_of(c->values->myhostname), o->name, sizeof o->name);
}

bool
own_is_name(const struct own *o, const char *name)
{
	struct span n = span_of(name);

	if (n.len > 0 && n.ptr[n.len - 1] == '.')
		n.len--;
	return span_is_nocase(n, o->name);
}

bool
own_is_host(const struct own *o, const struct host *host)
{
	unsigned char octets[16];
	bool ours;
	uint16_t port;

	if (host->address.any.sa_family == AF_INET) {
		octets_of_v4(octets, &host->address.v4.sin_addr);
		port = ntohs(host->address.v4.sin_port);
	} else {
		memcpy(octets, &host->address.v6.sin6_addr, 16);
		port = ntohs(host->address.v6.sin6_port);
	}
	if (octets_are_unspecified(octets) || octets_in(o->proxies, o->proxy_count, octets))
		return true;
	ours = octets_are_loopback(octets) || octets_in(o->interfaces, o->interface_count, octets);
	if (ours && port == SMTP_PORT)
		return true;
	for (size_t i = 0; i < o->listener_count; i++) {
		const struct own_address *l = &o->listeners[i];

		if (l->port != port)
			continue;
		if (memcmp(l->octets, octets, 16) == 0 || (ours && octets_are_unspecified(l->octets)))
			return true;
	}
	return false;
}
