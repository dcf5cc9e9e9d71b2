/*
 * keys: holds the private keys of TLS, and signs with them.
 *
 * Runs as   postern-keys, empty chroot, no files, no network; its memory is locked and undumpable.
 * Talks to  smtpd and delivery (signatures; it tells them which certificates there are).
 * Reads     key and certificate files, which master opens for it; what smtpd and delivery want signed.
 * If taken  the private keys are lost. Nothing that comes from the network gets here but through smtpd and delivery.
 */
#include "common/server/server.h"

enum { CREDIT = 4096 };

static int
handle_sign(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_key_signed answer = {.status = KEY_UNKNOWN, .reason = SPAN_LIT("no such key")};

	(void)context;
	(void)err;
	ipc_send(channel, IPC_KEY_SIGNED, frame->call, &answer);
	return 0;
}

static void
peer_up(struct server *s, struct ipc_channel *peer)
{
	struct msg_identities_end end = {.generation = server_conf(s)->generation};

	if (ipc_peer_role(peer) == ROLE_SMTPD || ipc_peer_role(peer) == ROLE_DELIVERY)
		ipc_send(peer, IPC_IDENTITIES_END, 0, &end);
}

static const struct ipc_permit permits[] = {
    {IPC_KEY_SIGN, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_DELIVERY), handle_sign},
};

static const struct server_program program = {
    .role = ROLE_KEYS,
    .ident = "keys",
    .sandbox = {.user = "keys", .root = SANDBOX_ROOT_EMPTY},
    .permits = permits,
    .permit_count = sizeof(permits) / sizeof(permits[0]),
    .credit = CREDIT,
    .peer_up = peer_up,
};

int
main(int argc, char **argv)
{
	return server_main(argc, argv, &program);
}
