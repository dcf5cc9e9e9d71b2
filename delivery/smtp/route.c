#include "delivery/smtp/route.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/base/text.h"
#include "common/conf/ports.h"

static bool
is_address(const char *host)
{
	unsigned char address[16];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Splits "[host]:port", "host:port" and "host". Returns -1 if brackets do not close. */
static int
route_split(struct span word, struct span *host, struct span *port, bool *bracketed)
{
	ptrdiff_t end;

	*port = (struct span){NULL, 0};
	*bracketed = word.len > 0 && word.ptr[0] == '[';
	if (*bracketed) {
		end = span_find(word, ']');
		if (end < 0)
			return -1;
		*host = span_sub(word, 1, (size_t)end - 1);
		word = span_from(word, (size_t)end + 1);
		if (word.len == 0)
			return 0;
		if (word.ptr[0] != ':')
			return -1;
		*port = span_from(word, 1);
		return port->len > 0 ? 0 : -1;
	}
	end = span_find(word, ':');
	if (end < 0) {
		*host = word;
		return 0;
	}
	*host = span_sub(word, 0, (size_t)end);
	*port = span_from(word, (size_t)end + 1);
	return port->len > 0 ? 0 : -1;
}

static int
route_parse_one(struct span word, const struct route_rules *rules, struct route *r, struct error *err)
{
	struct span whole = word, host, port;
	bool bracketed;

	memset(r, 0, sizeof *r);
	if (rules->lmtp && span_starts_nocase(word, "unix:")) {
		if (word.len > 5 && span_copy(span_from(word, 5), r->socket, sizeof r->socket) &&
		    span_copy(span_from(word, 5), r->site, sizeof r->site))
			return 0;
		return error_set(err, "next hop %.*s: no path of a UNIX socket", SPAN_ARG(whole));
	}
	if (span_starts_nocase(word, "inet:"))
		word = span_from(word, 5);
	r->port = rules->port;
	if (route_split(word, &host, &port, &bracketed) < 0)
		return error_set(err, "next hop %.*s: not [host]:port", SPAN_ARG(whole));
	if (port.len > 0 && port_parse(port, rules->known_ports, &r->port) < 0)
		return error_set(err, "next hop %.*s: unknown port", SPAN_ARG(whole));
	if (bracketed && span_starts_nocase(host, "ipv6:"))
		host = span_from(host, 5);
	if (host.len > 1 && host.ptr[host.len - 1] == '.')
		host.len--;
	if (host.len == 0 || !span_copy(host, r->host, sizeof r->host) ||
	    !span_copy(word, r->site, sizeof r->site))
		return error_set(err, "next hop %.*s: no host name", SPAN_ARG(whole));
	text_lower(r->host, host.len);
	r->use_mx = !bracketed && !rules->lmtp && !rules->no_mx && !is_address(r->host);
	r->own_port = port.len > 0;
	return 0;
}

int
route_parse(
    struct span nexthop, const struct route_rules *rules, struct route *routes, int max, struct error *err)
{
	struct span word;
	int count = 0;

	while (count < max && span_next_word(&nexthop, ", \t\r\n", &word)) {
		if (route_parse_one(word, rules, &routes[count], err) < 0)
			return -1;
		count++;
	}
	if (count == 0)
		return error_set(err, "no next hop");
	return count;
}

uint16_t
route_default_port(const char *text, const char *known_ports, uint16_t fallback)
{
	uint16_t port;

	return port_parse(span_of(text), known_ports, &port) == 0 ? port : fallback;
}
