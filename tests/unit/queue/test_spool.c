/*
 * The spool's invariants (architecture, The spool), with a disk that fails where the test says.
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
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "queue/log/disk.h"
#include "queue/log/segment.h"
#include "tests/unit/queue/world.h"

/* ---- the disk ---- */

static struct disk real;
static atomic_int writes, syncs, fail_write, fail_sync, fail_errno; /* fail_*: the n-th from now; 0: none */
static atomic_bool hold_sync, watch_lost;

/* What was written since the last sync: lost when that fails, as kernels do. */
static struct lost {
	int fd;
	off_t offset;
	size_t len;
	char before[8192];
} unsynced[64];
static size_t unsynced_count;

static bool
hits(atomic_int *countdown)
{
	int n = atomic_load(countdown);

	return n > 0 && atomic_fetch_sub(countdown, 1) == 1;
}

static ssize_t
fake_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	writes++;
	if (hits(&fail_write)) {
		errno = fail_errno;
		return -1;
	}
	len = len > 4096 ? len / 2 : len; /* short writes are usual here */
	if (watch_lost && unsynced_count < 64 && len <= sizeof(unsynced[0].before)) {
		struct lost *l = &unsynced[unsynced_count++];

		l->fd = fd;
		l->offset = offset;
		l->len = len;
		(void)!real.pread(fd, l->before, len, offset);
	}
	return real.pwrite(fd, bytes, len, offset);
}

static int
fake_fdatasync(int fd)
{
	while (hold_sync)
		usleep(1000);
	if (hits(&fail_sync)) {
		while (unsynced_count > 0) {
			const struct lost *l = &unsynced[--unsynced_count];

			(void)!real.pwrite(l->fd, l->before, l->len, l->offset);
		}
		errno = fail_errno;
		return -1;
	}
	unsynced_count = 0;
	syncs++;
	return real.fdatasync(fd);
}

static int
set_up(void **state)
{
	(void)state;
	real = disk;
	disk.pwrite = fake_pwrite;
	disk.fdatasync = fake_fdatasync;
	fail_write = fail_sync = 0;
	hold_sync = watch_lost = world_without_delivery = false;
	unsynced_count = 0;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	disk = real;
	return 0;
}

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

static struct message *
only_message(struct world *w)
{
	size_t count;
	uint64_t *ids = message_ids(&w->queue.live, &count);
	struct message *m = count == 1 ? message_find(&w->queue.live, ids[0]) : NULL;

	free(ids);
	return m;
}

static size_t found_count;
static uint64_t found_ids[64];

static bool
count_row(const struct index_row *row, void *context)
{
	struct world *w = context;
	struct message *m = message_find(&w->queue.live, row->id);

	if (!m || !m->removed)
		found_ids[found_count++ % 64] = row->id;
	return true;
}

/* Messages that are in the queue, in memory or index. Only while the indexer rests. */
static size_t
in_queue(struct world *w)
{
	struct error err;
	size_t count;
	uint64_t *ids;

	WORLD_UNTIL(w, !w->queue.storing && w->queue.indexer.pending == 0);
	found_count = 0;
	assert_int_equal(index_each(w->queue.index, 0, count_row, w, &err), 0);
	ids = message_ids(&w->queue.live, &count);
	for (size_t i = 0; i < count; i++) {
		struct message *m = message_find(&w->queue.live, ids[i]);

		if (!m->indexed && !m->removed)
			found_ids[found_count++ % 64] = m->id;
	}
	free(ids);
	return found_count;
}

/* ---- 1: a 250 follows the sync that covers its record ---- */

static void
test_1_no_answer_before_the_sync(void **state)
{
	struct world *w = world_open(NULL, "");

	(void)state;
	hold_sync = true;
	world_send(w, 0, "s@here.test", 1, 100, 0);
	for (int i = 0; i < 10; i++)
		world_turn(w, 20);
	assert_false(w->answered);
	assert_int_equal(w->jobs, 0);
	hold_sync = false;
	assert_true(WORLD_UNTIL(w, w->answered));
	assert_int_equal(w->submit_status, SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->delivered == 1));
	finish(&w);
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
	hold_sync = true;
	world_send(w, 0, "s@here.test", 1, 100, 0);
	for (int i = 0; i < 5; i++)
		world_turn(w, 20);
	for (int i = 0; i < 50; i++)
		world_send(w, 0, "s@here.test", 1, 4000, 0);
	for (int i = 0; i < 5; i++)
		world_turn(w, 20);
	before = syncs;
	hold_sync = false;
	assert_true(WORLD_UNTIL(w, answers == 51));
	assert_true(syncs - before <= 4);
	finish(&w);
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
	m = only_message(w);
	assert_non_null(m);
	assert_true(WORLD_UNTIL(w, m->recipients[0]->p.attempt == 1));
	begin = clock_mono_us();
	assert_true(WORLD_UNTIL(w, m->busy == 0 && !m->unrecorded));
	assert_true(clock_mono_us() - begin < 300 * US_PER_MS);
	finish(&w);
}

