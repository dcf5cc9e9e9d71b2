#include "services/resolver/wire.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

enum { NEGATIVE_TTL_MAX = 3600 /* RFC 2308, 5 */, TTL_MAX = 86400 };

size_t
question_build(const struct question *q, uint16_t id, unsigned flags, uint8_t out[WIRE_QUESTION_MAX])
{
	uint8_t *p = out;
	struct span rest = span_of(q->name), label;

	memset(out, 0, WIRE_QUESTION_MAX);
	NS_PUT16(id, p);
	NS_PUT16(0x0120, p); /* RD; AD: we know what it means in answers (RFC 6840, 5.7) */
	NS_PUT16(1, p);
	p += 4;
	NS_PUT16(flags & QUESTION_EDNS ? 1 : 0, p);
	while (span_next_word(&rest, ".", &label)) {
		*p++ = (uint8_t)label.len;
		memcpy(p, label.ptr, label.len);
		p += label.len;
	}
	*p++ = 0;
	NS_PUT16(q->type, p);
	NS_PUT16(ns_c_in, p);
	if (flags & QUESTION_EDNS) {
		*p++ = 0;
		NS_PUT16(ns_t_opt, p);
		NS_PUT16(WIRE_UDP_MAX, p);
		NS_PUT32(flags & QUESTION_DNSSEC ? 0x8000u : 0, p);
		NS_PUT16(0, p);
	}
	return (size_t)(p - out);
}

void
answer_init(struct answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->status = DNS_TEMPORARY;
	buf_init(&answer->records, WIRE_RECORDS_BYTES_MAX);
}

void
answer_free(struct answer *answer)
{
	buf_free(&answer->records);
}

void
answer_copy(struct answer *to, const struct answer *from)
{
	*to = *from;
	buf_init(&to->records, WIRE_RECORDS_BYTES_MAX);
	buf_append_span(&to->records, buf_span(&from->records));
}

/* Names that libresolv printed: the root is "" or ".". */
static bool
same_name(const char *a, const char *b)
{
	struct span x = span_of(a), y = span_of(b);

	if (x.len > 0 && x.ptr[x.len - 1] == '.')
		x.len--;
	if (y.len > 0 && y.ptr[y.len - 1] == '.')
		y.len--;
	return span_equal_nocase(x, y);
}

/* RFC 2181, 8: a TTL with the top bit set is none. */
static uint32_t
sane_ttl(uint32_t ttl, uint32_t max)
{
	return ttl > INT32_MAX ? 0 : ttl > max ? max : ttl;
}

static void
lower_ttl(struct answer *answer, const ns_rr *rr)
{
	uint32_t ttl = sane_ttl(ns_rr_ttl(*rr), TTL_MAX);

	if (ttl < answer->ttl)
		answer->ttl = ttl;
}

/*
 * A name inside a record's data, from offset to the exact end of the data. The text is without escapes where it is
 * a host name; otherwise name_is_host() will refuse it. Returns -1 if malformed.
 */
static int
name_in_data(ns_msg *msg, const ns_rr *rr, size_t offset, char name[NAME_SIZE])
{
	const uint8_t *data = ns_rr_rdata(*rr);
	char text[NS_MAXDNAME];
	int used;

	if (ns_rr_rdlen(*rr) <= offset)
		return -1;
	used = dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), data + offset, text, sizeof(text));
	if (used < 0 || (size_t)used + offset != ns_rr_rdlen(*rr))
		return -1;
	if (!span_copy(span_of(text), name, NAME_SIZE))
		return -1;
	text_lower(name, strlen(name));
	if (strcmp(name, ".") == 0)
		name[0] = '\0';
	return 0;
}

/* Joins the strings of a TXT record (RFC 1035, 3.3.14; RFC 7208, 3.3) in joined. Returns their length or -1. */
static int
text_of_data(const ns_rr *rr, char joined[UINT16_MAX])
{
	const uint8_t *p = ns_rr_rdata(*rr), *end = p + ns_rr_rdlen(*rr);
	int len = 0;

	if (p == end)
		return -1;
	while (p < end) {
		size_t n = *p++;

		if ((size_t)(end - p) < n)
			return -1;
		memcpy(joined + len, p, n);
		len += (int)n;
		p += n;
	}
	return len;
}

