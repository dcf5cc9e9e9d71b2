#include "services/master/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/conf/ports.h"

enum { DEFAULT_PORT = 25 };

static bool
family_wanted(const char *protocols, int family)
{
	struct span rest = span_of(protocols), word;

	while (conf_list_next(&rest, &word)) {
		if (span_is_nocase(word, "all") || span_is_nocase(word, family == AF_INET ? "ipv4" : "ipv6"))
			return true;
	}
	return false;
}

static int
parse_port(struct span text, const char *known, uint16_t *port, struct error *err)
{
	struct servent *service;
	char name[64];

	if (port_parse(text, known, port) == 0)
		return 0;
	service = span_copy(text, name, sizeof(name)) ? getservbyname(name, "tcp") : NULL;
	if (service == NULL)
		return error_set(err, "'%.*s' is no port", SPAN_ARG(text));
	*port = ntohs((uint16_t)service->s_port);
	return 0;
}

/* host: without brackets, may be empty. Returns -1 if it is no such thing. */
static int
split(struct span word, struct span *host, struct span *port)
{
	ptrdiff_t end;

	*port = span_make(NULL, 0);
	if (span_starts(word, "[")) {
		end = span_find(word, ']');
		if (end < 0)
			return -1;
		*host = span_sub(word, 1, (size_t)end - 1);
		if (span_starts_nocase(*host, "ipv6:"))
			*host = span_from(*host, 5);
		word = span_from(word, (size_t)end + 1);
		if (word.len == 0)
			return 0;
		if (word.ptr[0] != ':')
			return -1;
		*port = span_from(word, 1);
		return port->len > 0 ? 0 : -1;
	}
	end = span_find(word, ':');
	*host = word;
	/* More than one colon: an IPv6 address without a port. */
	if (end < 0 || span_find_last(word, ':') != end)
		return 0;
	*host = span_sub(word, 0, (size_t)end);
	*port = span_from(word, (size_t)end + 1);
	return port->len > 0 ? 0 : -1;
}

static int
add(struct listen_address *to, int family, const void *address, uint16_t port, bool wildcard)
{
	char text[INET6_ADDRSTRLEN];

	memset(to, 0, sizeof(*to));
	to->wildcard = wildcard;
	inet_ntop(family, address, text, sizeof(text));
	if (family == AF_INET) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

		memcpy(&in.sin_addr, address, sizeof(in.sin_addr));
		memcpy(&to->address, &in, sizeof(in));
		to->len = sizeof(in);
		snprintf(to->text, sizeof(to->text), "%s:%u", text, port);
	} else {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

		memcpy(&in6.sin6_addr, address, sizeof(in6.sin6_addr));
		memcpy(&to->address, &in6, sizeof(in6));
		to->len = sizeof(in6);
		snprintf(to->text, sizeof(to->text), "[%s]:%u", text, port);
	}
	return 1;
}

/* A name, as RFC 952 and 1123 have them: something else is a mistake, not a host that is unknown. */
static bool
may_be_name(const char *text)
{
	size_t letters = 0;

	if (text[0] == '-' || text[0] == '.')
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		if (!ascii_is_alnum(*p) && *p != '-' && *p != '.' && *p != '_')
			return false;
		letters += ascii_is_alpha(*p);
	}
	return letters > 0;
}

static int
parse_name(const char *host, bool ipv4, bool ipv6, const char *programs, uint16_t port,
    struct listen_address *list, struct error *err)
{
	struct name_address found[NAME_ADDRESSES_MAX];
	int count = names_look_up(host, ipv4, ipv6, programs, found, err);

	for (int i = 0; i < count; i++)
		add(&list[i], found[i].family, found[i].octets, port, false);
	return count;
}

int
listen_address_parse(struct span word, const struct conf_values *v, const char *programs,
    struct listen_address list[LISTEN_ADDRESSES_MAX], struct error *err)
{
	const struct in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT, any6 = IN6ADDR_ANY_INIT;
	const struct in_addr loopback4 = {htonl(INADDR_LOOPBACK)}, any4 = {htonl(INADDR_ANY)};
	bool ipv4 = family_wanted(v->inet_protocols, AF_INET),
	     ipv6 = family_wanted(v->inet_protocols, AF_INET6), any, local;
	uint16_t port = DEFAULT_PORT;
	struct span host, port_text;
	struct in6_addr in6;
	struct in_addr in;
	char name[256];
	int count = 0;

	if (split(word, &host, &port_text) < 0 || !span_copy(host, name, sizeof(name)))
		return error_set(err, "'%.*s' is no address to listen on", SPAN_ARG(word));
	if (port_text.len > 0 && parse_port(port_text, v->known_tcp_ports, &port, err) < 0)
		return -1;
	any = host.len == 0 || span_is(host, "*");
	local = span_is_nocase(host, "localhost");
	if (any || local) {
		if (ipv4)
			count += add(&list[count], AF_INET, any ? &any4 : &loopback4, port, true);
		if (ipv6)
			count += add(&list[count], AF_INET6, any ? &any6 : &loopback6, port, true);
		return count;
	}
	if (inet_pton(AF_INET, name, &in) == 1)
		return add(&list[0], AF_INET, &in, port, false);
	if (inet_pton(AF_INET6, name, &in6) == 1)
		return add(&list[0], AF_INET6, &in6, port, IN6_IS_ADDR_LOOPBACK(&in6));
	if (!may_be_name(name))
		return error_set(err, "'%.*s' is no address to listen on", SPAN_ARG(word));
	if (!programs)
		return error_set(
		    err, "'%.*s' is no address: names of hosts are not looked up", SPAN_ARG(word));
	return parse_name(name, ipv4, ipv6, programs, port, list, err);
}
