/*
 * The spool's invariants (docs/design/queue.md, The log), with a disk that fails where the test says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "queue/log/disk.h"
#include "queue/log/segment.h"
#include "queue/scheduler/hop.h"
#include "tests/unit/queue/spool_case.h"

/* ---- 1: a 250 follows the sync that covers its record ---- */

static void
test_1_no_answer_before_the_sync(void **state)
{
	struct world *w = world_open(NULL, "");

	(void)state;
	spool_disk.hold_sync = true;
	world_send(w, 0, "s@here.test", 1, 100, 0);
	for (int i = 0; i < 10; i++)
		world_turn(w, 20);
	assert_false(w->answered);
	assert_int_equal(w->jobs, 0);
	spool_disk.hold_sync = false;
	assert_true(WORLD_UNTIL(w, w->answered));
	assert_int_equal(w->submit_status, SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->delivered == 1));
	spool_finish(&w);
}

static unsigned answers;

static void
count_answer(struct world *w)
{
	answers += w->submit_status == SUBMIT_OK;
}

static void
test_1_one_sync_answers_all_that_wait(void **state)
{
	struct world *w = world_open(NULL, "");
	int before;

	(void)state;
	answers = 0;
	w->on_answer = count_answer;
	w->no_delivery = true;
	spool_disk.hold_sync = true;
	world_send(w, 0, "s@here.test", 1, 100, 0);
	for (int i = 0; i < 5; i++)
		world_turn(w, 20);
	for (int i = 0; i < 50; i++)
		world_send(w, 0, "s@here.test", 1, 4000, 0);
	for (int i = 0; i < 5; i++)
		world_turn(w, 20);
	before = spool_disk.syncs;
	spool_disk.hold_sync = false;
	assert_true(WORLD_UNTIL(w, answers == 51));
	assert_true(spool_disk.syncs - before <= 4);
	spool_finish(&w);
}

/* ---- 2: outcomes are durable in time, and outlive the process at once ---- */

static void
test_2_an_outcome_is_durable_in_time(void **state)
{
	struct world *w = world_open(NULL, "spool_outcome_delay = 200ms\nminimal_backoff_time = 100s\n");
	struct message *m;
	int64_t begin;

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	m = spool_only_message(w);
	assert_non_null(m);
	assert_true(WORLD_UNTIL(w, m->recipients[0]->p.attempt == 1));
	begin = clock_mono_us();
	assert_true(WORLD_UNTIL(w, m->busy == 0 && !m->unrecorded));
	assert_true(clock_mono_us() - begin < 300 * US_PER_MS);
	spool_finish(&w);
}

static void
test_2_outcomes_wait_for_somebody_elses_sync(void **state)
{
	struct world *w = world_open(NULL, "spool_outcome_delay = 10s\n");
	int before = spool_disk.syncs;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
		assert_true(WORLD_UNTIL(w, w->delivered == i + 1));
	}
	assert_in_range(spool_disk.syncs - before, 20, 24);
	spool_finish(&w);
}

/* ---- replay ---- */

static void
test_deferred_mail_is_the_same_after_a_restart(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	struct message *m;

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	w->text = "mailbox busy";
	assert_int_equal(world_submit(w, 0, "s@here.test", 2, 100), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->jobs == 1));
	for (int round = 0; round < 3; round++) {
		spool_reopen(&w, "minimal_backoff_time = 100s\n");
		assert_int_equal(spool_in_queue(w), 1);
		m = spool_only_message(w);
		if (m) {
			assert_int_equal(m->recipients[1]->p.attempt, 1);
			assert_true(span_is(m->recipients[1]->p.text, "mailbox busy"));
		}
		for (int i = 0; i < 10; i++)
			world_turn(w, 20);
		assert_int_equal(w->jobs, 0); /* not due */
	}
	spool_finish(&w);
}

