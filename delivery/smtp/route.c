#include "delivery/smtp/route.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/base/text.h"

/* A port by number, or the few names that configurations use: services(5) is out of reach. */
static int
route_port(struct span text, uint16_t *port)
{
	static const struct {
		const char *name;
		uint16_t port;
	} names[] = {{"smtp", 25}, {"lmtp", 24}, {"submission", 587}, {"smtps", 465}, {"submissions", 465}};
	uint64_t number;

	if (number_parse(text, 1, 65535, &number) == 0) {
		*port = (uint16_t)number;
		return 0;
	}
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (span_is_nocase(text, names[i].name)) {
			*port = names[i].port;
			return 0;
		}
	}
	return -1;
}

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
	if (port.len > 0 && route_port(port, &r->port) < 0)
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
route_default_port(const char *text, uint16_t fallback)
{
	uint16_t port;

	return route_port(span_of(text), &port) == 0 ? port : fallback;
}