/* Where the name lies in each type's data, and how the fields in front of it are laid out. */
static size_t
name_offset(unsigned type)
{
	return type == DNS_TYPE_MX ? 2 : type == DNS_TYPE_SRV ? 6 : 0;
}

/* "5 192.0.2.1": wrong (RFC 1035, 3.3.9), frequent, and not to be mistaken for anything else. */
static bool
is_ipv4_text(const char *name)
{
	struct in_addr address;

	return inet_pton(AF_INET, name, &address) == 1;
}

/* Adds one record of the type that was asked for. Returns -1 if malformed, 0 if unusable, 1 if taken. */
static int
take_record(struct answer *answer, ns_msg *msg, const ns_rr *rr)
{
	static char joined[UINT16_MAX];
	const uint8_t *data = ns_rr_rdata(*rr);
	size_t len = ns_rr_rdlen(*rr);
	struct dns_record record = {.type = (uint16_t)ns_rr_type(*rr)};
	char name[NAME_SIZE];
	int text_len;

	record.ttl = sane_ttl(ns_rr_ttl(*rr), TTL_MAX);
	switch (record.type) {
	case DNS_TYPE_A:
	case DNS_TYPE_AAAA:
		if (len != (record.type == DNS_TYPE_A ? NS_INADDRSZ : NS_IN6ADDRSZ))
			return -1;
		record.data = span_make(data, len);
		break;
	case DNS_TYPE_MX:
	case DNS_TYPE_SRV:
	case DNS_TYPE_NS:
	case DNS_TYPE_PTR:
	case DNS_TYPE_CNAME:
		if (name_in_data(msg, rr, name_offset(record.type), name) < 0)
			return -1;
		if (name[0] != '\0' && !name_is_host(span_of(name)) &&
		    !(record.type == DNS_TYPE_MX && is_ipv4_text(name)))
			return 0;
		record.name = span_of(name);
		if (record.type == DNS_TYPE_MX || record.type == DNS_TYPE_SRV)
			record.preference = (uint16_t)ns_get16(data);
		if (record.type == DNS_TYPE_SRV) {
			record.weight = (uint16_t)ns_get16(data + 2);
			record.port = (uint16_t)ns_get16(data + 4);
		}
		break;
	case DNS_TYPE_TXT:
		text_len = text_of_data(rr, joined);
		if (text_len < 0)
			return -1;
		record.data = span_make(joined, (size_t)text_len);
		break;
	case DNS_TYPE_TLSA:
		if (len < 4) /* RFC 6698, 2.1: three octets and some data */
			return -1;
		record.data = span_make(data, len);
		break;
	default:
		record.data = span_make(data, len);
	}
	return dns_record_pack(&answer->records, &record) < 0 ? 0 : 1;
}

/* Follows the aliases that the answer holds. Returns -1 with reason if there are too many or one is malformed. */
static int
follow_aliases(struct answer *answer, ns_msg *msg, unsigned type)
{
	ns_rr rr;
	int i = 0;

	if (type == DNS_TYPE_CNAME)
		return 0;
	/* Nearly always in order, so one pass; a server that shuffles them costs one pass for each. */
	while (i < ns_msg_count(*msg, ns_s_an)) {
		if (ns_parserr(msg, ns_s_an, i++, &rr) < 0)
			return -1;
		if (ns_rr_type(rr) != ns_t_cname || ns_rr_class(rr) != ns_c_in ||
		    !same_name(ns_rr_name(rr), answer->canonical))
			continue;
		if (++answer->chain > WIRE_CHAIN_MAX) {
			snprintf(answer->reason, sizeof(answer->reason), "too many aliases (CNAME)");
			return -1;
		}
		if (name_in_data(msg, &rr, 0, answer->canonical) < 0 || answer->canonical[0] == '\0')
			return -1;
		lower_ttl(answer, &rr);
		i = 0;
	}
	return 0;
}

