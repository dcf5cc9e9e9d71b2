/* Records as they travel between processes: what is packed comes out again, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/dns/dns.h"

static void
check_same(const struct dns_record *a, const struct dns_record *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->preference, b->preference);
	assert_int_equal(a->weight, b->weight);
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->ttl, b->ttl);
	assert_true(span_equal(a->name, b->name));
	assert_true(span_equal(a->data, b->data));
}

static const struct dns_record samples[] = {
    {.type = DNS_TYPE_A, .ttl = 300, .data = {"\300\0\2\1", 4}},
    {.type = DNS_TYPE_AAAA, .ttl = UINT32_MAX, .data = {"\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16}},
    {.type = DNS_TYPE_MX, .preference = 65535, .ttl = 1, .name = {"mx.example", 10}},
    {.type = DNS_TYPE_MX, .preference = 0, .name = {"", 0}}, /* null MX (RFC 7505) */
    {.type = DNS_TYPE_SRV, .preference = 1, .weight = 2, .port = 25, .name = {"s.example", 9}},
    {.type = DNS_TYPE_TXT, .data = {"a\0b", 3}},
};

enum { SAMPLES = sizeof(samples) / sizeof(samples[0]) };

static void
pack_all(struct buf *out)
{
	buf_init(out, 65536);
	for (size_t i = 0; i < SAMPLES; i++)
		assert_int_equal(dns_record_pack(out, &samples[i]), 0);
}

static void
what_is_packed_comes_out_again(void **state)
{
	struct dns_record record;
	struct span rest;
	struct buf out;

	(void)state;
	pack_all(&out);
	rest = buf_span(&out);
	for (size_t i = 0; i < SAMPLES; i++) {
		assert_int_equal(dns_record_next(&rest, &record), 1);
		check_same(&record, &samples[i]);
	}
	assert_int_equal(dns_record_next(&rest, &record), 0);
	buf_free(&out);
}

/* Cut anywhere, it ends between two records or is malformed; no byte behind the end is read (sanitizers tell). */
static void
cut_short(void **state)
{
	struct buf out;

	(void)state;
	pack_all(&out);
	for (size_t len = 0; len < out.len; len++) {
		char *copy = test_malloc(len + 1);
		struct span rest = {copy, len};
		struct dns_record record;
		size_t count = 0;
		int rc;

		memcpy(copy, buf_ptr(&out), len);
		while ((rc = dns_record_next(&rest, &record)) == 1)
			count++;
		assert_true(count < SAMPLES);
		assert_int_equal(rc, rest.len == 0 ? 0 : -1);
		test_free(copy);
	}
	buf_free(&out);
}

static void
impossible_records(void **state)
{
	static char name[300];
	struct dns_record record = {.type = DNS_TYPE_A, .data = {"\1\2\3", 3}};
	struct span rest;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(dns_record_pack(&out, &record), 0);
	rest = buf_span(&out);
	assert_int_equal(dns_record_next(&rest, &record), -1); /* an address of three octets */
	buf_clear(&out);
	record = (struct dns_record){.type = DNS_TYPE_PTR, .name = {"a\0b", 3}};
	assert_int_equal(dns_record_pack(&out, &record), 0);
	rest = buf_span(&out);
	assert_int_equal(dns_record_next(&rest, &record), -1); /* a NUL in a name */
	buf_clear(&out);
	record.name = span_make(name, 256);
	assert_int_equal(dns_record_pack(&out, &record), -1);
	record.name = span_make(name, 0);
	record.data = span_make(name, 300);
	buf_free(&out);
	buf_init(&out, 310);
	assert_int_equal(dns_record_pack(&out, &record), -1); /* the buffer's bound */
	assert_int_equal(out.len, 0);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_packed_comes_out_again),
	    cmocka_unit_test(cut_short),
	    cmocka_unit_test(impossible_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
