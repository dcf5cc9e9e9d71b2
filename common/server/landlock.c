#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/server/sandbox.h"

/* Later than the headers of Debian 12. */
#define ACCESS_FS_REFER (1ULL << 13)
#define ACCESS_FS_TRUNCATE (1ULL << 14)
#define ACCESS_FS_IOCTL_DEV (1ULL << 15)
#define ACCESS_NET_BIND_TCP (1ULL << 0)
#define ACCESS_NET_CONNECT_TCP (1ULL << 1)

struct ruleset {
	uint64_t fs;
	uint64_t net;
};

#define RIGHTS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_FS_TRUNCATE)
#define RIGHTS_CREATE                                                                                        \
	(LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |        \
	    LANDLOCK_ACCESS_FS_REMOVE_DIR | ACCESS_FS_REFER)

/* What applies to something that is no directory. */
#define RIGHTS_OF_FILES                                                                                      \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE |         \
	    ACCESS_FS_TRUNCATE | ACCESS_FS_IOCTL_DEV)

static int
landlock_abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/* What a kernel of that version can watch over. */
static uint64_t
rights_of_abi(int abi)
{
	uint64_t rights = (1ULL << 13) - 1;

	if (abi >= 2)
		rights |= ACCESS_FS_REFER;
	if (abi >= 3)
		rights |= ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		rights |= ACCESS_FS_IOCTL_DEV;
	return rights;
}

static uint64_t
rights_of_text(const char *text)
{
	uint64_t rights = 0;

	for (; *text; text++) {
		rights |= *text == 'r' ? RIGHTS_READ : 0;
		rights |= *text == 'w' ? RIGHTS_WRITE : 0;
		rights |= *text == 'c' ? RIGHTS_CREATE : 0;
		rights |= *text == 'x' ? LANDLOCK_ACCESS_FS_EXECUTE : 0;
	}
	return rights;
}

/* A path that does not exist allows nothing, and is no error: not every host has every directory. */
static int
add_path(int ruleset, const char *path, uint64_t rights, struct error *err)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights};
	struct stat st;
	int result = 0;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT || errno == ENOTDIR
			   ? 0
			   : error_errno(err, "open %s for the sandbox", path);
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= RIGHTS_OF_FILES;
	if (rule.allowed_access != 0 &&
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		result = error_errno(err, "allow %s in the sandbox", path);
	close(rule.parent_fd);
	return result;
}

int
sandbox_landlock_prepare(const struct sandbox_spec *spec, const struct conf *conf, int *fd, struct error *err)
{
	int abi = landlock_abi();
	struct ruleset ruleset = {0};
	char path[4096];

	*fd = -1;
	if (abi < 1) {
		log_info(NULL, "this kernel has no Landlock: files are guarded by users and seccomp alone");
		return 0;
	}
	ruleset.fs = rights_of_abi(abi);
	if (abi >= 4 && !(spec->needs & SANDBOX_CONNECT))
		ruleset.net = ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP;
	*fd = (int)syscall(
	    SYS_landlock_create_ruleset, &ruleset, abi >= 4 ? sizeof(ruleset) : sizeof(ruleset.fs), 0);
	if (*fd < 0)
		return error_errno(err, "landlock_create_ruleset");
	for (const struct sandbox_path *p = spec->paths; p && p->path; p++) {
		if (sandbox_expand(p->path, conf, path, sizeof(path), err) < 0 ||
		    add_path(*fd, path, rights_of_text(p->rights) & ruleset.fs, err) < 0) {
			io_close(fd);
			return -1;
		}
	}
#ifdef WITH_SANITIZERS
	/* The sanitizers read their own maps. */
	if (add_path(*fd, "/proc", RIGHTS_READ & ruleset.fs, err) < 0)
		return -1;
#endif
	return 0;
}

int
sandbox_landlock_close(int *fd, struct error *err)
{
	if (*fd < 0)
		return 0;
	if (syscall(SYS_landlock_restrict_self, *fd, 0) < 0)
		return error_errno(err, "landlock_restrict_self");
	io_close(fd);
	return 0;
}