static void
test_2_outcomes_wait_for_somebody_elses_sync(void **state)
{
	struct world *w = world_open(NULL, "spool_outcome_delay = 10s\n");
	int before = syncs;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
		assert_true(WORLD_UNTIL(w, w->delivered == i + 1));
	}
	assert_in_range(syncs - before, 20, 24);
	finish(&w);
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
		reopen(&w, "minimal_backoff_time = 100s\n");
		assert_int_equal(in_queue(w), 1);
		m = only_message(w);
		if (m) {
			assert_int_equal(m->recipients[1]->p.attempt, 1);
			assert_true(span_is(m->recipients[1]->p.text, "mailbox busy"));
		}
		for (int i = 0; i < 10; i++)
			world_turn(w, 20);
		assert_int_equal(w->jobs, 0); /* not due */
	}
	finish(&w);
}

static void
test_finished_mail_does_not_come_back(void **state)
{
	struct world *w = world_open(NULL, "");

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 3000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->delivered == 20));
	reopen(&w, "");
	assert_int_equal(in_queue(w), 0);
	finish(&w);
}

static void
remove_index(const char *dir)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/index", dir);
	world_remove(path);
}

static void
test_a_lost_index_is_rebuilt_with_outcomes_known(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	char dir[64];

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	for (int i = 0; i < 10; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	w->outcome = OUTCOME_DELIVERED;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	assert_true(WORLD_UNTIL(w, w->jobs == 10));
	world_close(&w);
	remove_index(dir);
	w = world_open(dir, "minimal_backoff_time = 100s\n");
	assert_int_equal(in_queue(w), 10);
	for (int i = 0; i < 10; i++)
		world_turn(w, 20);
	assert_int_equal(w->jobs, 0); /* nothing is tried before its time because the index was lost */
	finish(&w);
}

static void
corrupt_files(const char *dir, const char *below, size_t every)
{
	char path[400];
	DIR *d;
	struct dirent *e;

	snprintf(path, sizeof(path), "%s/%s", dir, below);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char byte;
		struct stat st;
		int fd = openat(dirfd(d), e->d_name, O_RDWR);

		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
			for (off_t at = 100; at < st.st_size; at += (off_t)every)
				if (pread(fd, &byte, 1, at) == 1) {
					byte = (char)~byte;
					(void)!pwrite(fd, &byte, 1, at);
				}
		close(fd);
	}
	if (d)
		closedir(d);
}

static void
test_a_damaged_index_is_rebuilt(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	char dir[64];

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	for (int i = 0; i < 5; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->jobs == 5));
	snprintf(dir, sizeof(dir), "%s", w->dir);
	world_close(&w);
	corrupt_files(dir, "index", 300);
	w = world_open(dir, "minimal_backoff_time = 100s\n");
	assert_int_equal(in_queue(w), 5);
	finish(&w);
}

/* ---- the tail, and damage ---- */

static off_t
last_octet(const char *path)
{
	int fd = open(path, O_RDONLY);
	char byte = 0;
	off_t at = lseek(fd, 0, SEEK_END);

	while (at > 0 && pread(fd, &byte, 1, at - 1) == 1 && byte == 0)
		at--;
	close(fd);
	return at;
}

static void
test_a_torn_tail_takes_nothing_else_along(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	char dir[64], path[128];
	off_t whole, end;
	int fd;

	(void)state;
	w->no_delivery = world_without_delivery = true;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	snprintf(dir, sizeof(dir), "%s", w->dir);
	snprintf(path, sizeof(path), "%s/segments/000000", dir);
	whole = last_octet(path);
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	end = last_octet(path);
	assert_true(end > whole + 100);
	world_close(&w);
	/* The disk as a power cut may leave it, were the second record never synced. From the back, octet by octet. */
	for (off_t at = end; at > whole; at--) {
		struct segment s;
		struct error err;

		fd = open(path, O_WRONLY);
		assert_int_equal(pwrite(fd, "", 1, at - 1), 1);
		close(fd);
		if ((end - at) % 37 != 0 && at != whole + 1)
			continue;
		fd = open(dir, O_RDONLY);
		assert_int_equal(segment_open(open("segments", O_RDONLY), 0, &s, &err), 1);
		close(s.fd);
		close(fd);
		remove_index(dir);
		w = world_open(dir, "minimal_backoff_time = 100s\n");
		assert_in_range(in_queue(w), 1, 2);
		world_close(&w);
	}
	w = world_open(dir, "");
	assert_int_equal(in_queue(w), 1);
	finish(&w);
}

static void
test_a_damaged_message_is_set_aside_alone(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	char dir[64], path[128], byte;
	off_t middle = 0;
	unsigned damaged = 0;
	struct dirent *e;
	DIR *d;
	int fd;

	(void)state;
	w->no_delivery = world_without_delivery = true;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	snprintf(path, sizeof(path), "%s/segments/000000", dir);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 1000), SUBMIT_OK);
		if (i == 1)
			middle = last_octet(path) - 500; /* in its content */
	}
	world_close(&w);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, middle), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, middle), 1);
	close(fd);
	remove_index(dir);
	w = world_open(dir, "minimal_backoff_time = 100s\n");
	assert_int_equal(in_queue(w), 2);
	d = opendir("damaged");
	while ((e = readdir(d)))
		damaged += strncmp(e->d_name, "record-", 7) == 0;
	closedir(d);
	assert_int_equal(damaged, 1);
	finish(&w);
}

