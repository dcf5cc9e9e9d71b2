/*
 * queue: owns the mail that was accepted: log, index, scheduler, retries, expiry; answers the admin tools.
 *
 * Runs as   postern-queue, root directory is the spool, no network.
 * Talks to  smtpd, pickup (submissions, notifications); delivery, local (jobs); lookup (routes); tools on a socket.
 * Reads     submissions, outcomes, its own files after a crash. It parses no header and no body.
 * If taken  an attacker can read, change and lose all mail in the queue. No network, homes or keys are in reach.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "queue/control.h"
#include "queue/disk.h"
#include "queue/hop.h"
#include "queue/spool_clock.h"

const struct log queue_log = {"qmgr", NULL};

static struct queue the_queue;

static const struct ipc_permit permits[] = {
    {IPC_SUBMIT_OPEN, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_open},
    {IPC_SUBMIT_RCPT, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_rcpt},
    {IPC_SUBMIT_DATA, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_data},
    {IPC_SUBMIT_CLOSE, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_close},
    {IPC_SUBMIT_ABORT, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_abort},
    {IPC_FLUSH_ASK, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), control_flush_ask},
    {IPC_LOOKUP_CHANGED, ROLE_BIT(ROLE_LOOKUP), route_changed},
};

static const struct sandbox_path paths[] = {
    {"$queue_directory/spool", "rwc"},
    {NULL, NULL},
};

static int
make_dir(const char *path, struct error *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, "creating %s", path);
	return 0;
}

/* Paths below are relative to the spool, whether it becomes the root directory or not. */
static int
open_spool(struct server *s, struct error *err)
{
	struct queue *q = &the_queue;
	const char *top = server_conf(s)->values->queue_directory;

	memset(q, 0, sizeof(*q));
	q->server = s;
	q->base = server_base(s);
	q->conf = server_conf(s)->values;
	server_set_data(s, q);
	control_read_users(q);
	if (chdir(top) < 0)
		return error_errno(err, "entering %s", top);
	if (make_dir("spool", err) < 0)
		return -1;
	if (chdir("spool") < 0)
		return error_errno(err, "entering %s/spool", top);
	return 0;
}

static void
on_worker(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	worker_finish(context);
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
	content_trim(q);
}

static int
start_threads(struct queue *q, uint64_t number, uint64_t first, struct error *err)
{
	struct timeval second = {.tv_sec = 1};

	if (journal_start(q, number, first, err) < 0 || worker_start(&q->indexer, err) < 0 ||
	    worker_start(&q->helper, err) < 0)
		return -1;
	q->indexer_event =
	    event_new(q->base, q->indexer.out.event_fd, EV_READ | EV_PERSIST, on_worker, &q->indexer);
	q->helper_event =
	    event_new(q->base, q->helper.out.event_fd, EV_READ | EV_PERSIST, on_worker, &q->helper);
	q->tick_event = event_new(q->base, -1, EV_PERSIST, on_tick, q);
	event_add(q->indexer_event, NULL);
	event_add(q->helper_event, NULL);
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

/* What start promises: a commit to the spool succeeds. A full disk does not keep the tools out. */
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
	space_want_spare(q);
	while (!test.done)
		event_base_loop(q->base, EVLOOP_ONCE);
	buf_free(&b);
	free(w);
	if (test.status == LOG_DURABLE)
		return 0;
	if (test.status == LOG_NO_SPACE) {
		log_warning(&queue_log, "the spool is full: no mail is accepted");
		return 0;
	}
	return error_set(err, "a commit to the spool failed");
}

static int
start(struct server *s, struct error *err)
{
	struct queue *q = queue_of(s);
	uint64_t number, first;

	if (make_dir("segments", err) < 0 || make_dir("messages", err) < 0 || make_dir("index", err) < 0)
		return -1;
	q->segments_dir = open("segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	q->files_dir = open("messages", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (q->segments_dir < 0 || q->files_dir < 0)
		return error_errno(err, "opening the spool");
	q->segment_size = segment_size_for(q->segments_dir);
	if ((uint64_t)q->conf->spool_segment_size < q->segment_size)
		q->segment_size = (uint64_t)q->conf->spool_segment_size / SEGMENT_PAGE * SEGMENT_PAGE;
	message_set_init(&q->live);
	TAILQ_INIT(&q->unreflected);
	TAILQ_INIT(&q->unrecorded);
	TAILQ_INIT(&q->contents);
	q->giver.giver = QUEUE_ID_GIVER_QUEUE;
	if (!q->conf->queue_sync)
		log_warning(&queue_log, "queue_sync = no: a power cut loses mail that was accepted");
	if (scheduler_init(q, err) < 0 || replay_run(q, &number, &first, err) < 0)
		return -1;
	queue_id_raise_floor(&q->giver, q->id_high);
	if (start_threads(q, number, first, err) < 0 || commit_once(q, err) < 0)
		return -1;
	return control_start(q, err);
}

static void
peer_up(struct server *s, struct ipc_channel *peer)
{
	struct queue *q = queue_of(s);
	enum role role = ipc_peer_role(peer);
	struct msg_id_floor floor = {.id = q->id_high};

	if (role == ROLE_SMTPD || role == ROLE_PICKUP) {
		ipc_send(peer, IPC_ID_FLOOR, 0, &floor);
		space_tell_peer(q, peer);
	}
	/* What waited for a worker need not wait out its pause. */
	if (role == ROLE_DELIVERY || role == ROLE_LOCAL)
		scheduler_worker_up(q);
}

static void
peer_down(struct server *s, struct ipc_channel *peer)
{
	submission_peer_down(queue_of(s), peer);
	walk_channel_gone(peer);
}

static void
configured(struct server *s)
{
	queue_of(s)->conf = server_conf(s)->values;
}

static void
listeners_changed(struct server *s)
{
	control_listen(queue_of(s));
}

static void
stopping(struct server *s)
{
	struct queue *q = queue_of(s);

	journal_kick(q);
}

static bool
idle(struct server *s)
{
	struct queue *q = queue_of(s);

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

int
main(int argc, char **argv)
{
	static const struct server_program program = {
	    .role = ROLE_QUEUE,
	    .ident = "qmgr",
	    .sandbox =
		{
		    .user = "queue",
		    .root = SANDBOX_ROOT_PATH,
		    .root_path = "$queue_directory/spool",
		    .needs = SANDBOX_ACCEPT | SANDBOX_FILES | SANDBOX_FILES_WRITE | SANDBOX_THREADS,
		    .paths = paths,
		    .max_files = 65536,
		},
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(permits[0]),
	    .credit = 4096,
	    .open = open_spool,
	    .start = start,
	    .configured = configured,
	    .peer_up = peer_up,
	    .peer_down = peer_down,
	    .listeners_changed = listeners_changed,
	    .stopping = stopping,
	    .idle = idle,
	};

	return server_main(argc, argv, &program);
}
