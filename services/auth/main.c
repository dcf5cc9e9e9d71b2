/*
 * auth: asks PAM about passwords (smtpd_sasl_type = pam).
 *
 * Runs as   root, in /, for pam_unix refuses to tell others; only the capabilities that modules of PAM need, no_new_privs, and
 *           a seccomp filter that its children inherit: no network but UNIX sockets.
 * Talks to  smtpd (answers).
 * Reads     names and passwords that strangers sent, and hands them on as they are. All that looks at them, PAM and its
 *           modules, is in a child of its own for each question (check.h), a fresh process with a time limit.
 * If taken  passwords that are tried from then on, and the files of root. No network, and no queue's or key's connection.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/conf/back_end.h"
#include "common/server/server.h"
#include "services/auth/check.h"
#include "services/auth/checks.h"

enum { CREDIT = 1000 };

struct auth {
	int program;
	struct checks *checks;
};

static const struct conf_values *
values_of(const struct conf *conf, struct span section)
{
	const struct conf_section *found = conf_section_find(conf, section);

	return found ? found->values : conf->values;
}

static int
handle_password_ask(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct auth *a = server_data(context);

	(void)err;
	checks_ask(a->checks, conf_pam_service(values_of(server_conf(context), frame->password_ask.section)),
	    channel, frame);
	return 0;
}

/* The file is open before the sandbox closes: what is executed is this program, whatever is at its place later. */
static int
on_open(struct server *s, struct error *err)
{
	struct auth *a = mem_alloc(sizeof(*a));

	a->program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (a->program < 0)
		return error_errno(err, "/proc/self/exe");
	server_set_data(s, a);
	return 0;
}

static int
on_start(struct server *s, struct error *err)
{
	struct auth *a = server_data(s);

	(void)err;
	a->checks = checks_new(server_base(s), a->program);
	return 0;
}

static void
on_peer_down(struct server *s, struct ipc_channel *peer)
{
	struct auth *a = server_data(s);

	if (a->checks)
		checks_peer_gone(a->checks, peer);
}

static bool
is_idle(struct server *s)
{
	struct auth *a = server_data(s);

	return checks_idle(a->checks);
}

static const struct ipc_permit permits[] = {
    {IPC_PASSWORD_ASK, ROLE_BIT(ROLE_SMTPD), handle_password_ask},
};

static const struct server_program program = {
    .role = ROLE_AUTH,
    .ident = "auth",
    .sandbox = {.root = SANDBOX_ROOT_NONE, .needs = SANDBOX_PAM},
    .permits = permits,
    .permit_count = sizeof(permits) / sizeof(permits[0]),
    .credit = CREDIT,
    .open = on_open,
    .start = on_start,
    .peer_down = on_peer_down,
    .idle = is_idle,
};

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--check") == 0)
		return check_main();
	return server_main(argc, argv, &program);
}
