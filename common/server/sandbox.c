#include "config.h"

#include "common/server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/conf/schema.h"

#define BIT(capability) (1ULL << (capability))

/* 'local' becomes other users, makes their mailboxes, and ends their commands. */
#define LOCAL_CAPABILITIES                                                                                   \
	(BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL) | BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) |        \
	    BIT(CAP_FOWNER))

/* The same for modules of PAM, that keep files of their own for each user or become the user; some write audit records. */
#define PAM_CAPABILITIES (LOCAL_CAPABILITIES | BIT(CAP_AUDIT_WRITE))

int
sandbox_expand(const char *path, const struct conf *conf, char *out, size_t size, struct error *err)
{
	const char *value = "", *rest = path;
	const struct param *p;
	struct span name;
	int n;

	if (path[0] == '$') {
		name = span_make(path + 1, strcspn(path + 1, "/"));
		rest = name.ptr + name.len;
		p = conf ? param_find(name) : NULL;
		if (p == NULL || p->type != PARAM_TEXT)
			return error_set(err, "%s names no parameter", path);
		memcpy(&value, (const char *)conf->values + p->offset, sizeof(value));
	}
	n = snprintf(out, size, "%s%s", value, rest);
	if (n < 0 || (size_t)n >= size)
		return error_set(err, "%s is too long", path);
	if (n >= 3 && strcmp(out + n - 3, "/..") == 0) {
		ptrdiff_t slash;

		out[n - 3] = '\0';
		slash = span_find_last(span_of(out), '/');
		out[slash > 0 ? slash : slash + 1] = '\0';
	}
	return 0;
}

int
sandbox_find_user(const char *name, uid_t *uid, gid_t *gid, struct error *err)
{
	char full[64];
	struct passwd *pw;

	snprintf(full, sizeof(full), "postern-%s", name);
	pw = getpwnam(full);
	if (pw == NULL)
		return error_set(err, "there is no user %s: 'postern setup' makes it", full);
	if (pw->pw_uid == 0 || pw->pw_gid == 0)
		return error_set(err, "user %s is root", full);
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}

int
sandbox_become(uid_t uid, gid_t gid, struct error *err)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return error_errno(err, "become user %u", (unsigned)uid);
	if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0 || ruid != uid ||
	    euid != uid || suid != uid || rgid != gid || egid != gid || sgid != gid)
		return error_set(err, "becoming user %u did not work", (unsigned)uid);
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
		return error_set(err, "user %u can become root again", (unsigned)uid);
	return 0;
}

int
sandbox_keep_capabilities(uint64_t keep, struct error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data) < 0)
		return error_errno(err, "capget");
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return error_errno(err, "capset");
	return 0;
}

int
sandbox_limits(uint64_t max_files, struct error *err)
{
	struct rlimit none = {0, 0}, files;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return error_errno(err, "setrlimit for core files");
	if (max_files == 0)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return error_errno(err, "getrlimit for descriptors");
	if (files.rlim_max < max_files) {
		struct rlimit more = {max_files, max_files};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return 0;
	}
	files.rlim_cur = files.rlim_max < max_files ? files.rlim_max : max_files;
	files.rlim_max = files.rlim_cur;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return error_errno(err, "setrlimit for descriptors");
	return 0;
}

int
sandbox_no_new_privs(struct error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, "no_new_privs");
	return 0;
}

/* The directory that becomes /: nobody but root may put something into an empty one. */
static int
open_root(struct sandbox *s, const struct conf *conf, struct error *err)
{
	bool empty = s->spec->root == SANDBOX_ROOT_EMPTY;
	char path[4096];
	struct stat st;

	if (sandbox_expand(
		empty ? "$queue_directory/empty" : s->spec->root_path, conf, path, sizeof(path), err) < 0)
		return -1;
	s->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | (empty ? O_NOFOLLOW : 0));
	if (s->root_fd < 0 || fstat(s->root_fd, &st) < 0)
		return error_errno(err, "open root directory %s ('postern setup' makes it)", path);
	if (empty && (st.st_uid != 0 || (st.st_mode & 022) != 0))
		return error_set(err, "%s must belong to root and be writable for nobody", path);
	return 0;
}

int
sandbox_prepare(
    struct sandbox *s, const struct sandbox_spec *spec, const struct conf *conf, struct error *err)
{
	*s = (struct sandbox){.spec = spec, .root = geteuid() == 0, .root_fd = -1, .landlock_fd = -1};
	if (s->root && spec->user && sandbox_find_user(spec->user, &s->uid, &s->gid, err) < 0)
		return -1;
	if (s->root && spec->root != SANDBOX_ROOT_NONE && open_root(s, conf, err) < 0)
		return -1;
	/* Commands that 'local' runs would inherit Landlock; modules of PAM read and write where they like. */
	if (spec->needs & (SANDBOX_FORK_AS_USER | SANDBOX_PAM))
		return 0;
	return sandbox_landlock_prepare(spec, conf, &s->landlock_fd, err);
}

static int
change_root(struct sandbox *s, struct error *err)
{
	if (s->root_fd < 0)
		return 0;
	if (fchdir(s->root_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return error_errno(err, "chroot");
	io_close(&s->root_fd);
	return 0;
}

int
sandbox_close(struct sandbox *s, struct error *err)
{
	bool forks = (s->spec->needs & SANDBOX_FORK_AS_USER) != 0;

	if (sandbox_limits(s->spec->max_files, err) < 0 || change_root(s, err) < 0)
		return -1;
	if (s->root && s->spec->user && sandbox_become(s->uid, s->gid, err) < 0)
		return -1;
	if (sandbox_keep_capabilities(forks                          ? LOCAL_CAPABILITIES
				      : s->spec->needs & SANDBOX_PAM ? PAM_CAPABILITIES
								     : 0,
		err) < 0)
		return -1;
#ifndef WITH_SANITIZERS
	if (!s->spec->dumpable && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(err, "PR_SET_DUMPABLE");
#endif
	if (forks)
		return 0;
	if (sandbox_no_new_privs(err) < 0 || sandbox_landlock_close(&s->landlock_fd, err) < 0)
		return -1;
	return sandbox_seccomp(s->spec->needs, err);
}
