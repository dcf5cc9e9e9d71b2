/*
 * The history of attempts: runs, bounds, texts of strangers; records with and without what was added later; and what
 * an operator's edits come to when they are replayed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/mail/outcome.h"
#include "queue/attempts.h"
#include "queue/message.h"

static char history_bytes[2 * ATTEMPTS_MAX];

/* As recipient_apply() does it before the next attempt's outcome is taken over. */
static void
push(struct part_recipient *p, const char *text, size_t max)
{
	struct buf b;

	p->attempt++;
	p->attempt_us = (int64_t)p->attempt * 1000;
	p->status = SPAN_LIT("4.4.1");
	p->relay = SPAN_LIT("none");
	p->text = span_of(text);
	buf_init(&b, 2 * ATTEMPTS_MAX);
	attempts_push(&b, p, max);
	memcpy(history_bytes, buf_ptr(&b), b.len);
	p->history = span_make(history_bytes, b.len);
	buf_free(&b);
}

static void
test_the_same_again_is_one_run(void **state)
{
	struct part_recipient p = {.index = 0};
	struct attempt_run run;
	struct span rest;

	(void)state;
	for (int i = 0; i < 1000; i++)
		push(&p, "connect to far.test: Connection refused", ATTEMPTS_MAX);
	push(&p, "450 later", ATTEMPTS_MAX);
	push(&p, "connect to far.test: Connection refused", ATTEMPTS_MAX);
	rest = p.history;
	assert_true(attempts_next(&rest, &run));
	assert_int_equal(run.first, 1);
	assert_int_equal(run.last, 1000);
	assert_int_equal(run.first_us, 1000);
	assert_int_equal(run.last_us, 1000000);
	assert_true(attempts_next(&rest, &run));
	assert_true(span_is(run.text, "450 later"));
	assert_true(attempts_next(&rest, &run));
	assert_int_equal(run.first, 1002);
	assert_false(attempts_next(&rest, &run));
}

static void
test_the_oldest_give_way(void **state)
{
	static const size_t bounds[] = {ATTEMPTS_MAX, 300, 60, 10, 0};
	char text[600];

	(void)state;
	for (size_t k = 0; k < sizeof(bounds) / sizeof(bounds[0]); k++) {
		struct part_recipient p = {.index = 0};
		struct attempt_run run = {.last = 0};
		struct span rest;

		for (int i = 0; i < 200; i++) {
			snprintf(text, sizeof(text), "450 %0*d", i % 7 == 0 ? 500 : 5, i);
			push(&p, text, bounds[k]);
			assert_true(p.history.len <= bounds[k]);
		}
		rest = p.history;
		while (attempts_next(&rest, &run))
			;
		assert_int_equal(run.last, bounds[k] >= 60 ? 200 : 0);
	}
}

static void
test_what_a_host_says_breaks_no_line(void **state)
{
	struct part_recipient p = {.index = 0};
	struct attempt_run run;
	struct span rest, host, text;
	struct buf tried;

	(void)state;
	push(&p, "450 a\tb\nc\r\n9\t9\t9\t9\t5.0.0\tevil\tx", ATTEMPTS_MAX);
	rest = p.history;
	assert_true(attempts_next(&rest, &run));
	assert_true(span_is(run.text, "450 a b c  9 9 9 9 5.0.0 evil x"));
	assert_false(attempts_next(&rest, &run));
	buf_init(&tried, 1000);
	attempts_add_host(&tried, SPAN_LIT("mx\t1"), SPAN_LIT("no\nway"));
	attempts_add_host(&tried, SPAN_LIT("mx2"), SPAN_LIT("450\tx"));
	rest = buf_span(&tried);
	assert_true(attempts_next_host(&rest, &host, &text));
	assert_true(span_is(host, "mx 1") && span_is(text, "no way"));
	assert_true(attempts_next_host(&rest, &host, &text));
	assert_true(span_is(host, "mx2") && span_is(text, "450 x"));
	assert_false(attempts_next_host(&rest, &host, &text));
	buf_free(&tried);
}

static void
test_a_damaged_history_is_passed_over(void **state)
{
	static const char *const bad[] = {"", "\n\n", "1\t2\t3\n", "x\t1\t1\t1\ts\tr\tt\n",
	    "1\t99999999999999999999999\t1\t1\ts\tr\tt\n", "-1\t1\t1\t1\ts\tr\tt\n"};
	struct attempt_run run;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct span rest = span_of(bad[i]);

		assert_false(attempts_next(&rest, &run));
	}
}

/* ---- fields that were added to the records ---- */

