/*
 * The codec of the log: whole, cut at every length, every bit flipped; and messages that records are applied to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/ipc/protocol.h"
#include "queue/log/record.h"
#include "queue/message.h"

static const uint8_t salt[RECORD_SALT_SIZE] = "0123456789abcde";

static void
put_count(struct buf *b, uint8_t count)
{
	uint8_t le[4] = {count, 0, 0, 0};

	buf_append(b, le, sizeof(le));
}

static void
make_message(struct buf *b, const char *content)
{
	struct part_envelope e = {.sender = SPAN_LIT("s@here.test"),
	    .arrival_us = -5,
	    .content_len = strlen(content),
	    .next_index = 2,
	    .flags = 3,
	    .hold_reason = SPAN_LIT("why")};
	struct part_recipient r = {.recipient = SPAN_LIT("a@far.test"),
	    .transport = SPAN_LIT("smtp"),
	    .nexthop = SPAN_LIT("far.test")};

	buf_init(b, 100000);
	record_begin(b, RECORD_MESSAGE, 0x1234567890abcdef);
	assert_int_equal(part_encode_envelope(b, &e), 0);
	put_count(b, 2);
	assert_int_equal(part_encode_recipient(b, &r), 0);
	r.index = 1;
	r.recipient = SPAN_LIT("b@far.test");
	assert_int_equal(part_encode_recipient(b, &r), 0);
	buf_append_text(b, content);
	assert_int_equal(record_end(b, 0), 0);
	record_seal(buf_ptr(b), b->len, 4096, salt);
}

/* As a log of segments of version 3 has it. */
static void
test_a_payload_hashed_as_it_was_once_is_read(void **state)
{
	struct buf b;
	struct record record;
	size_t wanted;
	uint64_t sum;
	char *p;

	(void)state;
	make_message(&b, "content");
	p = buf_ptr(&b);
	p[5] = 0;
	sum = siphash(salt, p + RECORD_HEADER_SIZE, b.len - RECORD_HEADER_SIZE);
	memcpy(p + 24, &sum, sizeof(sum)); /* little-endian here; on other hosts this log was never written */
	sum = siphash(salt, p, RECORD_HEADER_SIZE);
	memcpy(p + 24, &sum, sizeof(sum));
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		assert_int_equal(record_read(buf_span(&b), 4096, salt, &record, &wanted), b.len);
	buf_free(&b);
}

static void
test_comes_back_as_it_was(void **state)
{
	struct buf b;
	struct record record;
	struct record_reader reader;
	struct part_envelope e;
	struct part_recipient r;
	struct error err;
	size_t wanted;

	(void)state;
	make_message(&b, "Hello");
	assert_int_equal(record_read(buf_span(&b), 4096, salt, &record, &wanted), b.len);
	assert_int_equal(record.type, RECORD_MESSAGE);
	assert_true(record.id == 0x1234567890abcdef);
	assert_int_equal(record_open(&record, &e, &reader, &err), 0);
	assert_true(span_is(e.sender, "s@here.test"));
	assert_true(e.arrival_us == -5);
	assert_int_equal(record_next(&record, &reader, &r), 1);
	assert_int_equal(record_next(&record, &reader, &r), 1);
	assert_true(span_is(r.recipient, "b@far.test"));
	assert_int_equal(record_next(&record, &reader, &r), 0);
	assert_true(span_is(reader.rest, "Hello"));
	buf_free(&b);
}

/* What no reader would take is not written. */
static void
test_a_text_beyond_its_bound_is_not_written(void **state)
{
	static char text[1001];
	struct buf b;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t len = 999; len <= 1001; len++) {
		struct part_recipient r = {.recipient = span_make(text, len), .transport = SPAN_LIT("smtp")};
		struct part_envelope e = {.sender = span_make(text, len)};

		buf_init(&b, 100000);
		assert_int_equal(part_encode_recipient(&b, &r), len <= 1000 ? 0 : -1);
		assert_int_equal(part_encode_envelope(&b, &e), len <= 1000 ? 0 : -1);
		buf_free(&b);
	}
}

