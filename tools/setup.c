/*
 * setup: the users (as root) and directories of this instance. May be called again at any time.
 *
 * An ordinary user gets the same directories, all his own.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/io.h"
#include "tools/foreign.h"
#include "tools/layout.h"
#include "tools/tool.h"

/* Runs a program of the system and waits for it. Returns -1 with err unless it ended with 0. */
static int
run(const char *const argv[], struct error *err)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return error_errno(err, "fork");
	if (pid == 0) {
		/* exec does not change the texts (POSIX: the cast is what its prototype wants). */
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return error_errno(err, "waitpid");
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return error_set(err,
		    "%s failed (status %d): make the user and group %s by hand, then call this again",
		    argv[0], WIFEXITED(status) ? WEXITSTATUS(status) : -1, argv[2]);
	return 0;
}

static int
make_user(const char *name, const char *home, struct error *err)
{
	const char *const add_group[] = {"groupadd", "--system", name, NULL};
	const char *const add_user[] = {"useradd", "--system", name, "--gid", name, "--home-dir", home,
	    "--no-create-home", "--shell", "/usr/sbin/nologin", NULL};

	if (!getgrnam(name) && run(add_group, err) < 0)
		return -1;
	if (!getpwnam(name) && run(add_user, err) < 0)
		return -1;
	return 0;
}

static int
make_users(struct error *err)
{
	for (size_t i = 0; i < layout_user_count; i++) {
		if (make_user(layout_users[i], "/nonexistent", err) < 0)
			return -1;
	}
	return 0;
}

/*
 * Makes one directory right, or says what stands in its way. The last part is never followed if it is a link, and
 * what was made is changed by its descriptor: a user that owns the directory above cannot turn this against others.
 */
static int
make_directory(const struct layout_directory *d, const char *path, bool as_root, struct error *err)
{
	struct passwd *owner = as_root ? getpwnam(d->user) : NULL;
	int fd, result = -1;

	if (as_root && !owner)
		return error_set(err, "there is no user %s", d->user);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, "%s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "%s", path);
	if (owner && fchown(fd, owner->pw_uid, owner->pw_gid) < 0)
		error_errno(err, "owner of %s", path);
	else if (fchmod(fd, layout_mode(d, as_root)) < 0)
		error_errno(err, "mode of %s", path);
	else
		result = 0;
	io_close(&fd);
	return result;
}

/* The directories above, as mkdir -p does. */
static int
make_parents(const char *path, struct error *err)
{
	char part[4096];

	if (strlen(path) >= sizeof(part))
		return error_set(err, "%s: the path is too long", path);
	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		memcpy(part, path, (size_t)(p - path));
		part[p - path] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return error_errno(err, "%s", part);
	}
	return 0;
}

/* Tables of aliases that have a text and were never built, as after an installation. */
static int
build_aliases(struct tool *tool, const struct conf_values *v)
{
	struct span rest = span_of(v->alias_database), word;
	int status = 0;

	while (conf_list_next(&rest, &word)) {
		char table[4096], built[4096], command[] = "alias";
		char *words[] = {command, table, NULL};
		const char *path;

		if (!(span_starts(word, "hash:") || span_starts(word, "btree:")) ||
		    !span_copy(word, table, sizeof(table)))
			continue;
		path = strchr(table, ':') + 1;
		if (snprintf(built, sizeof(built), "%s.db", path) >= (int)sizeof(built) ||
		    access(built, F_OK) == 0 || access(path, R_OK) < 0)
			continue;
		/* An ordinary user may have no right to: the host's own table is not his affair. */
		if (geteuid() != 0 && access(path, W_OK) < 0)
			continue;
		if (command_alias(2, words, tool) != 0)
			status = EX_CANTCREAT;
	}
	return status;
}

/*
 * The program that may add files to the drop directory gets its group. Root lends that only to a file in a directory
 * of its own, that nobody else could have put there.
 */
static int
lend_drop_group(const struct tool *tool, const struct conf_values *v, struct error *err)
{
	const struct group *group = getgrnam("postern-drop");
	char path[4096];
	struct stat st;
	int fd, result = -1;

	snprintf(path, sizeof(path), "%s/drop", v->daemon_directory);
	if (lstat(path, &st) < 0 || stat(v->daemon_directory, &st) < 0)
		return 0;
	if (st.st_uid != 0 || st.st_mode & 0022) {
		tool_fail(tool, 0, "warning: others may write %s: sendmail(1) will need a running Postern",
		    v->daemon_directory);
		return 0;
	}
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		error_errno(err, "%s", path);
	else if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		error_set(err, "%s: not a regular file of one name", path);
	else if (!group)
		error_set(err, "there is no group postern-drop");
	/* In this order: a change of owner takes the set-gid bit away. */
	else if (fchown(fd, 0, group->gr_gid) < 0 || fchmod(fd, 02755) < 0)
		error_errno(err, "owner and mode of %s", path);
	else
		result = 0;
	io_close(&fd);
	return result;
}

int
command_setup(int argc, char **argv, struct tool *tool)
{
	bool as_root = geteuid() == 0;
	const struct conf *c;
	struct error err;

	if (argc != 1)
		return tool_usage(tool, argv[0]);
	c = tool_conf(tool);
	if (!c)
		return EX_CONFIG;
	if (foreign_any(c->values, &err))
		return tool_fail(tool, EX_CONFIG, "%s", err.text);
	umask(022);
	if (as_root && make_users(&err) < 0)
		return tool_fail(tool, EX_OSERR, "%s", err.text);
	for (size_t i = 0; i < layout_directory_count; i++) {
		const struct layout_directory *d = &layout_directories[i];
		char path[4096];

		if (layout_path(d, c->values, path, sizeof(path), &err) < 0 || make_parents(path, &err) < 0 ||
		    make_directory(d, path, as_root, &err) < 0)
			return tool_fail(tool, EX_CANTCREAT, "%s", err.text);
	}
	if (as_root && lend_drop_group(tool, c->values, &err) < 0)
		return tool_fail(tool, EX_CANTCREAT, "%s", err.text);
	return build_aliases(tool, c->values);
}
