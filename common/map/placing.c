#include "common/map/placing.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"

enum { LOCK_TRIES = 100 };

/* What ends a build from outside, a pipe for its warnings that nobody reads included. */
static const int endings[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ};
enum { ENDINGS = sizeof(endings) / sizeof(endings[0]) };

static const char *volatile unfinished;
static struct sigaction before[ENDINGS];

/* Takes the temporary file along; then the signal does what it would have done. */
static void
on_ending(int number)
{
	if (unfinished != NULL)
		(void)unlink(unfinished);
	(void)raise(number);
}

static void
watch_endings(const char *temporary)
{
	struct sigaction action = {.sa_handler = on_ending, .sa_flags = (int)SA_RESETHAND};

	unfinished = temporary;
	for (unsigned i = 0; i < ENDINGS; i++) {
		(void)sigaction(endings[i], NULL, &before[i]);
		if (before[i].sa_handler == SIG_DFL)
			(void)sigaction(endings[i], &action, NULL);
	}
}

static void
leave_endings(void)
{
	for (unsigned i = 0; i < ENDINGS && unfinished != NULL; i++)
		(void)sigaction(endings[i], &before[i], NULL);
	unfinished = NULL;
}

static int
directory_check(const char *path, struct error *err)
{
	char copy[MAP_NAME_MAX + 8];
	struct stat st;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	const char *directory = dirname(copy);
	if (stat(directory, &st) < 0)
		return error_errno(err, "directory %s", directory);
	if (geteuid() != 0)
		return 0;
	if (st.st_uid != 0)
		return error_set(err,
		    "directory %s is owned by user %lu, who could lead root to other files: run this as that "
		    "user",
		    directory, (unsigned long)st.st_uid);
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
		return error_set(err, "directory %s may be written by everybody", directory);
	return 0;
}

/* Postfix locks the .db itself. It may be replaced while we wait: then the new one's lock is needed. */
static int
lock_old(struct placing *p, struct error *err)
{
	struct stat ours, there;

	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		p->old = open(p->final, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (p->old < 0 && errno == ENOENT)
			return 0;
		if (p->old < 0)
			return error_errno(err, "open %s", p->final);
		if (fstat(p->old, &ours) < 0)
			return error_errno(err, "fstat %s", p->final);
		if (!S_ISREG(ours.st_mode))
			return error_set(err, "%s is not a regular file", p->final);
		while (fcntl(p->old, F_OFD_SETLKW, &lock) < 0)
			if (errno != EINTR)
				return error_errno(err, "lock %s", p->final);
		if (stat(p->final, &there) == 0 && there.st_ino == ours.st_ino && there.st_dev == ours.st_dev)
			return 0;
		(void)io_close(&p->old);
	}
	return error_set(err, "%s is replaced again and again", p->final);
}

static int
make_temporary(struct placing *p, struct error *err)
{
	sigset_t all, mask;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &mask);
	int fd = mkostemp(p->temporary, O_CLOEXEC);
	if (fd < 0)
		(void)error_errno(err, "create %s", p->temporary);
	else
		watch_endings(p->temporary);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	if (fd < 0) {
		(void)io_close(&p->old);
		return -1;
	}
	(void)io_close(&fd);
	return 0;
}

int
placing_begin(struct placing *p, const char *path, const char *suffix, bool own_mode, struct error *err)
{
	struct stat text;

	*p = (struct placing){.old = -1};
	if (strlen(path) > MAP_NAME_MAX)
		return error_set(err, "file name is too long");
	(void)snprintf(p->final, sizeof(p->final), "%s%s", path, suffix);
	(void)snprintf(p->temporary, sizeof(p->temporary), "%s.XXXXXX", p->final);
	if (directory_check(path, err) < 0)
		return -1;
	mode_t mask = umask(0);
	(void)umask(mask);
	p->mode = 0644 & ~mask;
	if (stat(path, &text) == 0) {
		if (!own_mode)
			p->mode = text.st_mode & 0666;
		p->owner = text.st_uid;
		p->group = text.st_gid;
		p->owner_known = true;
	}
	if (lock_old(p, err) < 0) {
		(void)io_close(&p->old);
		return -1;
	}
	return make_temporary(p, err);
}

int
placing_copy_old(struct placing *p, struct error *err)
{
	char bytes[65536];
	ssize_t got = -1;
	int status = -1;

	if (p->old < 0)
		return 0;
	int fd = open(p->temporary, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno(err, "open %s", p->temporary);
	for (off_t at = 0; (got = io_pread_all(p->old, bytes, sizeof(bytes), at)) > 0; at += got)
		if (io_write_all(fd, bytes, (size_t)got) < 0)
			break;
	if (got == 0)
		status = 1;
	else
		(void)error_errno(err, "copy %s", p->final);
	(void)io_close(&fd);
	return status;
}

static int
sync_directory(const char *path, struct error *err)
{
	char copy[MAP_NAME_MAX + 8];
	int status = 0;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		status = error_errno(err, "sync the directory of %s", path);
	(void)io_close(&fd);
	return status;
}

/* The order matters: content before name, name before we say that it is done. */
static int
finish(struct placing *p, int fd, struct error *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return error_errno(err, "lock %s", p->temporary);
	if (geteuid() == 0 && p->owner_known && fchown(fd, p->owner, p->group) < 0)
		return error_errno(err, "fchown %s", p->temporary);
	if (fchmod(fd, p->mode) < 0)
		return error_errno(err, "fchmod %s", p->temporary);
	if (fsync(fd) < 0)
		return error_errno(err, "fsync %s", p->temporary);
	if (rename(p->temporary, p->final) < 0)
		return error_errno(err, "rename %s to %s", p->temporary, p->final);
	return sync_directory(p->final, err);
}

int
placing_end(struct placing *p, int status, struct error *err)
{
	int fd = -1;

	if (status == 0) {
		fd = open(p->temporary, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		status = fd < 0 ? error_errno(err, "open %s", p->temporary) : finish(p, fd, err);
	}
	if (status != 0)
		(void)unlink(p->temporary);
	leave_endings();
	(void)io_close(&fd);
	(void)io_close(&p->old);
	return status == 0 ? 0 : -1;
}
