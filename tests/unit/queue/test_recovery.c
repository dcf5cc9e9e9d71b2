/*
 * The index made anew while mail flows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "queue/submission.h"
#include "tests/unit/queue/world.h"

static void
reopen(struct world **w, const char *settings)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", (*w)->dir);
	world_close(w);
	*w = world_open(dir, settings);
}

static void
finish(struct world **w)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", (*w)->dir);
	world_close(w);
	world_remove(dir);
}

static void
rebuild(struct world *w)
{
	assert_true(WORLD_UNTIL(w, recovery_rebuild(&w->queue, true)));
	assert_true(WORLD_UNTIL(w, !w->queue.recovery && !w->queue.storing && w->queue.indexer.pending == 0));
}

/* The start looks for files that no record names, and asks the index about each. */
static void
test_files_outlive_a_rebuild_behind_the_start(void **state)
{
	enum { MESSAGES = 8, ORPHANS = 12000 };
	static const char slow[] =
	    "spool_inline_limit = 1024\nminimal_backoff_time = 1000s\nmaximal_backoff_time = 1000s\n";
	struct world *w = world_open(NULL, slow);
	uint64_t ids[MESSAGES];
	char name[32];

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	for (int i = 0; i < MESSAGES; i++) {
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 2000), SUBMIT_OK);
		ids[i] = w->submit_id;
	}
	assert_true(WORLD_UNTIL(w, w->jobs == MESSAGES));
	for (uint64_t i = 1; i <= ORPHANS; i++) {
		content_file_name(ids[0] - i, name);
		close(openat(w->queue.files_dir, name, O_WRONLY | O_CREAT, 0600));
	}
	reopen(&w, slow);
	rebuild(w);
	for (int i = 0; i < MESSAGES; i++) {
		content_file_name(ids[i], name);
		assert_int_equal(faccessat(w->queue.files_dir, name, F_OK, 0), 0);
	}
	finish(&w);
}

/* As control/import.c does. */
static void
take_back(struct world *w, uint64_t id, const struct buf *payload, const char *content)
{
	struct ipc_frame frame = {
	    .type = IPC_SUBMIT_DATA, .call = 4711, .submit_data.bytes = span_of(content)};
	struct submission *s;
	struct error err;

	s = submission_take(&w->queue, w->from_submitter, frame.call,
	    message_from_payload(id, mem_strndup(buf_ptr(payload), payload->len), 0, payload->len, &err));
	assert_int_equal(submission_data(w->from_submitter, &frame, NULL, &err), 0);
	submission_taken(s);
}

static void
test_what_was_moved_away_and_back_is_one_message(void **state)
{
	static const char content[] = "Subject: x\r\n\r\nx\r\n";
	struct world *w = world_open(NULL, "");
	struct message *m;
	struct buf payload;
	uint64_t id;

	(void)state;
	w->no_delivery = true;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	id = w->submit_id;
	m = message_find(&w->queue.live, id);
	m->e.content_len = sizeof(content) - 1;
	buf_init(&payload, RECORD_MAX);
	assert_int_equal(message_pack(&payload, m), 0);
	journal_remove(&w->queue, m, REMOVAL_EXPORTED);
	journal_kick(&w->queue);
	assert_true(WORLD_UNTIL(w, w->queue.live.count == 0));
	w->no_delivery = false;
	take_back(w, id, &payload, content);
	buf_free(&payload);
	assert_true(WORLD_UNTIL(w, w->delivered == 1 && w->queue.live.count == 0));
	rebuild(w);
	world_turn(w, 100);
	assert_int_equal(w->queue.live.count, 0);
	assert_int_equal(w->delivered, 1);
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files_outlive_a_rebuild_behind_the_start),
	    cmocka_unit_test(test_what_was_moved_away_and_back_is_one_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
