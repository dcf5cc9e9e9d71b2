/*
 * What a segment says although it cannot be, with checksums that are right: it is not believed, and what is no message's is told
 * from what should have been one's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/mail/queue_id.h"
#include "queue/log/disk.h"
#include "queue/log/record.h"
#include "queue/log/replay.h"
#include "queue/log/scan.h"
#include "queue/queue.h"

static const int64_t last_us = QUEUE_ID_CLOCK_MAX_US + (int64_t)366 * 86400 * US_PER_SECOND - 1;

struct made {
	struct segment s;
	uint64_t end;
};

static void
begin(struct made *m)
{
	*m =
	    (struct made){.s = {.fd = memfd_create("segment", MFD_CLOEXEC), .first = 1 << 20, .salt = "test"},
		.end = SEGMENT_HEADER_SIZE};
	assert_true(m->s.fd >= 0);
}

static void
put(struct made *m, enum record_type type, uint64_t id, struct span payload)
{
	struct buf b;

	buf_init(&b, 100000);
	assert_int_equal(record_begin(&b, type, id), 0);
	assert_int_equal(buf_append_span(&b, payload), 0);
	assert_int_equal(record_end(&b, 0), 0);
	record_seal(b.mem, b.len, m->s.first + m->end, m->s.salt);
	assert_int_equal(disk_write_all(m->s.fd, b.mem, b.len, (off_t)m->end), 0);
	m->end += b.len;
	m->s.size = (m->end + SEGMENT_PAGE) / SEGMENT_PAGE * SEGMENT_PAGE;
	assert_int_equal(ftruncate(m->s.fd, (off_t)m->s.size), 0);
	buf_free(&b);
}

static void
put_commit(struct made *m, uint64_t id_high, int64_t spool_us)
{
	struct part_commit commit = {.begin = m->s.first + m->end, .id_high = id_high, .spool_us = spool_us};
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(part_encode_commit(&b, &commit), 0);
	put(m, RECORD_COMMIT, 0, buf_span(&b));
	buf_free(&b);
}

static int
found(const struct segment *s, const struct record *record, void *context, struct error *err)
{
	(void)s;
	(void)record;
	(void)context;
	(void)err;
	return 0;
}

static void
damaged(const struct segment *s, uint64_t position, uint64_t len, void *context)
{
	(void)s;
	(void)position;
	(void)len;
	(void)context;
}

/* They would be the next start's own: a clock of 2200, and ids that nobody takes. */
static void
times_and_ids_of_a_mark_are_believed_until_2101(void **state)
{
	static const struct {
		int64_t spool_us, believed_us;
		uint64_t id, believed_id;
	} rows[] = {
	    {20, 20, 30, 30},
	    {10, 20, 20, 30}, /* none goes back */
	    {INT64_MAX, 20, UINT64_MAX, 30},
	    {-1, 20, (uint64_t)1 << 63, (uint64_t)1 << 63}, /* 2041 */
	    {INT64_MIN, 20, 0, (uint64_t)1 << 63},
	    {last_us + 1, 20, (uint64_t)(last_us + 1) << 12, (uint64_t)1 << 63},
	    {last_us, last_us, (uint64_t)last_us << 12, (uint64_t)last_us << 12},
	};
	struct segment_scan scan;
	struct error err;
	struct made m;

	(void)state;
	begin(&m);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_commit(&m, rows[i].id, rows[i].spool_us);
		assert_int_equal(segment_each(&m.s, 0, found, damaged, NULL, &scan, &err), 0);
		assert_int_equal(scan.damages, 0);
		assert_int_equal(scan.end, m.s.first + m.end);
		assert_int_equal(scan.spool_us, rows[i].believed_us);
		assert_int_equal(scan.id_high, rows[i].believed_id);
	}
	close(m.s.fd);
	/* The segment's header says the same of what was before it. */
	begin(&m);
	put_commit(&m, 1, 1);
	m.s.spool_us = last_us + 1;
	m.s.id_high = UINT64_MAX;
	assert_int_equal(segment_each(&m.s, 0, found, damaged, NULL, &scan, &err), 0);
	assert_int_equal(scan.spool_us, 1);
	assert_int_equal(scan.id_high, 1);
	close(m.s.fd);
}

/* The start's own test is a removal of id 0. Anything else of it, or of an id of no time, was meant to be something. */
static void
records_of_impossible_ids_are_told_of(void **state)
{
	static const struct {
		enum record_type type;
		uint64_t id;
		unsigned damages;
	} rows[] = {{RECORD_REMOVAL, 0, 0}, {RECORD_MESSAGE, 0, 1}, {RECORD_OUTCOME, 0, 1},
	    {RECORD_REMOVAL, UINT64_MAX, 1}, {RECORD_MESSAGE, UINT64_MAX, 1}, {RECORD_REMOVAL, 5, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct segment_info info = {0};
		struct queue q = {.segments = &info, .segment_count = 1, .damaged_dir = -1};
		struct row_batch *b = row_batch_new();
		struct id_set none = {NULL, 0, 0};
		struct replay *r;
		struct made m;

		begin(&m);
		put(&m, rows[i].type, rows[i].id, SPAN_LIT("\0\0\0\0\0\0\0\0\0\0\0\0"));
		put_commit(&m, 1, 1);
		info.s = m.s;
		r = replay_new(&q, 0, UINT64_MAX, true, &none);
		while (replay_step(r, b) > 0)
			;
		assert_int_equal(replay_counts(r)->damages, rows[i].damages);
		assert_true(replay_counts(r)->id_high < UINT64_MAX);
		assert_int_equal(b->count, 0);
		replay_free(&r);
		row_batch_free(&b);
		close(m.s.fd);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(times_and_ids_of_a_mark_are_believed_until_2101),
	    cmocka_unit_test(records_of_impossible_ids_are_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