/* Each is written only as far as something of it is set, so what an older queue wrote is read by this one. */
static void
test_what_is_not_set_takes_no_room(void **state)
{
	struct part_outcome o = {.index = 1, .class = OUTCOME_DEFERRED, .state = RECIPIENT_REPORT}, back;
	size_t lengths[3];
	struct buf b;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct span in;

		o.tried = i == 1 ? SPAN_LIT("mx.test") : SPAN_LIT("");
		o.report = i == 2 ? 0xfedcba9876543210 : 0;
		o.warned = i == 2;
		buf_init(&b, 4096);
		assert_int_equal(part_encode_outcome(&b, &o), 0);
		lengths[i] = b.len;
		in = buf_span(&b);
		assert_int_equal(part_decode_outcome(&in, &back), 0);
		assert_int_equal(in.len, 0);
		assert_true(
		    span_equal(back.tried, o.tried) && back.report == o.report && back.warned == o.warned);
		assert_int_equal(back.class, OUTCOME_DEFERRED);
		assert_int_equal(back.state, RECIPIENT_REPORT);
		for (size_t len = 0; len < b.len; len++) {
			in = span_sub(buf_span(&b), 0, len);
			assert_int_equal(part_decode_outcome(&in, &back), -1);
		}
		buf_free(&b);
	}
	assert_int_equal(lengths[1], lengths[0] + 2 + strlen("mx.test"));
	assert_int_equal(lengths[2], lengths[0] + 2 + 8 + 1);
}

static void
test_elsewhere_or_with_another_salt_it_is_none(void **state)
{
	static const uint8_t other[RECORD_SALT_SIZE] = "another segment";
	struct record record;
	struct buf b;
	size_t wanted;

	(void)state;
	make_message(&b, "Hello");
	assert_int_equal(record_read(buf_span(&b), 4104, salt, &record, &wanted), -1);
	assert_int_equal(record_read(buf_span(&b), 4096, other, &record, &wanted), -1);
	buf_free(&b);
}

static void
test_cut_short_it_is_incomplete(void **state)
{
	struct record record;
	struct buf b;
	size_t wanted;

	(void)state;
	make_message(&b, "Hello");
	for (size_t len = 0; len < b.len; len++) {
		assert_int_equal(
		    record_read(span_sub(buf_span(&b), 0, len), 4096, salt, &record, &wanted), 0);
		assert_true(wanted > len && wanted <= b.len);
	}
	buf_free(&b);
}

static void
test_no_flipped_bit_goes_unseen(void **state)
{
	struct record record;
	struct buf b;
	size_t wanted;

	(void)state;
	make_message(&b, "Hello");
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		buf_ptr(&b)[bit / 8] ^= (char)(1 << bit % 8);
		assert_true(record_read(buf_span(&b), 4096, salt, &record, &wanted) <= 0);
		buf_ptr(&b)[bit / 8] ^= (char)(1 << bit % 8);
	}
	buf_free(&b);
}

static void
test_a_payload_that_lies_is_refused(void **state)
{
	struct error err;
	struct buf b;

	(void)state;
	make_message(&b, "Hello");
	/* Cut anywhere inside of envelope or recipients: never a message; never a read beyond (sanitizers). */
	for (size_t len = 0; len < b.len - RECORD_HEADER_SIZE - 8; len++) {
		char *bytes = mem_strndup(buf_ptr(&b) + RECORD_HEADER_SIZE, len);
		struct message *m = message_from_payload(1, bytes, 0, len, &err);

		if (m)
			assert_null(m->content.ptr);
		message_free(&m);
	}
	buf_free(&b);
}

static struct message *
message(void)
{
	struct error err;
	struct buf b;
	struct message *m;

	make_message(&b, "Hello");
	m = message_from_payload(1, mem_strndup(buf_ptr(&b) + RECORD_HEADER_SIZE, b.len - RECORD_HEADER_SIZE),
	    0, b.len - RECORD_HEADER_SIZE - (uint8_t)buf_ptr(&b)[6], &err);
	assert_non_null(m);
	buf_free(&b);
	return m;
}