static void
test_what_is_not_there_takes_no_room(void **state)
{
	struct part_recipient plain = {.recipient = SPAN_LIT("a@b"), .notify = 3}, back;
	struct part_recipient full = plain;
	struct buf b;
	struct span in;
	size_t plain_len;

	(void)state;
	full.own_sender = 1;
	full.sender = SPAN_LIT("owner-l@here.test");
	full.pinned = 1;
	full.history = SPAN_LIT("h");
	buf_init(&b, 10000);
	assert_int_equal(part_encode_recipient(&b, &plain), 0);
	plain_len = b.len;
	in = buf_span(&b);
	assert_int_equal(part_decode_recipient(&in, &back), 0);
	assert_int_equal(in.len, 0);
	assert_int_equal(back.notify, 3);
	assert_int_equal(back.own_sender, 0);
	buf_clear(&b);
	assert_int_equal(part_encode_recipient(&b, &full), 0);
	assert_true(b.len > plain_len);
	for (size_t cut = 0; cut < b.len; cut++) {
		in = span_make(buf_ptr(&b), cut);
		assert_int_equal(part_decode_recipient(&in, &back), -1);
	}
	in = buf_span(&b);
	assert_int_equal(part_decode_recipient(&in, &back), 0);
	assert_int_equal(back.notify, 3);
	assert_int_equal(back.pinned, 1);
	assert_true(span_is(back.sender, "owner-l@here.test"));
	full.notify = 0x80; /* would be taken for the mark */
	assert_int_equal(part_encode_recipient(&b, &full), -1);
	buf_free(&b);
}

static struct message *
make_message(void)
{
	struct part_envelope e = {.sender = SPAN_LIT("s@here.test")};
	struct error err;
	struct message *m;
	struct buf b;

	buf_init(&b, 10000);
	assert_int_equal(part_encode_envelope(&b, &e), 0);
	buf_append(&b, "\0\0\0\0", 4);
	m = message_from_payload(1, b.mem, 0, b.len, &err);
	assert_non_null(m);
	return m;
}

static void
test_sender_and_history_survive_packing(void **state)
{
	struct part_recipient p = {
	    .recipient = SPAN_LIT("a@b"), .own_sender = 1, .sender = SPAN_LIT("owner")};
	struct part_outcome o = {.attempt = 1,
	    .status = SPAN_LIT("4.0.0"),
	    .text = SPAN_LIT("one"),
	    .tried = SPAN_LIT("mx1\tno\n")};
	struct message *m = make_message(), *copy;
	struct recipient *r = message_add_recipient(m, &p);
	struct attempt_run run;
	struct error err;
	struct span rest;
	struct buf b;

	(void)state;
	assert_true(recipient_apply(m, r, &o));
	assert_int_equal(r->p.history.len, 0);
	o.attempt = 2;
	o.text = SPAN_LIT("two");
	assert_true(recipient_apply(m, r, &o));
	assert_true(recipient_apply(m, r, &o)); /* replayed: not a third one */
	o.attempt = 1;
	assert_false(recipient_apply(m, r, &o));
	buf_init(&b, 10000);
	assert_int_equal(message_pack(&b, m), 0);
	copy = message_from_payload(1, b.mem, 0, b.len, &err);
	assert_non_null(copy);
	r = copy->recipients[0];
	assert_true(span_is(recipient_sender(copy, r), "owner"));
	assert_true(span_is(r->p.tried, "mx1\tno\n"));
	rest = r->p.history;
	assert_true(attempts_next(&rest, &run));
	assert_true(span_is(run.text, "one"));
	assert_int_equal(run.last, 1);
	assert_false(attempts_next(&rest, &run));
	message_free(&copy);
	message_free(&m);
}

/* ---- replay of edits ---- */

enum { STEPS_MAX = 20 };

static struct step {
	struct record record;
	struct buf bytes;
} steps[STEPS_MAX];
static size_t step_count;

static struct buf *
step_begin(enum record_type type)
{
	struct step *s = &steps[step_count++];

	s->record = (struct record){.type = type, .id = 1};
	buf_init(&s->bytes, 4000);
	return &s->bytes;
}

static void
step_edit(struct part_edit edit)
{
	edit.at_us = (int64_t)step_count + 1;
	edit.by = SPAN_LIT("root");
	assert_int_equal(part_encode_edit(step_begin(RECORD_EDIT), &edit), 0);
}

static void
step_deferred(uint32_t index, uint32_t attempt, int64_t due)
{
	struct part_outcome o = {.index = index,
	    .attempt = attempt,
	    .state = RECIPIENT_QUEUED,
	    .class = OUTCOME_DEFERRED,
	    .due_spool_us = due};
	struct buf *b = step_begin(RECORD_OUTCOME);

	buf_append(b, "\1\0\0\0", 4);
	assert_int_equal(part_encode_outcome(b, &o), 0);
}

static void
step_alias(uint32_t index, const char *address)
{
	struct part_recipient p = {.index = index,
	    .recipient = span_of(address),
	    .transport = SPAN_LIT("smtp"),
	    .nexthop = SPAN_LIT("far.test")};
	struct buf *b = step_begin(RECORD_RECIPIENTS);

	buf_append(b, "\1\0\0\0", 4);
	assert_int_equal(part_encode_recipient(b, &p), 0);
}

