/* Domain names and address literals (RFC 5321, 4.1.2 and 4.1.3). */
#include "common/mail/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "common/base/text.h"

enum { LABEL_MAX = 63 };

static bool
label_char(char c, bool utf8)
{
	return ascii_is_alnum(c) || c == '-' || c == '_' || (utf8 && (unsigned char)c >= 0x80);
}

bool
domain_valid(struct span domain, bool utf8)
{
	size_t label = 0;

	if (domain.len == 0 || domain.len > DOMAIN_MAX || !utf8_valid(domain))
		return false;
	for (size_t i = 0; i < domain.len; i++) {
		char c = domain.ptr[i];
		if (c == '.') {
			if (label == 0 || domain.ptr[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!label_char(c, utf8) || (label == 0 && c == '-'))
			return false;
		/* Octets of a U-label say nothing about its length in DNS (RFC 5890, 2.3.2.1). */
		if (++label > LABEL_MAX && (unsigned char)c < 0x80)
			return false;
	}
	return label > 0 && domain.ptr[domain.len - 1] != '-';
}

bool
address_literal_parse(struct span domain, char text[64])
{
	unsigned char address[sizeof(struct in6_addr)];
	char inside[64];
	struct span body;

	if (domain.len < 3 || domain.ptr[0] != '[' || domain.ptr[domain.len - 1] != ']')
		return false;
	body = span_sub(domain, 1, domain.len - 2);
	if (span_starts_nocase(body, "IPv6:")) {
		if (!span_copy(span_from(body, 5), inside, sizeof(inside)))
			return false;
		return inet_pton(AF_INET6, inside, address) == 1 &&
		       inet_ntop(AF_INET6, address, text, 64) != NULL;
	}
	if (!span_copy(body, inside, sizeof(inside)))
		return false;
	return inet_pton(AF_INET, inside, address) == 1 && inet_ntop(AF_INET, address, text, 64) != NULL;
}
