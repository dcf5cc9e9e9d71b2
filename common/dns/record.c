#include <string.h>

#include "common/dns/dns.h"

/*
 * A record as it travels between processes: type, preference, weight, port (16 bits each), ttl (32), lengths of
 * name and data (16 each), all big-endian, then name and data.
 */
enum { RECORD_HEAD = 16, RECORD_NAME_MAX = 255 };

static void
put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

int
dns_record_pack(struct buf *out, const struct dns_record *record)
{
	uint8_t head[RECORD_HEAD];

	if (record->name.len > RECORD_NAME_MAX || record->data.len > UINT16_MAX)
		return -1;
	if (!buf_reserve(out, RECORD_HEAD + record->name.len + record->data.len))
		return -1;
	put16(head, record->type);
	put16(head + 2, record->preference);
	put16(head + 4, record->weight);
	put16(head + 6, record->port);
	put16(head + 8, record->ttl >> 16);
	put16(head + 10, record->ttl & 0xffff);
	put16(head + 12, (unsigned)record->name.len);
	put16(head + 14, (unsigned)record->data.len);
	if (buf_append(out, head, sizeof(head)) < 0 || buf_append_span(out, record->name) < 0)
		return -1;
	return buf_append_span(out, record->data);
}

/* The type says how long the data must be, 0 for any: a reader of addresses need not look again. */
static size_t
fixed_data_len(uint16_t type)
{
	return type == DNS_TYPE_A ? 4 : type == DNS_TYPE_AAAA ? 16 : 0;
}

int
dns_record_next(struct span *rest, struct dns_record *record)
{
	const uint8_t *head = (const uint8_t *)rest->ptr;
	size_t name_len, data_len;

	if (rest->len == 0)
		return 0;
	if (rest->len < RECORD_HEAD)
		return -1;
	name_len = get16(head + 12);
	data_len = get16(head + 14);
	if (name_len > RECORD_NAME_MAX || rest->len - RECORD_HEAD < name_len + data_len)
		return -1;
	*record = (struct dns_record){
	    .type = get16(head),
	    .preference = get16(head + 2),
	    .weight = get16(head + 4),
	    .port = get16(head + 6),
	    .ttl = (uint32_t)get16(head + 8) << 16 | get16(head + 10),
	    .name = span_make(rest->ptr + RECORD_HEAD, name_len),
	    .data = span_make(rest->ptr + RECORD_HEAD + name_len, data_len),
	};
	if (memchr(rest->ptr + RECORD_HEAD, '\0', name_len) != NULL)
		return -1;
	if (fixed_data_len(record->type) != 0 && data_len != fixed_data_len(record->type))
		return -1;
	*rest = span_from(*rest, RECORD_HEAD + name_len + data_len);
	return 1;
}
