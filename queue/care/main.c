/*
 * care: checks a spool, or copies it; lists or deletes what is in the drop directory. Started by postern(8).
 *
 * Runs as   whoever owns the directory, from the first octet that is read on; beside the queue process, or without it.
 * Talks to  nobody; standard input has the queue's own listing where it runs.
 * Reads     the spool; writes only the directory of a backup.
 * If taken  an attacker can read all mail in the queue.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "queue/care/care.h"

static int
fail(int status, const char *what)
{
	fprintf(stderr, "postern: %s: %s\n", what, strerror(errno));
	return status;
}

void
care_finding(struct care *c, const char *format, ...)
{
	va_list args;

	c->findings++;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void
care_progress(const char *format, ...)
{
	va_list args;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\033[K\r");
}

/* Its owner becomes the spool's: that must be nobody's home, and not /tmp. */
static bool
is_empty(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool empty = d != NULL;

	while (empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
			strcmp(e->d_name, "lost+found") == 0;
	if (d)
		closedir(d);
	return empty;
}

/* A copy in the middle of what is copied, or where the index is to be. */
static bool
is_within(int dir, int top)
{
	struct stat wanted, here, above;
	int at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), up;
	bool within = false, more = at >= 0 && fstat(top, &wanted) == 0 && fstat(at, &here) == 0;

	while (more && !within) {
		within = here.st_dev == wanted.st_dev && here.st_ino == wanted.st_ino;
		up = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
		more = at >= 0 && fstat(at, &above) == 0 &&
		       (above.st_dev != here.st_dev || above.st_ino != here.st_ino);
		here = above;
	}
	if (at >= 0)
		close(at);
	return within;
}

/* For good: what follows reads what may be hostile. */
static int
become_owner(int spool, int to)
{
	struct stat st;

	if (fstat(spool, &st) < 0)
		return fail(EX_OSERR, "the spool");
	if (geteuid() == 0 && st.st_uid != 0) {
		if (to >= 0 && fchown(to, st.st_uid, st.st_gid) < 0)
			return fail(EX_CANTCREAT, "the backup's owner");
		if (setgroups(0, NULL) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
		    setresuid(st.st_uid, st.st_uid, st.st_uid) < 0 || setresuid(0, 0, 0) == 0)
			return fail(EX_OSERR, "becoming the spool's owner");
	}
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? fail(EX_OSERR, "no_new_privs") : 0;
}

/* What was found must have been read by somebody; "postern: " as the caller says it. */
static int
finish_output(int status)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? status : fail(EX_IOERR, "standard output");
}

static bool
is_verb(const char *word)
{
	static const char *const verbs[] = {"verify", "backup", "forget", "drops", "undrop", "undrop-by"};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i], word) == 0)
			return true;
	return false;
}

/* verify SPOOL running|stopped; backup SPOOL DIR; forget SPOOL index; drops MAILDROP FILTER; undrop MAILDROP NAME|ALL; undrop-by MAILDROP FILTER */
int
main(int argc, char **argv)
{
	static struct care c;
	bool backup = argc == 4 && strcmp(argv[1], "backup") == 0;
	struct error err;
	int spool, to = -1, status;

	if (argc != 4 || !is_verb(argv[1]))
		return EX_USAGE;
	umask(077); /* modes are what is written here, whatever the caller's is */
	spool = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool < 0 || fchdir(spool) < 0)
		return fail(EX_NOINPUT, argv[2]);
	if (backup && mkdir(argv[3], 0700) < 0 && errno != EEXIST)
		return fail(EX_CANTCREAT, argv[3]);
	if (backup && (to = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return fail(EX_CANTCREAT, argv[3]);
	if (backup && !is_empty(to)) {
		fprintf(stderr, "postern: %s: the directory is not empty: a backup has one of its own\n",
		    argv[3]);
		return EX_CANTCREAT;
	}
	if (backup && is_within(to, spool)) {
		fprintf(stderr, "postern: %s: the directory lies in the spool itself\n", argv[3]);
		return EX_CANTCREAT;
	}
	status = become_owner(spool, to);
	if (status != 0)
		return status;
	if (strcmp(argv[1], "forget") == 0 && index_wipe(argv[3], &err) < 0) {
		fprintf(stderr, "postern: %s\n", err.text);
		return EX_IOERR;
	}
	if (strcmp(argv[1], "forget") == 0)
		return 0;
	if (strcmp(argv[1], "drops") == 0)
		return finish_output(care_drops_list(spool, argv[3]));
	if (strcmp(argv[1], "undrop") == 0)
		return finish_output(care_drops_delete(spool, argv[3]));
	if (strcmp(argv[1], "undrop-by") == 0)
		return finish_output(care_drops_delete_by(spool, argv[3]));
	c.gently = backup || strcmp(argv[3], "running") == 0;
	if (nice(10) < 0)
		errno = 0; /* then not */
	if (backup)
		return finish_output(care_backup(&c, spool, to));
	if (care_open(&c, spool, &err) < 0) {
		fprintf(stderr, "postern: %s\n", err.text);
		return EX_NOINPUT;
	}
	return finish_output(care_verify(&c, spool, c.gently));
}
