/*
 * queue: owns the mail that was accepted: log, index, scheduler, retries, expiry; answers the admin tools.
 *
 * Runs as   postern-queue, root directory is the spool, no network.
 * Talks to  smtpd, pickup (submissions, notifications); delivery, local (jobs); lookup (routes); tools on a socket.
 * Reads     submissions, outcomes, its own files after a crash. It parses no header and no body.
 * If taken  an attacker can read, change and lose all mail in the queue. No network, homes or keys are in reach.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mail/queue_id.h"
#include "queue/control/control.h"
#include "queue/scheduler/workers.h"

static struct queue the_queue;

/* Each submitter names ids of its own; of a report queue has given it. 0: none yet. */
static int
open_submission(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_submit_open *m = &frame->submit_open;
	uint32_t giver = m->about != 0                           ? QUEUE_ID_GIVER_QUEUE
			 : ipc_peer_role(channel) == ROLE_PICKUP ? QUEUE_ID_GIVER_PICKUP
								 : ipc_peer_index(channel);

	if (m->id != 0 && queue_id_giver(m->id) != giver)
		return error_set(err, "a message with an id that another process gives");
	return submission_open(channel, frame, context, err);
}

static const struct ipc_permit permits[] = {
    {IPC_SUBMIT_OPEN, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), open_submission},
    {IPC_SUBMIT_RCPT, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_rcpt},
    {IPC_SUBMIT_RESET, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_reset},
    {IPC_SUBMIT_DATA, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_data},
    {IPC_SUBMIT_CLOSE, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_close},
    {IPC_SUBMIT_ABORT, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_abort},
    {IPC_SUBMIT_ASK, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), submission_fate},
    {IPC_FLUSH_ASK, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP), control_flush_ask},
    {IPC_SESSION_ERRORS, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_DELIVERY), notify_session},
    {IPC_JOB_KEPT, ROLE_BIT(ROLE_DELIVERY), kept_told},
    {IPC_JOB_NO_MORE, ROLE_BIT(ROLE_DELIVERY), worker_leaves},
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
	for (size_t i = 0; i < server_listener_count(s); i++) {
		const char *address = server_listener_at(s, i)->address;

		q->alone_long = q->alone_long || strcmp(address, IPC_ALONE_LONG) == 0;
		q->alone = q->alone || q->alone_long || strcmp(address, IPC_ALONE) == 0;
	}
	control_read_users(q);
	if (chdir(top) < 0)
		return error_errno(err, "entering %s", top);
	/* Of a stopped instance nothing is made in place of what is not mounted. */
	if (!q->alone && make_dir("spool", err) < 0)
		return -1;
	if (chdir("spool") < 0)
		return error_errno(err, "entering %s/spool", top);
	return 0;
}

static int
start(struct server *s, struct error *err)
{
	struct queue *q = queue_of(s);

	return spool_start(q, err) < 0 ? -1 : control_start(q, err);
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
	if (role == ROLE_PICKUP)
		notify_pickup_up(q);
	if (role == ROLE_DELIVERY || role == ROLE_LOCAL)
		worker_came(q, peer);
}

static void
peer_down(struct server *s, struct ipc_channel *peer)
{
	submission_peer_down(queue_of(s), peer);
	submission_fate_peer_down(peer);
	walk_channel_gone(peer);
}

static void
configured(struct server *s)
{
	queue_of(s)->conf = server_conf(s)->values;
	scheduler_configured(queue_of(s));
	control_users_configured(queue_of(s));
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
	return spool_is_idle(queue_of(s));
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
