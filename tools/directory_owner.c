#include "tools/directory_owner.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static int
become(uid_t uid, gid_t gid)
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		gid = user->pw_gid;
	return setgroups(1, &gid) < 0 || setgid(gid) < 0 || setuid(uid) < 0 ? -1 : 0;
}

static _Noreturn void
run_as(uid_t uid, gid_t gid, int (*work)(void *context), void *context)
{
	int status;

	if (become(uid, gid) < 0) {
		fprintf(stderr, "cannot become user %lu: %s\n", (unsigned long)uid, strerror(errno));
		_exit(EX_OSERR);
	}
	status = work(context);
	(void)fflush(stdout);
	(void)fflush(stderr);
	_exit(status);
}

int
directory_owner_does(const char *path, int (*work)(void *context), void *context, struct error *err)
{
	char copy[4096];
	struct stat st;
	pid_t child;
	int status;

	if (geteuid() != 0 || (size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy ||
	    stat(dirname(copy), &st) < 0 || st.st_uid == 0)
		return work(context);
	(void)fflush(stdout);
	child = fork();
	if (child < 0)
		return error_errno(err, "fork");
	if (child == 0)
		run_as(st.st_uid, st.st_gid, work, context);
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return error_errno(err, "waitpid");
	}
	if (!WIFEXITED(status))
		return error_set(err, "%s: killed by signal %d", path, WTERMSIG(status));
	return WEXITSTATUS(status);
}
