/*
 * local: delivers to mailboxes, commands and files of this host: transports local, virtual and pipe.
 *
 * Runs as   root with the rights to become a user and to hand a mailbox over, nothing else. Each mailbox is written by
 *           a process of its own (this program, executed anew) as its owner, confined to the mailbox's directory; lists
 *           are read and commands are run by another one for each user, which is not confined.
 * Talks to  queue (jobs), lookup (aliases, routes), its processes.
 * Reads     as root: envelopes and the answers of lookup, never a message's content or a user's file.
 * If taken  the root part: all that users may do. A process of a user: what that user may do (a mailbox's: the mailbox).
 */
#include <string.h>

#include "common/base/mem.h"
#include "common/mail/remembered.h"
#include "delivery/local/helper.h"
#include "delivery/local/local.h"
#include "delivery/local/writer.h"

static int
handle_lookup_changed(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct local *l = server_data(context);

	(void)channel;
	(void)err;
	l->generation = frame->lookup_changed.generation;
	return 0;
}

static int
start(struct server *s, struct error *err)
{
	struct local *l = mem_alloc(sizeof(*l));

	l->server = s;
	TAILQ_INIT(&l->jobs);
	l->remembered = remembered_new();
	target_finder_init(&l->finder);
	l->pool = pool_new(server_base(s), l->finder.privileged, err);
	if (!l->pool)
		return -1;
	server_set_data(s, l);
	return 0;
}

static void
peer_down(struct server *s, struct ipc_channel *peer)
{
	if (ipc_peer_role(peer) == ROLE_QUEUE)
		jobs_peer_down(server_data(s), peer);
}

static bool
idle(struct server *s)
{
	const struct local *l = server_data(s);

	return l->job_count == 0;
}

static const struct ipc_permit permits[] = {
    {IPC_JOB_OPEN, ROLE_BIT(ROLE_QUEUE), handle_job_open},
    {IPC_JOB_RCPT, ROLE_BIT(ROLE_QUEUE), handle_job_rcpt},
    {IPC_JOB_DATA, ROLE_BIT(ROLE_QUEUE), handle_job_data},
    {IPC_JOB_FILE, ROLE_BIT(ROLE_QUEUE), handle_job_file},
    {IPC_JOB_GO, ROLE_BIT(ROLE_QUEUE), handle_job_go},
    {IPC_JOB_WHERE, ROLE_BIT(ROLE_QUEUE), handle_job_where},
    {IPC_LOOKUP_CHANGED, ROLE_BIT(ROLE_LOOKUP), handle_lookup_changed},
};

static const struct server_program program = {
    .role = ROLE_LOCAL,
    .ident = "local",
    .sandbox = {.root = SANDBOX_ROOT_NONE, .needs = SANDBOX_FORK_AS_USER},
    .permits = permits,
    .permit_count = sizeof(permits) / sizeof(permits[0]),
    .credit = LOCAL_CREDIT,
    .start = start,
    .peer_down = peer_down,
    .idle = idle,
};

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], WRITER_ARGUMENT) == 0)
		return writer_main();
	if ((argc == 2 || argc == 4) && strcmp(argv[1], HELPER_ARGUMENT) == 0)
		return helper_main(argc == 4 ? argv[2] : NULL, argc == 4 ? argv[3] : NULL);
	return server_main(argc, argv, &program);
}