static void
test_an_older_attempt_changes_nothing(void **state)
{
	struct message *m = message();
	struct recipient *r = message_recipient(m, 1);
	struct part_outcome o = {
	    .index = 1, .attempt = 2, .state = RECIPIENT_QUEUED, .text = SPAN_LIT("second")};

	(void)state;
	assert_true(recipient_apply(m, r, &o));
	assert_true(recipient_apply(m, r, &o)); /* replayed again: the same */
	o.attempt = 1;
	o.text = SPAN_LIT("first");
	assert_false(recipient_apply(m, r, &o));
	assert_true(span_is(r->p.text, "second"));
	o.attempt = 3;
	o.state = RECIPIENT_DONE;
	assert_true(recipient_apply(m, r, &o));
	assert_int_equal(m->open, 1);
	o.state = RECIPIENT_QUEUED;
	o.attempt = 4;
	assert_false(recipient_apply(m, r, &o)); /* what is finished stays so */
	assert_int_equal(m->open, 1);
	message_free(&m);
}

/* An address of one letter and a transport of another one, or less. */
static void
test_the_shortest_recipient_is_read_again(void **state)
{
	static const struct part_recipient all[] = {
	    {.index = 0}, {.index = 0, .recipient = SPAN_LIT("a"), .transport = SPAN_LIT("x")}};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct part_envelope e = {.next_index = 1};
		struct message *m;
		struct error err;
		struct buf b;

		buf_init(&b, 100000);
		assert_int_equal(part_encode_envelope(&b, &e), 0);
		assert_int_equal(buf_append(&b, "\1\0\0\0", 4), 0);
		assert_int_equal(part_encode_recipient(&b, &all[i]), 0);
		m = message_from_payload(1, mem_strndup(buf_ptr(&b), b.len), 0, b.len, &err);
		assert_non_null(m);
		assert_int_equal(m->count, 1);
		message_free(&m);
		buf_free(&b);
	}
}

static void
test_packed_and_unpacked_it_is_the_same(void **state)
{
	struct message *m = message(), *copy;
	struct part_outcome o = {
	    .index = 0, .attempt = 7, .state = RECIPIENT_REPORT, .text = SPAN_LIT("no"), .due_spool_us = 99};
	struct part_recipient added = {
	    .index = 2, .recipient = SPAN_LIT("c@far.test"), .orig_to = SPAN_LIT("a@far.test")};
	struct error err;
	struct buf b;

	(void)state;
	recipient_apply(m, message_recipient(m, 0), &o);
	assert_non_null(message_add_recipient(m, &added));
	message_hold(m, true, SPAN_LIT("because"), SPAN_LIT("root (uid 0)"), 7);
	message_drop_content(m);
	assert_null(m->content.ptr);
	buf_init(&b, 100000);
	assert_int_equal(message_pack(&b, m), 0);
	copy = message_from_payload(1, mem_strndup(buf_ptr(&b), b.len), 0, b.len, &err);
	assert_non_null(copy);
	assert_int_equal(copy->count, 3);
	assert_int_equal(copy->open, 3);
	assert_int_equal(copy->e.next_index, 3);
	assert_true(span_is(copy->e.hold_reason, "because"));
	assert_true(span_is(copy->recipients[0]->p.text, "no"));
	assert_int_equal(copy->recipients[0]->p.state, RECIPIENT_REPORT);
	assert_true(span_is(copy->recipients[2]->p.orig_to, "a@far.test"));
	assert_true(span_is(copy->e.sender, "s@here.test"));
	buf_free(&b);
	message_free(&m);
	message_free(&copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_payload_hashed_as_it_was_once_is_read),
	    cmocka_unit_test(test_comes_back_as_it_was),
	    cmocka_unit_test(test_a_text_beyond_its_bound_is_not_written),
	    cmocka_unit_test(test_what_is_not_set_takes_no_room),
	    cmocka_unit_test(test_elsewhere_or_with_another_salt_it_is_none),
	    cmocka_unit_test(test_cut_short_it_is_incomplete),
	    cmocka_unit_test(test_no_flipped_bit_goes_unseen),
	    cmocka_unit_test(test_a_payload_that_lies_is_refused),
	    cmocka_unit_test(test_an_older_attempt_changes_nothing),
	    cmocka_unit_test(test_the_shortest_recipient_is_read_again),
	    cmocka_unit_test(test_packed_and_unpacked_it_is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