/* ---- 7: a failed write or sync ---- */

static void
test_7_a_failed_sync_refuses_and_goes_on_elsewhere(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");

	(void)state;
	w->no_delivery = world_without_delivery = true;
	fail_errno = EIO;
	fail_sync = 1;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_NO_SPACE);
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	assert_int_equal(in_queue(w), 1);
	/* What was refused does not come back, although its octets may be on the disk. */
	reopen(&w, "minimal_backoff_time = 100s\n");
	assert_int_equal(in_queue(w), 1);
	finish(&w);
}

static void
test_7_outcomes_are_appended_anew(void **state)
{
	struct world *w = world_open(NULL, "spool_outcome_delay = 100ms\n");

	(void)state;
	w->keep_jobs = true;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->jobs == 1 && w->queue.helper.pending == 0));
	fail_errno = EIO;
	watch_lost = true;
	fail_sync = 1; /* the sync of the removal */
	world_answer_job(w);
	assert_true(WORLD_UNTIL(w, w->delivered == 1));
	assert_true(WORLD_UNTIL(w, fail_sync == 0));
	watch_lost = false;
	assert_true(WORLD_UNTIL(w, w->queue.live.count == 0));
	reopen(&w, "");
	assert_int_equal(in_queue(w), 0);
	finish(&w);
}

static void
test_7_every_failing_call_of_a_message(void **state)
{
	static const int numbers[] = {EIO, ENOSPC};

	(void)state;
	for (size_t e = 0; e < 2; e++)
		for (int n = 1; n <= 8; n++)
			for (int which = 0; which < 2; which++) {
				struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
				unsigned accepted = 0;

				w->no_delivery = world_without_delivery = true;
				fail_errno = numbers[e];
				*(which ? &fail_sync : &fail_write) = n;
				for (int i = 0; i < 4 && WORLD_UNTIL(w, !space_refuses(&w->queue)); i++)
					accepted += world_submit(w, 0, "s@here.test", 1, 6000) == SUBMIT_OK;
				fail_write = fail_sync = 0;
				assert_true(accepted >= 3);
				assert_int_equal(in_queue(w), accepted);
				reopen(&w, "minimal_backoff_time = 100s\n");
				assert_int_equal(in_queue(w), accepted);
				finish(&w);
			}
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
	assert_int_equal(in_queue(w), 3);
	for (int round = 0; round < 2; round++) {
		reopen(&w, "spool_segment_size = 256k\nminimal_backoff_time = 1000s\n");
		assert_int_equal(in_queue(w), 3);
		for (int i = 0; i < 3; i++)
			assert_true(
			    found_ids[i] == kept[0] || found_ids[i] == kept[1] || found_ids[i] == kept[2]);
	}
	finish(&w);
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
	finish(&w);
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
	reopen(&w, "minimal_backoff_time = 1s\n");
	assert_true(WORLD_UNTIL(w, w->delivered == 1));
	assert_int_equal(w->content_octets, 180000 + strlen("Received: by here\r\n"));
	assert_true(WORLD_UNTIL(w, w->queue.live.count == 0 && w->queue.helper.pending == 0));
	assert_int_equal(rmdir("messages"), 0); /* its file went with it */
	finish(&w);
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
	reopen(&w, "");
	assert_true(WORLD_UNTIL(w, access("messages/660D5F2F250DA000", F_OK) < 0));
	finish(&w);
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
	if (strcmp(name, kill_step) == 0 && hits(&kill_count))
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
		world_submit(w, 0, "s@here.test", 1, i % 20 == 5 ? 150000 : 20000);
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
	static const char *const steps[] = {"commit-before-write", "commit-before-sync", "commit-after-sync",
	    "file-synced", "free-before-erase", "free-after-erase"};
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
			left = in_queue(w);
			/* Acknowledged is delivered or still here; beyond that only what was in flight: two messages at most. */
			assert_true(left + shared->delivered + 1 >= shared->acknowledged);
			assert_true(left + shared->delivered <= shared->acknowledged + 3);
			finish(&w);
		}
	assert_true(kills > 15);
	munmap(shared, sizeof(*shared));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

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
	    ROW(test_a_lost_index_is_rebuilt_with_outcomes_known),
	    ROW(test_a_damaged_index_is_rebuilt),
	    ROW(test_a_torn_tail_takes_nothing_else_along),
	    ROW(test_a_damaged_message_is_set_aside_alone),
	    ROW(test_7_a_failed_sync_refuses_and_goes_on_elsewhere),
	    ROW(test_7_outcomes_are_appended_anew),
	    ROW(test_7_every_failing_call_of_a_message),
	    ROW(test_4_5_segments_go_and_what_lives_stays),
	    ROW(test_content_is_read_again_after_it_was_moved),
	    ROW(test_a_large_message_lies_in_its_file),
	    ROW(test_a_file_without_a_record_is_removed),
	    ROW(test_killed_at_each_step_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