/* Takes the records of the canonical name. Returns how many there were, usable or not, -1 if malformed. */
static int
take_records(struct answer *answer, ns_msg *msg, unsigned type)
{
	int found = 0;
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*msg, ns_s_an); i++) {
		int taken;

		if (ns_parserr(msg, ns_s_an, i, &rr) < 0)
			return -1;
		if (ns_rr_type(rr) != type || ns_rr_class(rr) != ns_c_in ||
		    !same_name(ns_rr_name(rr), answer->canonical))
			continue;
		found++;
		if (answer->record_count >= DNS_RECORDS_MAX)
			continue;
		taken = take_record(answer, msg, &rr);
		if (taken < 0)
			return -1;
		answer->record_count += (size_t)taken;
		lower_ttl(answer, &rr);
	}
	return found;
}

/* RFC 2308, 5: how long a "no" may be kept. Returns -1 if malformed, 0 if the answer does not say, 1 if it does. */
static int
negative_ttl(struct answer *answer, ns_msg *msg)
{
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*msg, ns_s_ns); i++) {
		uint32_t minimum, ttl;

		if (ns_parserr(msg, ns_s_ns, i, &rr) < 0)
			return -1;
		if (ns_rr_type(rr) != ns_t_soa)
			continue;
		if (ns_rr_rdlen(rr) < 2 + 5 * NS_INT32SZ)
			return -1;
		minimum = (uint32_t)ns_get32(ns_rr_rdata(rr) + ns_rr_rdlen(rr) - NS_INT32SZ);
		ttl = ns_rr_ttl(rr) < minimum ? ns_rr_ttl(rr) : minimum;
		ttl = sane_ttl(ttl, NEGATIVE_TTL_MAX);
		if (ttl < answer->ttl)
			answer->ttl = ttl;
		return 1;
	}
	return 0;
}

/* RFC 8914, 4: codes that say that validation failed upstream. */
static bool
is_bogus_code(unsigned code)
{
	return code >= 6 && code <= 12;
}

/* Walks the options of OPT (RFC 6891, 6.1.2). Returns -1 if malformed. */
static int
read_options(struct answer *answer, const ns_rr *rr)
{
	const uint8_t *p = ns_rr_rdata(*rr);
	size_t left = ns_rr_rdlen(*rr);

	while (left > 0) {
		size_t len;

		if (left < 4)
			return -1;
		len = ns_get16(p + 2);
		if (left - 4 < len)
			return -1;
		if (ns_get16(p) == 15 && len >= 2 && is_bogus_code(ns_get16(p + 4)))
			answer->status = DNS_BOGUS;
		p += 4 + len;
		left -= 4 + len;
	}
	return 0;
}

/* Looks for OPT. *extended: the upper bits of the response code. Returns -1 if malformed. */
static int
read_additional(struct answer *answer, ns_msg *msg, unsigned *extended)
{
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*msg, ns_s_ar); i++) {
		if (ns_parserr(msg, ns_s_ar, i, &rr) < 0)
			return -1;
		if (ns_rr_type(rr) != ns_t_opt)
			continue;
		*extended = ns_rr_ttl(rr) >> 24;
		return read_options(answer, &rr);
	}
	return 0;
}

static bool
question_is_ours(ns_msg *msg, const struct question *q)
{
	ns_rr rr;

	return ns_msg_count(*msg, ns_s_qd) == 1 && ns_parserr(msg, ns_s_qd, 0, &rr) == 0 &&
	       ns_rr_type(rr) == q->type && ns_rr_class(rr) == ns_c_in && same_name(ns_rr_name(rr), q->name);
}

static enum wire_verdict
negative_answer(struct answer *answer, ns_msg *msg, unsigned code)
{
	int told = negative_ttl(answer, msg);

	if (told < 0)
		return WIRE_MALFORMED;
	if (told == 0 && code == ns_r_noerror && answer->chain > 0)
		return WIRE_FOLLOW;
	if (told == 0)
		answer->ttl = 0;
	answer->status = code == ns_r_nxdomain ? DNS_NO_NAME : DNS_NO_DATA;
	snprintf(answer->reason, sizeof(answer->reason), "%s",
	    code == ns_r_nxdomain ? "Host not found" : "Host found but no data record of requested type");
	return WIRE_ANSWERED;
}

