/*
 * cidr: networks, asked in order: cidr_table(5).
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/map/lines.h"
#include "common/map/rules.h"

struct network {
	int family;
	unsigned bits;
	uint8_t address[16];
};

/* Patterns may be "[2001:db8::1]", "[2001:db8::]/32" and "[2001:db8::/32]"; what is asked for never is. */
static struct span
without_brackets(struct span text)
{
	if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
		text = span_sub(text, 1, text.len - 2);
	return text;
}

/* "192.0.2.1" or "2001:db8::1". */
static bool
address_read(struct span text, int *family, uint8_t address[16])
{
	char copy[INET6_ADDRSTRLEN + 1];

	if (!span_copy(text, copy, sizeof(copy)))
		return false;
	memset(address, 0, 16);
	*family = strchr(copy, ':') != NULL ? AF_INET6 : AF_INET;
	return inet_pton(*family, copy, address) == 1;
}

static unsigned
address_bits(int family)
{
	return family == AF_INET ? 32 : 128;
}

static bool
prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & (0xff << (8 - rest)) & 0xff) == 0;
}

static bool
host_part_is_zero(const struct network *n)
{
	for (unsigned bit = n->bits; bit < address_bits(n->family); bit++)
		if (n->address[bit / 8] & (0x80 >> (bit % 8)))
			return false;
	return true;
}

static void *
cidr_parse(struct span *rest, bool negated, const char **wrong)
{
	struct network n;
	struct span word;
	uint64_t bits;

	(void)negated;
	if (!span_next_word(rest, " \t\r\v\f", &word)) {
		*wrong = "no address pattern: skipping this rule";
		return NULL;
	}
	word = without_brackets(word);
	ptrdiff_t slash = span_find(word, '/');
	struct span address = slash < 0 ? word : span_sub(word, 0, (size_t)slash);
	if (!address_read(without_brackets(address), &n.family, n.address)) {
		*wrong = "bad address pattern: skipping this rule";
		return NULL;
	}
	n.bits = address_bits(n.family);
	if (slash >= 0) {
		if (number_parse(span_from(word, (size_t)slash + 1), 0, n.bits, &bits) < 0) {
			*wrong = "bad prefix length: skipping this rule";
			return NULL;
		}
		n.bits = (unsigned)bits;
	}
	if (!host_part_is_zero(&n)) {
		*wrong = "non-null host address bits behind the prefix: skipping this rule";
		return NULL;
	}
	struct network *copy = mem_alloc(sizeof(n));
	*copy = n;
	return copy;
}

static const struct rule_syntax syntax = {.parse = cidr_parse, .free = free, .needs_result = true};

static void *
cidr_open(const struct map_input *in, struct error *err)
{
	return rules_open(&syntax, in, err);
}

static bool
rule_hits(const struct rule *rule, int family, const uint8_t *address)
{
	const struct network *n = rule->pattern;

	/* "!" of an IPv4 network is the rest of IPv4. */
	return n->family == family && prefix_equal(n->address, address, n->bits) != rule->negated;
}

static enum lookup_status
cidr_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	const struct rules *r = table;
	uint8_t address[16];
	int family;

	(void)err;
	if (!address_read(key, &family, address))
		return LOOKUP_NOT_FOUND;
	for (size_t i = 0; i < r->count;) {
		const struct rule *rule = &r->list[i];
		bool hits = rule_hits(rule, family, address);
		if (rule->type == RULE_IF) {
			i = hits ? i + 1 : rule->skip_to;
			continue;
		}
		if (hits) {
			(void)buf_append_text(hit->value, rule->result);
			hit->line = rule->line;
			return LOOKUP_FOUND;
		}
		i++;
	}
	return LOOKUP_NOT_FOUND;
}

static const struct rules *
cidr_rules(const void *table)
{
	return table;
}

static void
cidr_close(void *table)
{
	rules_free(table, &syntax);
	free(table);
}

const struct map_kind map_kind_cidr = {
    .name = "cidr",
    .suffix = "",
    .keys = MAP_KEYS_PATTERN,
    .text = true,
    .inline_rules = true,
    .open = cidr_open,
    .lookup = cidr_lookup,
    .close = cidr_close,
    .rules = cidr_rules,
};
