/*
 * Files of exported mail: what is written is read back, times are translated, and what cannot be is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/control/transit.h"

static const int64_t spool = 5000 * US_PER_SECOND, wall = 9000 * US_PER_SECOND;

struct sample {
	struct part_envelope e;
	struct part_recipient r[2];
	struct transit_head head;
};

static struct sample
sample(void)
{
	struct sample s = {.e = {.arrival_us = 1,
			       .arrival_spool_us = spool - 100 * US_PER_SECOND,
			       .content_len = 10,
			       .header_len = 4,
			       .next_index = 2,
			       .sender = SPAN_LIT("s@x"),
			       .expire_spool_us = spool + 50 * US_PER_SECOND},
	    .head = {.id = 77, .content_len = 10, .spool_us = spool, .wall_us = wall}};

	s.r[0] = (struct part_recipient){.recipient = SPAN_LIT("a@x"),
	    .transport = SPAN_LIT("smtp"),
	    .nexthop = SPAN_LIT("x"),
	    .due_spool_us = spool + 20 * US_PER_SECOND,
	    .attempt = 3,
	    .generation = 9};
	s.r[1] = (struct part_recipient){.recipient = SPAN_LIT("b@x"),
	    .transport = SPAN_LIT("smtp"),
	    .nexthop = SPAN_LIT("x"),
	    .index = 1,
	    .state = RECIPIENT_DONE};
	return s;
}

static struct message *
travel(const struct sample *s, int64_t now_spool, int64_t now_wall)
{
	static const uint8_t two[4] = {2};
	struct buf b;
	struct error err;
	struct message *m;

	buf_init(&b, 1 << 20);
	assert_int_equal(part_encode_envelope(&b, &s->e), 0);
	buf_append(&b, two, sizeof(two));
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(part_encode_recipient(&b, &s->r[i]), 0);
	m = transit_message(&s->head, buf_span(&b), now_spool, now_wall, &err);
	buf_free(&b);
	return m;
}

static void
test_times_are_those_of_this_instance(void **state)
{
	static const struct {
		int64_t wall_later_s, age_s, due_in_s, expires_in_s;
	} rows[] = {
	    {0, 100, 20, 50}, {10, 110, 10, 40}, /* under way for 10 seconds */
	    {-500, 100, 20, 50}, /* the clock there is ahead */
	    {1000000, 100 + 86400, 20 - 86400, 50 - 86400}, /* a day at most */
	};
	const int64_t now = 700000 * US_PER_SECOND;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sample s = sample();
		struct message *m = travel(&s, now, wall + rows[i].wall_later_s * US_PER_SECOND);

		assert_non_null(m);
		assert_int_equal(m->id, 77);
		assert_int_equal(now - m->e.arrival_spool_us, rows[i].age_s * US_PER_SECOND);
		assert_int_equal(m->recipients[0]->p.due_spool_us - now, rows[i].due_in_s * US_PER_SECOND);
		assert_int_equal(m->e.expire_spool_us - now, rows[i].expires_in_s * US_PER_SECOND);
		assert_int_equal(m->recipients[0]->p.attempt, 3);
		assert_int_equal(m->recipients[0]->p.generation, 0);
		assert_int_equal(m->recipients[1]->p.state, RECIPIENT_DONE);
		assert_int_equal(m->open, 1);
		message_free(&m);
	}
}

