/*
 * spool: from closed files to a queue that works, and back to rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/index/tidy.h"
#include "queue/log/damage.h"
#include "queue/log/disk.h"
#include "queue/log/replay.h"
#include "queue/log/strays.h"
#include "queue/scheduler/hop.h"
#include "queue/submission.h"

enum { ALONE_SEGMENT = 2 << 20 };

const struct log queue_log = {"qmgr", NULL};

static int
make_dir(const char *path, struct error *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, "creating %s", path);
	return 0;
}

/* A link to a folder elsewhere is one. What else lies in its place is not worth mail that nobody can list. */
static int
make_index_dir(struct error *err)
{
	struct stat st;
	int moved = -1;

	if (stat("index", &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	if (lstat("index", &st) == 0)
		moved = S_ISREG(st.st_mode) ? renameat(AT_FDCWD, "index", AT_FDCWD, "damaged/index")
					    : unlinkat(AT_FDCWD, "index", 0);
	if (moved == 0)
		log_error(&queue_log, "spool/index was no folder: it is %s",
		    S_ISREG(st.st_mode) ? "set aside in damaged" : "removed");
	return make_dir("index", err);
}

static void
on_worker(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	worker_finish(context);
}

/* What "postern status" shows of queue. */
static void
tell_master(struct queue *q)
{
	const char *note = recovery_note(q);
	struct buf b;

	buf_init(&b, 1000);
	trouble_print(q, &b);
	if (note[0] != '\0')
		buf_printf(&b, "%s%s", b.len ? "; " : "", note);
	if (q->damages > 0)
		buf_printf(&b, "%s%u damaged things are set aside in %s/spool/damaged", b.len ? "; " : "",
		    q->damages, q->conf->queue_directory);
	if (q->deleted > 0)
		buf_printf(&b,
		    "%s%u segments of the log were deleted by somebody: what was in them is moved to others",
		    b.len ? "; " : "", q->deleted);
	if (q->gone > 0)
		buf_printf(&b,
		    "%s%u messages lost their content with a segment of the log that is gone: they are "
		    "deferred",
		    b.len ? "; " : "", q->gone);
	if (!q->notice || strcmp(q->notice, buf_text(&b)) != 0) {
		free(q->notice);
		q->notice = mem_strdup(buf_text(&b));
		server_notice(
		    q->server, q->notice, trouble_is(q, TROUBLE_SPACE) || trouble_is(q, TROUBLE_LOG));
	}
	buf_free(&b);
}

static void
on_tick(evutil_socket_t fd, short what, void *context)
{
	struct queue *q = context;

	(void)fd;
	(void)what;
	young_tick(q);
	scheduler_tick(q);
	space_check(q);
	file_trouble_check(q);
	submission_give_up(q);
	submission_id_tick(q);
	content_trim(q);
	tidy_tick(q);
	tell_master(q);
}

static int
start_threads(struct queue *q, uint64_t number, uint64_t first, struct error *err)
{
	struct timeval second = {.tv_sec = 1};

	if (journal_start(q, number, first, err) < 0 || worker_start(&q->indexer, err) < 0 ||
	    worker_start(&q->helper, err) < 0 || worker_start(&q->reader, err) < 0)
		return -1;
	q->indexer_event =
	    event_new(q->base, q->indexer.out.event_fd, EV_READ | EV_PERSIST, on_worker, &q->indexer);
	q->helper_event =
	    event_new(q->base, q->helper.out.event_fd, EV_READ | EV_PERSIST, on_worker, &q->helper);
	q->reader_event =
	    event_new(q->base, q->reader.out.event_fd, EV_READ | EV_PERSIST, on_worker, &q->reader);
	q->tick_event = event_new(q->base, -1, EV_PERSIST, on_tick, q);
	event_add(q->indexer_event, NULL);
	event_add(q->helper_event, NULL);
	event_add(q->reader_event, NULL);
	event_add(q->tick_event, &second);
	return 0;
}

struct test_commit {
	bool done;
	enum log_status status;
};

static void
on_test_commit(struct log_work *w)
{
	struct test_commit *t = w->context;

	t->done = true;
	t->status = w->status;
}

/* What start promises: a commit to the spool succeeds. A full disk does not keep the tools out: start tells of it, also
 * where there is room for this commit in what was there and for no more. */
static int
commit_once(struct queue *q, struct error *err)
{
	struct part_removal removal = {.why = REMOVAL_EMPTY};
	struct test_commit test = {.done = false};
	struct log_work *w;
	struct buf b;

	buf_init(&b, 256);
	if (record_begin(&b, RECORD_REMOVAL, 0) < 0 || part_encode_removal(&b, &removal) < 0 ||
	    record_end(&b, 0) < 0)
		panic("a removal cannot be encoded");
	w = journal_put(q, RECORD_REMOVAL, 0, (uint8_t *)b.mem, b.len, false, on_test_commit, &test);
	space_check(q);
	while (!test.done || q->spare_begins)
		event_base_loop(q->base, EVLOOP_ONCE);
	buf_free(&b);
	free(w);
	if (test.status == LOG_DURABLE)
		return 0;
	if (test.status == LOG_NO_SPACE)
		return 0; /* it was said why */
	return error_set(err, "a commit to the spool failed");
}

/* The index's cache, and its own log: small ones where the disk is small. */
static size_t
cache_octets(const struct queue *q)
{
	return q->segment_size < 16 << 20 ? 1 << 20 : 64 << 20;
}

static size_t
log_octets(const struct queue *q)
{
	return q->segment_size < 16 << 20 ? 256 << 10 : 4 << 20;
}

/* What is below the spool is there after a power cut only if the spool's own names are. */
static int
sync_spool(struct error *err)
{
	int fd = disk.openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	int status = fd < 0 ? -1 : disk.fsync(fd);

	if (status < 0)
		error_errno(err, "syncing the spool's directory");
	if (fd >= 0)
		disk.close(fd);
	return status;
}

/* Master's lock is the queue_directory's: its spool may be a link or a mount that another instance has, too. */
static int
lock_spool(struct queue *q, struct error *err)
{
	if (flock(q->segments_dir, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	return error_set(err, "the spool is in use by the queue of another instance");
}

int
spool_start(struct queue *q, struct error *err)
{
	uint64_t number, first;

	if (make_dir("segments", err) < 0 || make_dir("messages", err) < 0)
		return -1;
	/* Not worth a start, on a disk that cannot be written to. */
	if (mkdir("damaged", 0700) < 0 && errno != EEXIST)
		log_warning(&queue_log, "creating damaged: %s", strerror(errno));
	if (make_index_dir(err) < 0)
		return -1;
	if (sync_spool(err) < 0)
		log_warning(&queue_log, "%s", err->text);
	q->segments_dir = open("segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	q->files_dir = open("messages", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	q->damaged_dir = open("damaged", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (q->segments_dir < 0 || q->files_dir < 0)
		return error_errno(err, "opening the spool");
	if (lock_spool(q, err) < 0)
		return -1;
	q->segment_size = segment_size_for(q->segments_dir);
	if ((uint64_t)q->conf->spool_segment_size < q->segment_size)
		q->segment_size = (uint64_t)q->conf->spool_segment_size / SEGMENT_PAGE * SEGMENT_PAGE;
	message_set_init(&q->live);
	TAILQ_INIT(&q->unreflected);
	TAILQ_INIT(&q->unrecorded);
	TAILQ_INIT(&q->contents);
	q->spare_wanted = true;
	q->giver.giver = QUEUE_ID_GIVER_QUEUE;
	if (!q->conf->queue_sync)
		log_warning(&queue_log, "queue_sync = no: a power cut loses mail that was accepted");
	if (scheduler_init(q, err) < 0 || replay_open(q, &number, &first, err) < 0)
		return -1;
	q->damages = damage_count(q->damaged_dir);
	q->index = index_new("index", cache_octets(q), log_octets(q));
	/* Each command that changes something takes one, and gives none back. */
	if (q->alone && !q->alone_long && q->segment_size > ALONE_SEGMENT)
		q->segment_size = ALONE_SEGMENT;
	queue_id_raise_floor(&q->giver, q->id_high);
	q->id_high_at_start = q->id_high;
	if (start_threads(q, number, first, err) < 0)
		return -1;
	recovery_start(q, first);
	/* Nobody is promised anything; where nothing can be written it can still be read. */
	if (q->alone)
		space_check(q);
	else if (commit_once(q, err) < 0)
		return -1;
	tell_master(q);
	return 0;
}

bool
spool_is_idle(struct queue *q)
{
	if (q->active_jobs > 0)
		return false;
	if (!TAILQ_EMPTY(&q->unrecorded) || q->pending.head) {
		journal_kick(q);
		return false;
	}
	for (size_t i = 0; i < q->live.slot_count; i++)
		for (struct message *m = q->live.slots[i]; m; m = m->hash_next)
			if (m->busy > 0 || m->indexing)
				return false;
	return q->submissions == 0 && !q->storing;
}

static void
free_event(struct event **e)
{
	if (*e)
		event_free(*e);
	*e = NULL;
}

void
spool_stop(struct queue *q)
{
	log_writer_stop(&q->writer);
	worker_stop(&q->indexer);
	worker_stop(&q->helper);
	worker_stop(&q->reader);
	recovery_free(q);
	strays_stop(q);
	free_event(&q->writer_event);
	free_event(&q->kick_event);
	free_event(&q->indexer_event);
	free_event(&q->helper_event);
	free_event(&q->reader_event);
	free_event(&q->tick_event);
	scheduler_fini(q);
	index_close(&q->index);
	submission_fate_stop();
	notify_stop(q);
	notify_session_stop(q);
	message_set_fini(&q->live);
	for (size_t i = 0; i < q->segment_count; i++)
		close(q->segments[i].s.fd);
	for (size_t i = 0; i < q->free_slot_count; i++)
		close(q->free_slots[i].fd);
	if (q->writer.spare.fd >= 0)
		close(q->writer.spare.fd);
	if (q->writer.reserve.fd >= 0)
		close(q->writer.reserve.fd);
	close(q->segments_dir);
	close(q->files_dir);
	if (q->damaged_dir >= 0)
		close(q->damaged_dir);
	free(q->segments);
	free(q->notice);
	free(q->to_index);
}