/* The body of an answer whose response code is good. */
static enum wire_verdict
read_answer(struct answer *answer, ns_msg *msg, const struct question *q, unsigned code)
{
	int found;

	snprintf(answer->canonical, sizeof(answer->canonical), "%s", q->name);
	answer->ttl = TTL_MAX;
	answer->authentic = ns_msg_getflag(*msg, ns_f_ad) != 0;
	if (follow_aliases(answer, msg, q->type) < 0)
		return WIRE_MALFORMED;
	found = code == ns_r_noerror ? take_records(answer, msg, q->type) : 0;
	if (found < 0)
		return WIRE_MALFORMED;
	if (found == 0)
		return negative_answer(answer, msg, code);
	if (answer->record_count == 0 && q->type == DNS_TYPE_PTR) {
		answer->status = DNS_NO_DATA;
		snprintf(answer->reason, sizeof(answer->reason), "the address leads to no usable name");
		return WIRE_ANSWERED;
	}
	if (answer->record_count == 0) {
		/* "No MX" would send the mail to the wrong place: what cannot be used is an error, not a no. */
		snprintf(answer->reason, sizeof(answer->reason), "no usable name in the answer");
		return WIRE_MALFORMED;
	}
	answer->status = DNS_OK;
	return WIRE_ANSWERED;
}

static enum wire_verdict
parse_message(ns_msg *msg, const struct question *q, bool had_edns, struct answer *answer)
{
	unsigned extended = 0, code;

	if (ns_msg_getflag(*msg, ns_f_tc))
		return WIRE_TRUNCATED;
	code = (unsigned)ns_msg_getflag(*msg, ns_f_rcode);
	/* A server that knows nothing of EDNS may leave the question out as well (RFC 6891, 7). */
	if (had_edns && (code == ns_r_formerr || code == ns_r_notimpl))
		return WIRE_NO_EDNS;
	if (!question_is_ours(msg, q))
		return WIRE_NOT_OURS;
	if (read_additional(answer, msg, &extended) < 0)
		return WIRE_MALFORMED;
	code |= extended << 4;
	if (code == ns_r_badvers)
		return WIRE_NO_EDNS;
	if (code != ns_r_noerror && code != ns_r_nxdomain) {
		snprintf(answer->reason, sizeof(answer->reason), "%s",
		    answer->status == DNS_BOGUS ? "DNSSEC validation failed"
		    : code == ns_r_servfail     ? "the name server could not answer (SERVFAIL)"
		    : code == ns_r_refused      ? "the name server refused to answer"
						: "the name server answered with an error");
		return WIRE_FAILED;
	}
	answer->status = DNS_TEMPORARY;
	return read_answer(answer, msg, q, code);
}

enum wire_verdict
answer_parse(struct span packet, const struct question *q, uint16_t id, bool had_edns, struct answer *answer)
{
	const uint8_t *bytes = (const uint8_t *)packet.ptr;
	enum wire_verdict verdict = WIRE_MALFORMED;
	ns_msg msg;

	if (packet.len < NS_HFIXEDSZ || packet.len > NS_MAXMSG || ns_get16(bytes) != id ||
	    (bytes[2] & 0xf8) != 0x80) /* QR, opcode QUERY */
		return WIRE_NOT_OURS;
	if (ns_initparse(bytes, (int)packet.len, &msg) == 0)
		verdict = parse_message(&msg, q, had_edns, answer);
	else if (bytes[2] & 0x02) /* TC: cut within a record */
		verdict = WIRE_TRUNCATED;
	if (verdict == WIRE_MALFORMED) {
		answer->status = DNS_TEMPORARY;
		answer->record_count = 0;
		buf_clear(&answer->records);
		if (answer->reason[0] == '\0')
			snprintf(
			    answer->reason, sizeof(answer->reason), "malformed answer of the name server");
	}
	return verdict;
}