static void
test_finished_mail_does_not_come_back(void **state)
{
	struct world *w = world_open(NULL, "");

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 3000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->delivered == 20));
	spool_reopen(&w, "");
	assert_int_equal(spool_in_queue(w), 0);
	spool_finish(&w);
}

/* ---- 4, 5: segments are emptied and used again ---- */

static void
test_4_5_segments_go_and_what_lives_stays(void **state)
{
	struct world *w = world_open(NULL, "spool_segment_size = 256k\nminimal_backoff_time = "
					   "1000s\nmaximal_backoff_time = 1000s\nindex_delay = 0\n");
	uint64_t kept[3];

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	for (int i = 0; i < 3; i++) {
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 5000), SUBMIT_OK);
		kept[i] = w->submit_id;
	}
	assert_true(WORLD_UNTIL(w, w->jobs == 3));
	w->outcome = OUTCOME_DELIVERED;
	w->status = "2.0.0";
	for (int i = 0; i < 100; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 40000), SUBMIT_OK);
	/* 4 MB went through segments of 256 KB: all but a few are free, and the three were moved forward. */
	assert_true(WORLD_UNTIL(w, w->delivered == 100 && w->queue.segment_count <= 6));
	assert_int_equal(spool_in_queue(w), 3);
	for (int round = 0; round < 2; round++) {
		spool_reopen(&w, "spool_segment_size = 256k\nminimal_backoff_time = 1000s\n");
		assert_int_equal(spool_in_queue(w), 3);
		for (int i = 0; i < 3; i++)
			assert_true(spool_found[i] == kept[0] || spool_found[i] == kept[1] ||
				    spool_found[i] == kept[2]);
	}
	spool_finish(&w);
}

static void
test_content_is_read_again_after_it_was_moved(void **state)
{
	struct world *w = world_open(NULL, "spool_segment_size = 256k\nminimal_backoff_time = "
					   "3s\nmaximal_backoff_time = 3s\nindex_delay = 0\n");

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 5000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->jobs == 1));
	w->outcome = OUTCOME_DELIVERED;
	for (int i = 0; i < 60; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 40000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->delivered == 60));
	w->content_octets = 0;
	assert_true(WORLD_UNTIL(w, w->delivered == 61));
	assert_int_equal(w->content_octets, 5000 + strlen("Received: by here\r\n"));
	spool_finish(&w);
}

/* A successor has nothing to tell, and is there first: the worker that a reload replaced knows what it has sent. */
static void
test_a_replaced_worker_is_heard_before_mail_goes_out_again(void **state)
{
	struct world *w = world_open(NULL, "");

	(void)state;
	w->no_delivery = true;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 1000), SUBMIT_OK);
	world_without_delivery = true;
	spool_reopen(&w, "");
	assert_true(WORLD_UNTIL(w, w->queue.scheduler->kept.told == 1));
	w->leaving_delivery = true;
	w->no_delivery = false;
	scheduler_worker_up(&w->queue);
	for (int i = 0; i < 10; i++)
		world_turn(w, 20);
	assert_int_equal(w->jobs, 0);
	w->queue.scheduler->kept.told |= 2;
	scheduler_worker_up(&w->queue);
	assert_true(WORLD_UNTIL(w, w->jobs == 1));
	spool_finish(&w);
}

/* ---- large messages ---- */

static void
test_a_large_message_lies_in_its_file(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 1s\n");

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 180000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->jobs == 1));
	spool_reopen(&w, "minimal_backoff_time = 1s\n");
	assert_true(WORLD_UNTIL(w, w->delivered == 1));
	assert_int_equal(w->content_octets, 180000 + strlen("Received: by here\r\n"));
	assert_true(WORLD_UNTIL(w, w->queue.live.count == 0 && w->queue.helper.pending == 0));
	assert_int_equal(rmdir("messages"), 0); /* its file went with it */
	spool_finish(&w);
}