static void
test_what_cannot_be_is_refused(void **state)
{
	struct sample s;
	struct message *m;

	(void)state;
#define REFUSED(change)                                                                                      \
	s = sample();                                                                                        \
	change;                                                                                              \
	m = travel(&s, spool, wall);                                                                         \
	if (m)                                                                                               \
		fail_msg("taken: %s", #change);
	REFUSED(s.e.content_len = 11)
	REFUSED(s.e.header_len = 11)
	REFUSED(s.e.in_file = 1)
	REFUSED(s.e.held = 2)
	REFUSED(s.e.arrival_spool_us = spool + 1)
	REFUSED(s.e.arrival_spool_us = -1)
	REFUSED(s.e.expire_spool_us = INT64_MAX)
	REFUSED(s.e.sender = SPAN_LIT("s@x>\r\nRCPT TO:<v@y"))
	REFUSED(s.e.hold_reason = SPAN_LIT("a\nb"))
	REFUSED(s.r[0].state = RECIPIENT_DONE) /* nobody is left */
	REFUSED(s.r[0].state = RECIPIENT_REPORT)
	REFUSED(s.r[0].state = 9)
	REFUSED(s.r[0].index = 1) /* twice */
	REFUSED(s.r[0].recipient = SPAN_LIT("a@x\n"))
	REFUSED(s.r[0].recipient = SPAN_LIT(""))
	REFUSED(s.r[0].due_spool_us = INT64_MIN)
	REFUSED(s.r[1].nexthop = SPAN_LIT("h\r"))
#undef REFUSED
}

static void
test_heads(void **state)
{
	struct transit_head head = {.id = 5, .payload_len = 6, .content_len = 7, .spool_us = 8, .wall_us = 9},
			    got;
	struct error err;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	transit_head_encode(&b, &head);
	assert_int_equal(b.len, TRANSIT_HEAD_SIZE);
	assert_int_equal(transit_head_decode(buf_span(&b), &got, &err), 0);
	assert_memory_equal(&got, &head, sizeof(head));
	assert_int_equal(
	    transit_head_decode(span_sub(buf_span(&b), 0, TRANSIT_HEAD_SIZE - 1), &got, &err), -1);
	b.mem[13] = '2';
	assert_int_equal(transit_head_decode(buf_span(&b), &got, &err), -1);
	assert_non_null(strstr(err.text, "version"));
	b.mem[13] = '1';
	b.mem[31] = 1; /* payload_len */
	assert_int_equal(transit_head_decode(buf_span(&b), &got, &err), -1);
	buf_free(&b);
}

/* In whatever pieces: the same; and any change is another one. */
static void
test_checksum(void **state)
{
	struct transit_sum *s = mem_alloc(sizeof(*s));
	uint8_t whole[TRANSIT_SUM_SIZE], other[TRANSIT_SUM_SIZE];
	char bytes[3 * TRANSIT_BLOCK + 5];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	transit_sum_add(s, span_make(bytes, sizeof(bytes)));
	transit_sum_end(s, whole);
	memset(s, 0, sizeof(*s));
	for (size_t at = 0; at < sizeof(bytes); at += 1000)
		transit_sum_add(s, span_sub(span_make(bytes, sizeof(bytes)), at, 1000));
	transit_sum_end(s, other);
	assert_memory_equal(whole, other, sizeof(whole));
	bytes[TRANSIT_BLOCK] ^= 1;
	memset(s, 0, sizeof(*s));
	transit_sum_add(s, span_make(bytes, sizeof(bytes)));
	transit_sum_end(s, other);
	assert_memory_not_equal(whole, other, sizeof(whole));
	free(s);
}

static void
test_marks_keep_what_was_before(void **state)
{
	struct sample s = sample();
	struct message *m;

	(void)state;
	m = travel(&s, spool, wall);
	transit_mark(m, TRANSIT_OUT, "/a", "root", 3);
	assert_true(m->e.held && transit_is_marked(m) && transit_is_mine(m, TRANSIT_OUT, "/a"));
	assert_false(transit_is_mine(m, TRANSIT_OUT, "/") || transit_is_mine(m, TRANSIT_OUT, "/a/b"));
	assert_false(transit_is_mine(m, TRANSIT_IN, "/a"));
	transit_unmark(m, TRANSIT_OUT, "/b");
	assert_true(m->e.held);
	transit_unmark(m, TRANSIT_OUT, "/a");
	assert_false(m->e.held || m->e.hold_by.len > 0);
	message_hold(m, true, SPAN_LIT("legal"), SPAN_LIT("eve"), 7);
	transit_mark(m, TRANSIT_IN, "/a", "root", 3);
	assert_true(transit_is_mine(m, TRANSIT_IN, "/a"));
	transit_unmark(m, TRANSIT_IN, "/a");
	assert_true(m->e.held && span_is(m->e.hold_reason, "legal") && span_is(m->e.hold_by, "eve"));
	assert_int_equal(m->e.hold_us, 7);
	message_hold(m, true, SPAN_LIT(""), SPAN_LIT(""), 0);
	transit_mark(m, TRANSIT_IN, "/a", "root", 3);
	transit_unmark(m, TRANSIT_IN, "/a");
	assert_true(m->e.held && m->e.hold_reason.len == 0 && m->e.hold_by.len == 0);
	message_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_times_are_those_of_this_instance),
	    cmocka_unit_test(test_what_cannot_be_is_refused),
	    cmocka_unit_test(test_heads),
	    cmocka_unit_test(test_checksum),
	    cmocka_unit_test(test_marks_keep_what_was_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
