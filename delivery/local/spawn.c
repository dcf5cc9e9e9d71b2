#include "delivery/local/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "delivery/local/helper.h"
#include "delivery/local/writer.h"

enum { EXE_FD = WRITER_FD + 1, FREE_FD = 64, EXIT_FAILED = 75, IDS_MAX = 12 * (TARGET_GROUPS_MAX + 2) };

/*
 * Becomes the user for good: groups, then gid, then uid, then the check that there is no way back. Real, effective
 * and saved ids all change, and with the last uid 0 the capabilities go.
 */
static int
become(const struct target *t)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	if (t->uid == 0 || t->gid == 0)
		return -1;
	if (setgroups(t->group_count, t->groups) < 0 || setresgid(t->gid, t->gid, t->gid) < 0 ||
	    setresuid(t->uid, t->uid, t->uid) < 0)
		return -1;
	if (getresuid(&r, &e, &s) < 0 || getresgid(&gr, &ge, &gs) < 0 || r != t->uid || e != t->uid ||
	    s != t->uid || gr != t->gid || ge != t->gid || gs != t->gid)
		return -1;
	return setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 ? -1 : 0;
}

/* "uid gid group group ...", for a process that becomes that user itself. */
static int
ids_format(const struct target *t, char ids[IDS_MAX])
{
	int n = snprintf(ids, IDS_MAX, "%u %u", (unsigned)t->uid, (unsigned)t->gid);

	for (size_t i = 0; i < t->group_count && n > 0 && n < IDS_MAX; i++)
		n += snprintf(ids + n, (size_t)(IDS_MAX - n), " %u", (unsigned)t->groups[i]);
	return n > 0 && n < IDS_MAX ? 0 : -1;
}

static int
ids_parse(struct span ids, struct target *t)
{
	uint64_t numbers[TARGET_GROUPS_MAX + 2];
	struct span word;
	size_t n = 0;

	while (span_next_word(&ids, " ", &word))
		if (n == TARGET_GROUPS_MAX + 2 || number_parse(word, 1, UINT32_MAX - 1, &numbers[n++]) < 0)
			return -1;
	if (n < 2)
		return -1;
	t->uid = (uid_t)numbers[0];
	t->gid = (gid_t)numbers[1];
	for (size_t i = 2; i < n; i++)
		t->groups[t->group_count++] = (gid_t)numbers[i];
	return 0;
}

int
spawned_enter_root(const char *root, const char *ids)
{
	struct target t = {0};

	tzset(); /* the host's files are out of sight afterwards */
	return ids_parse(span_of(ids), &t) < 0 || chroot(root) < 0 || chdir("/") < 0 ? -1 : become(&t);
}

/*
 * After fork(): only what is safe there. Nothing but the connection and the program stays open. A program that is to
 * have another root directory must first be loaded, which takes this one: it is executed as root and changes both.
 */
static _Noreturn void
run(int exe_fd, int socket_fd, bool privileged, const struct target *t, char *root, char *ids)
{
	static char writer[] = WRITER_ARGUMENT, helper[] = HELPER_ARGUMENT, name[] = "local";
	char *const argv[] = {name, t->kind == MAILBOX_HELPER ? helper : writer, root, ids, NULL};
	static char path[] = "PATH=/usr/bin:/bin";
	char *const envp[] = {path, NULL};
	sigset_t none;
	int moved_exe = fcntl(exe_fd, F_DUPFD, FREE_FD), moved_socket = fcntl(socket_fd, F_DUPFD, FREE_FD);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	if (moved_exe < 0 || moved_socket < 0 || dup2(moved_socket, WRITER_FD) < 0 ||
	    dup3(moved_exe, EXE_FD, O_CLOEXEC) < 0 || close_range(EXE_FD + 1, ~0U, 0) < 0)
		_exit(EXIT_FAILED);
	umask(077);
	if (chdir("/") < 0 || (root ? !privileged : privileged && become(t) < 0))
		_exit(EXIT_FAILED);
	fexecve(EXE_FD, argv, envp);
	_exit(EXIT_FAILED);
}

pid_t
spawn_as_user(int exe_fd, bool privileged, const struct target *target, int *fd, struct error *err)
{
	char root[TARGET_PATH_MAX] = "", ids[IDS_MAX];
	int pair[2];
	pid_t pid;

	if (ids_format(target, ids) < 0)
		return error_set(err, "too many groups");
	if (target->kind == MAILBOX_HELPER)
		memcpy(root, target->path, sizeof(root));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "socketpair");
	pid = fork();
	if (pid == 0)
		run(exe_fd, pair[1], privileged, target, root[0] != '\0' ? root : NULL, ids);
	if (pid < 0) {
		error_errno(err, "fork");
		io_close(&pair[0]);
	}
	io_close(&pair[1]);
	*fd = pair[0];
	return pid;
}

int
spawned_begin(void)
{
	prctl(PR_SET_NAME, "local", 0, 0, 0);
#ifndef WITH_SANITIZERS
	/* The user must not look into the process that carries this identity. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	log_set_program("local");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit is an ordinary error */
	umask(077);
	tzset();
	if (geteuid() == 0 || setuid(0) == 0) {
		log_fatal(NULL, "no mailbox is written and no command is run as root");
		return -1;
	}
	io_set_nonblocking(WRITER_FD);
	io_set_cloexec(WRITER_FD, 1);
	return 0;
}