static void
test_a_file_without_a_record_is_removed(void **state)
{
	struct world *w = world_open(NULL, "");
	int fd;

	(void)state;
	fd = open("messages/660D5F2F250DA000", O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	spool_reopen(&w, "");
	assert_true(WORLD_UNTIL(w, access("messages/660D5F2F250DA000", F_OK) < 0));
	spool_finish(&w);
}

/* ---- kill -9 at each step ---- */

struct shared {
	atomic_uint acknowledged;
	atomic_uint delivered;
	uint64_t ids[256];
};

static struct shared *shared;
static const char *kill_step;
static atomic_int kill_count;

static void
step(const char *name)
{
	if (strcmp(name, kill_step) == 0 && spool_hits(&kill_count))
		kill(getpid(), SIGKILL);
}

static void
note_answer(struct world *w)
{
	if (w->submit_status == SUBMIT_OK)
		shared->ids[atomic_fetch_add(&shared->acknowledged, 1) % 256] = w->submit_id;
}

static void
child(const char *dir)
{
	struct world *w;

	disk.step = step;
	w = world_open(dir, "spool_segment_size = 256k\nminimal_backoff_time = 100s\nmaximal_backoff_time = "
			    "100s\nindex_delay = 0\n");
	w->on_answer = note_answer;
	for (int i = 0; i < 60; i++) {
		w->outcome = i % 10 == 0 ? OUTCOME_DEFERRED : OUTCOME_DELIVERED;
		w->status = i % 10 == 0 ? "4.2.0" : "2.0.0";
		world_submit(w, 0, "s@here.test", 1, i % 20 == 5 ? 150000 : i % 4 == 2 ? 50000 : 20000);
		WORLD_UNTIL(w, w->jobs > (unsigned)i);
		shared->delivered = w->delivered;
	}
	for (int i = 0; i < 150; i++)
		world_turn(w, 20);
	_exit(0);
}

static void
test_killed_at_each_step_nothing_is_lost(void **state)
{
	static const char *const steps[] = {"commit-before-write", "commit-between-writes",
	    "commit-before-sync", "commit-after-sync", "file-synced", "free-before-erase",
	    "free-after-erase"};
	unsigned kills = 0;

	(void)state;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++)
		for (int n = 1; n <= 60; n = n * 2 + 1) {
			char dir[] = "/tmp/queue-kill-XXXXXX";
			struct world *w;
			size_t left;
			int status;
			pid_t pid;

			assert_non_null(mkdtemp(dir));
			memset(shared, 0, sizeof(*shared));
			kill_step = steps[s];
			kill_count = n;
			pid = fork();
			if (pid == 0)
				child(dir);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			kills += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
			assert_true(
			    WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
			kill_count = 0;
			w = world_open(dir, "spool_segment_size = 256k\nminimal_backoff_time = 100s\n");
			left = spool_in_queue(w);
			/* Acknowledged is delivered or still here; beyond that only what was in flight: two messages at most. */
			assert_true(left + shared->delivered + 1 >= shared->acknowledged);
			assert_true(left + shared->delivered <= shared->acknowledged + 3);
			spool_finish(&w);
		}
	assert_true(kills > 15);
	munmap(shared, sizeof(*shared));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, spool_set_up, spool_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_1_no_answer_before_the_sync),
	    ROW(test_1_one_sync_answers_all_that_wait),
	    ROW(test_2_an_outcome_is_durable_in_time),
	    ROW(test_2_outcomes_wait_for_somebody_elses_sync),
	    ROW(test_deferred_mail_is_the_same_after_a_restart),
	    ROW(test_finished_mail_does_not_come_back),
	    ROW(test_4_5_segments_go_and_what_lives_stays),
	    ROW(test_content_is_read_again_after_it_was_moved),
	    ROW(test_a_replaced_worker_is_heard_before_mail_goes_out_again),
	    ROW(test_a_large_message_lies_in_its_file),
	    ROW(test_a_file_without_a_record_is_removed),
	    ROW(test_killed_at_each_step_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
