#include "common/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

enum { NETWORKS_MAX = 4096 };

struct network {
	struct net_address address;
	unsigned prefix;
	bool negated;
};

struct net_list {
	size_t count;
	struct network networks[];
};

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void
set_ipv6(struct net_address *a, const uint8_t octets[16])
{
	if (memcmp(octets, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		a->family = AF_INET;
		memcpy(a->octets, octets + 12, 4);
	} else {
		a->family = AF_INET6;
		memcpy(a->octets, octets, 16);
	}
}

void
net_address_of_sockaddr(const struct sockaddr_storage *from, struct net_address *a)
{
	*a = (struct net_address){.family = AF_UNIX};
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;

		a->family = AF_INET;
		a->port = ntohs(v4->sin_port);
		memcpy(a->octets, &v4->sin_addr, 4);
	} else if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

		a->port = ntohs(v6->sin6_port);
		set_ipv6(a, v6->sin6_addr.s6_addr);
	}
}

socklen_t
net_address_to_sockaddr(const struct net_address *a, struct sockaddr_storage *to)
{
	memset(to, 0, sizeof(*to));
	to->ss_family = a->family;
	if (a->family == AF_INET) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)to;

		v4->sin_port = htons(a->port);
		memcpy(&v4->sin_addr, a->octets, 4);
		return sizeof(*v4);
	}
	if (a->family == AF_INET6) {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

		v6->sin6_port = htons(a->port);
		memcpy(v6->sin6_addr.s6_addr, a->octets, 16);
		return sizeof(*v6);
	}
	return 0;
}

/* Takes the square brackets off. Returns false if only one is there. */
static bool
strip_brackets(struct span *text)
{
	if (text->len && text->ptr[0] == '[') {
		if (text->len < 2 || text->ptr[text->len - 1] != ']')
			return false;
		*text = span_make(text->ptr + 1, text->len - 2);
	}
	return true;
}

int
net_address_parse(struct span text, struct net_address *a)
{
	char copy[NET_ADDRESS_SIZE];
	uint8_t octets[16];

	*a = (struct net_address){.family = AF_UNIX};
	if (!strip_brackets(&text) || text.len == 0 || !span_copy(text, copy, sizeof(copy)))
		return -1;
	if (inet_pton(AF_INET, copy, octets) == 1) {
		a->family = AF_INET;
		memcpy(a->octets, octets, 4);
		return 0;
	}
	if (inet_pton(AF_INET6, copy, octets) != 1)
		return -1;
	set_ipv6(a, octets);
	return 0;
}

char *
net_address_format(const struct net_address *a, char text[NET_ADDRESS_SIZE])
{
	if (a->family == AF_UNIX || !inet_ntop(a->family, a->octets, text, NET_ADDRESS_SIZE))
		memcpy(text, "unix", sizeof("unix"));
	return text;
}

bool
net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}

static int
parse_port(struct span text, uint16_t *port)
{
	static const struct {
		const char *name;
		uint16_t port;
	} names[] = {{"smtp", 25}, {"smtps", 465}, {"submissions", 465}, {"submission", 587}, {"lmtp", 24}};
	uint64_t number;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is(text, names[i].name)) {
			*port = names[i].port;
			return 0;
		}
	if (number_parse(text, 1, 65535, &number) < 0)
		return -1;
	*port = (uint16_t)number;
	return 0;
}

int
net_split_host_port(struct span text, struct span *host, uint16_t *port, struct error *err)
{
	ptrdiff_t colon = span_find_last(text, ':');

	if (colon < 0)
		return error_set(err, "%.*s: no port", SPAN_ARG(text));
	*host = span_sub(text, 0, (size_t)colon);
	if (parse_port(span_from(text, (size_t)colon + 1), port) < 0)
		return error_set(err, "%.*s: bad port", SPAN_ARG(text));
	if (!strip_brackets(host))
		return error_set(err, "%.*s: unbalanced brackets", SPAN_ARG(text));
	return 0;
}

/* True if the first prefix bits of a and b agree. */
static bool
same_prefix(const uint8_t *a, const uint8_t *b, unsigned prefix)
{
	unsigned whole = prefix / 8;
	uint8_t mask = (uint8_t)(0xff00u >> (prefix % 8));

	if (memcmp(a, b, whole) != 0)
		return false;
	return prefix % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

static bool
has_host_bits(const struct network *n)
{
	static const uint8_t zero[16];
	unsigned bits = n->address.family == AF_INET ? 32 : 128;
	uint8_t rest[16] = {0};

	for (unsigned bit = n->prefix; bit < bits; bit++)
		rest[bit / 8] |= (uint8_t)(n->address.octets[bit / 8] & (0x80u >> (bit % 8)));
	return memcmp(rest, zero, sizeof(rest)) != 0;
}

static int
parse_network(struct span word, struct network *n, struct error *err)
{
	struct span whole = word;
	uint64_t prefix;
	ptrdiff_t slash;
	unsigned bits;
	bool mapped;

	while (word.len && word.ptr[0] == '!') {
		n->negated = !n->negated;
		word = span_from(word, 1);
	}
	slash = span_find_last(word, '/');
	if (net_address_parse(slash < 0 ? word : span_sub(word, 0, (size_t)slash), &n->address) < 0)
		return error_set(err, "\"%.*s\" is not an address or a network%s", SPAN_ARG(whole),
		    span_find_span(word, SPAN_LIT(":/")) < 0
			? ""
			: ": of tables, cidr:/file, texthash:/file and /file may hold some");
	bits = n->address.family == AF_INET ? 32 : 128;
	n->prefix = bits;
	if (slash < 0)
		return 0;

	/* ::ffff:192.0.2.0/120 is 192.0.2.0/24. */
	mapped = bits == 32 && span_find(word, ':') >= 0;
	if (number_parse(span_from(word, (size_t)slash + 1), mapped ? 96 : 0, mapped ? 128 : bits, &prefix) <
	    0)
		return error_set(err, "\"%.*s\" has a bad prefix length", SPAN_ARG(whole));
	n->prefix = (unsigned)prefix - (mapped ? 96 : 0);
	if (has_host_bits(n))
		return error_set(err, "\"%.*s\" has bits beyond its prefix length", SPAN_ARG(whole));
	return 0;
}

struct net_list *
net_list_parse(struct span text, struct error *err)
{
	struct span rest = text, word;
	struct net_list *list;
	size_t count = 0;

	while (span_next_word(&rest, ", \t\r\n", &word))
		count++;
	if (count > NETWORKS_MAX) {
		(void)error_set(err, "more than %d networks", NETWORKS_MAX);
		return NULL;
	}
	list = mem_alloc(sizeof(*list) + count * sizeof(list->networks[0]));
	rest = text;
	while (span_next_word(&rest, ", \t\r\n", &word))
		if (parse_network(word, &list->networks[list->count++], err) < 0) {
			net_list_free(&list);
			return NULL;
		}
	return list;
}

void
net_list_free(struct net_list **list)
{
	free(*list);
	*list = NULL;
}

bool
net_list_has(const struct net_list *list, const struct net_address *a)
{
	for (size_t i = 0; list && i < list->count; i++) {
		const struct network *n = &list->networks[i];

		if (n->address.family == a->family && same_prefix(n->address.octets, a->octets, n->prefix))
			return !n->negated;
	}
	return false;
}
