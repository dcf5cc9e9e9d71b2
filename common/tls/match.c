#include "common/tls/match.h"

#include <openssl/x509v3.h>

#include "common/base/text.h"
#include "common/net/address.h"

enum { NAME_MAX_BYTES = 255, NAMES_LOOKED_AT = 5000 };

/* Letters, digits, hyphens, underscores and dots; a '*' label only in front. No NUL, no blank, nothing to escape. */
static bool
is_host_name(struct span name)
{
	if (name.len == 0 || name.len > NAME_MAX_BYTES || name.ptr[0] == '.')
		return false;
	if (span_starts(name, "*."))
		name = span_from(name, 2);
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_' &&
		    name.ptr[i] != '.')
			return false;
	return name.len > 0;
}

static struct span
without_last_dot(struct span name)
{
	return name.len > 1 && name.ptr[name.len - 1] == '.' ? span_sub(name, 0, name.len - 1) : name;
}

bool
match_name(struct span name, struct span wanted)
{
	struct net_address address;
	struct span parent;
	ptrdiff_t dot;

	name = without_last_dot(name);
	wanted = without_last_dot(wanted);
	if (!is_host_name(name) || wanted.len == 0 || net_address_parse(wanted, &address) == 0)
		return false;
	/* "*.example" stands for hosts below .example as any name of one does. */
	if (wanted.ptr[0] == '.')
		return wanted.len > 1 && name.len > wanted.len &&
		       span_equal_nocase(span_from(name, name.len - wanted.len), wanted);
	if (!span_starts(name, "*."))
		return span_equal_nocase(name, wanted);
	parent = span_from(name, 1);
	dot = span_find(wanted, '.');
	return dot > 0 && span_find(span_from(parent, 1), '.') > 0 &&
	       span_equal_nocase(span_from(wanted, (size_t)dot), parent);
}

void
match_name_entry(const X509_NAME *name, int nid, struct buf *out)
{
	int at = X509_NAME_get_index_by_NID(name, nid, -1);
	unsigned char *utf8 = NULL;
	int len;

	if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0)
		return;
	len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (len > 0 && len <= 256 && !memchr(utf8, '\0', (size_t)len))
		buf_append(out, utf8, (size_t)len);
	OPENSSL_free(utf8);
}

/* Returns whether there was any DNS name at all, even one that is not shown. */
static bool
each_dns_name(X509 *certificate, bool (*each)(void *context, struct span name), void *context)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	bool any = false, go_on = true;
	const GENERAL_NAME *name;
	struct span text;

	for (int i = 0; go_on && i < sk_GENERAL_NAME_num(names) && i < NAMES_LOOKED_AT; i++) {
		name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS)
			continue;
		any = true;
		text = span_make(
		    ASN1_STRING_get0_data(name->d.dNSName), (size_t)ASN1_STRING_length(name->d.dNSName));
		if (is_host_name(text))
			go_on = each(context, text);
	}
	GENERAL_NAMES_free(names);
	return any;
}

void
match_each_name(X509 *certificate, bool (*each)(void *context, struct span name), void *context)
{
	struct buf common_name;

	if (each_dns_name(certificate, each, context))
		return;
	buf_init(&common_name, NAME_MAX_BYTES + 2);
	match_name_entry(X509_get_subject_name(certificate), NID_commonName, &common_name);
	if (is_host_name(buf_span(&common_name)))
		(void)each(context, buf_span(&common_name));
	buf_free(&common_name);
}

bool
match_address(X509 *certificate, struct span wanted)
{
	struct net_address address;
	char text[NET_ADDRESS_SIZE];

	if (wanted.len == 0 || wanted.ptr[0] == '[' || net_address_parse(wanted, &address) < 0)
		return false;
	return X509_check_ip_asc(certificate, net_address_format(&address, text), 0) == 1;
}

/* The next digit of a fingerprint, -1 at its end, -2 for what is none. */
static int
next_digit(struct span *rest)
{
	int digit;

	while (rest->len && rest->ptr[0] == ':')
		*rest = span_from(*rest, 1);
	if (rest->len == 0)
		return -1;
	digit = hex_digit(rest->ptr[0]);
	*rest = span_from(*rest, 1);
	return digit < 0 ? -2 : digit;
}

bool
match_fingerprint(struct span one, struct span other)
{
	int digit, digits = 0;

	while ((digit = next_digit(&one)) >= 0) {
		if (next_digit(&other) != digit)
			return false;
		digits++;
	}
	return digit == -1 && digits > 0 && next_digit(&other) == -1;
}