/* The message with steps from..to-1 done to it, packed as the index keeps it and snapshots do. */
static struct span
replayed(struct span row, size_t from, size_t to)
{
	struct message *m;
	struct error err;
	struct buf b;
	bool removed;

	m = message_from_payload(1, mem_strndup(row.ptr, row.len), 0, row.len, &err);
	assert_non_null(m);
	for (size_t i = from; i < to; i++) {
		steps[i].record.payload = buf_span(&steps[i].bytes);
		assert_int_equal(message_apply(m, &steps[i].record, &removed, &err), 0);
	}
	buf_init(&b, 20000);
	assert_int_equal(message_pack(&b, m), 0);
	message_free(&m);
	return buf_span(&b);
}

static void
make_steps(void)
{
	struct part_edit hop = {
	    .index = 3, .value = 10, .transport = SPAN_LIT("smtp"), .nexthop = SPAN_LIT("[a.test]")};

	step_deferred(0, 1, 5);
	hop.what = EDIT_NEXTHOP;
	step_edit(hop);
	step_edit((struct part_edit){
	    .what = EDIT_RECIPIENT, .index = 0, .value = 20, .text = SPAN_LIT("list@here.test")});
	step_alias(3, "c@far.test");
	step_deferred(0, 2, 30);
	step_edit((struct part_edit){.what = EDIT_DROP, .index = 1});
	step_edit((struct part_edit){.what = EDIT_EXPIRE, .value = 1000, .text = SPAN_LIT("soon")});
	step_edit((struct part_edit){
	    .what = EDIT_RECIPIENT, .index = 2, .value = 40, .text = SPAN_LIT("b@far.test")});
	step_edit((struct part_edit){
	    .what = EDIT_RECIPIENT, .index = 2, .value = 50, .text = SPAN_LIT("r2@far.test")});
	step_deferred(2, 1, 60);
	step_edit((struct part_edit){.what = EDIT_EXPIRE, .value = 2000, .text = SPAN_LIT("late")});
}

/* Wherever replay begins, and whatever the row that it finds has of it already: the end is the same. */
static void
test_edits_are_replayed_from_anywhere(void **state)
{
	struct message *m = make_message();
	struct span base, all;
	struct buf b;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct part_recipient p = {.index = i,
		    .recipient = i == 0   ? SPAN_LIT("r0@far.test")
				 : i == 1 ? SPAN_LIT("r1@far.test")
					  : SPAN_LIT("r2@far.test"),
		    .transport = SPAN_LIT("smtp"),
		    .nexthop = SPAN_LIT("far.test")};

		assert_non_null(message_add_recipient(m, &p));
	}
	buf_init(&b, 20000);
	assert_int_equal(message_pack(&b, m), 0);
	message_free(&m);
	base = buf_span(&b);
	make_steps();
	all = replayed(base, 0, step_count);
	for (size_t has = 0; has <= step_count; has++) {
		struct span row = replayed(base, 0, has);

		for (size_t from = 0; from <= has; from++) {
			struct span again = replayed(row, from, step_count);

			if (!span_equal(again, all))
				fail_msg(
				    "a row that has %zu steps, replayed from %zu, ends otherwise", has, from);
			free((void *)(uintptr_t)again.ptr);
		}
		free((void *)(uintptr_t)row.ptr);
	}
	m = message_from_payload(1, (char *)(uintptr_t)all.ptr, 0, all.len, &(struct error){.text = ""});
	assert_true(span_is(m->recipients[0]->p.recipient, "list@here.test"));
	assert_true(span_is(m->recipients[0]->p.orig_to, "r0@far.test"));
	assert_int_equal(m->recipients[0]->p.pinned, 0);
	assert_int_equal(m->recipients[0]->p.due_spool_us, 30);
	assert_int_equal(m->recipients[1]->p.state, RECIPIENT_DONE);
	assert_true(span_is(m->recipients[2]->p.recipient, "r2@far.test"));
	assert_true(span_is(m->recipients[3]->p.nexthop, "far.test"));
	assert_int_equal(m->recipients[3]->p.pinned, 0);
	assert_int_equal(m->e.expire_spool_us, 2000);
	message_free(&m);
	while (step_count > 0)
		buf_free(&steps[--step_count].bytes);
	buf_free(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_same_again_is_one_run),
	    cmocka_unit_test(test_the_oldest_give_way),
	    cmocka_unit_test(test_what_a_host_says_breaks_no_line),
	    cmocka_unit_test(test_a_damaged_history_is_passed_over),
	    cmocka_unit_test(test_what_is_not_there_takes_no_room),
	    cmocka_unit_test(test_sender_and_history_survive_packing),
	    cmocka_unit_test(test_edits_are_replayed_from_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
