#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "delivery/local/mailbox.h"

enum { HEADER_MAX = 8192, DIRECTORY_SIZE = 4096, BLOCK = 4096, CUT_TRIES = 100, CUT_PAUSE_US = 50000 };

struct mbox {
	const struct mailbox_settings *settings;
	int fd; /* open and locked while letters are pending */
	bool dotlocked;
	struct stat directory; /* st_ino 0: it was not there */
	off_t length_before; /* of the first pending letter */
	off_t length;
	size_t pending;
};

/* That which holds the file. */
static void
directory_of(const char *path, char directory[DIRECTORY_SIZE])
{
	snprintf(directory, DIRECTORY_SIZE, "%.*s", (int)(strrchr(path, '/') - path), path);
	if (directory[0] == '\0')
		snprintf(directory, DIRECTORY_SIZE, "/");
}

static void
look_at_directory(const struct mbox *m, struct stat *st)
{
	char directory[DIRECTORY_SIZE];

	directory_of(m->settings->path, directory);
	if (stat(directory, st) < 0)
		st->st_ino = 0;
}

struct mbox *
mbox_new(const struct mailbox_settings *settings)
{
	struct mbox *m = mem_alloc(sizeof(*m));

	m->settings = settings;
	m->fd = -1;
	look_at_directory(m, &m->directory);
	return m;
}

bool
mbox_has_moved(const struct mbox *m)
{
	struct stat now;

	look_at_directory(m, &now);
	return m->directory.st_ino != 0 && now.st_ino != 0 &&
	       (now.st_dev != m->directory.st_dev || now.st_ino != m->directory.st_ino);
}

/* fcntl() and flock() end with the close. */
static void
unlock(struct mbox *m)
{
	io_close(&m->fd);
	if (m->dotlocked)
		dotlock_release(m->settings->path);
	m->dotlocked = false;
}

void
mbox_free(struct mbox **m)
{
	if (!*m)
		return;
	unlock(*m);
	free(*m);
	*m = NULL;
}

static int
try_locks(struct mbox *m)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (m->settings->lock_fcntl && fcntl(m->fd, F_SETLK, &whole) < 0)
		return -1;
	if (m->settings->lock_flock && flock(m->fd, LOCK_EX | LOCK_NB) < 0)
		return -1;
	return 0;
}

static int
lock_file(struct mbox *m)
{
	for (unsigned attempt = 1; try_locks(m) < 0; attempt++) {
		if ((errno != EAGAIN && errno != EACCES) || attempt >= m->settings->lock_attempts)
			return -1;
		usleep((useconds_t)m->settings->lock_delay_us);
	}
	return 0;
}

/*
 * A mailbox is a plain file of the user's own with one name, or nothing is written: whoever may write to the
 * directory could have put a link to another's file there (CVE-2008-2936). Returns what is wrong, or NULL.
 */
static const char *
what_is_wrong(const struct mbox *m)
{
	struct stat opened, named;

	if (fstat(m->fd, &opened) < 0 || lstat(m->settings->path, &named) < 0)
		return "it cannot be examined";
	if (!S_ISREG(opened.st_mode))
		return "it is not a regular file";
	if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino)
		return "it was replaced meanwhile";
	if (m->settings->shared_file && (opened.st_mode & 0111))
		return "it is an executable file";
	if (opened.st_nlink != 1)
		return "it has several hard links";
	if (m->settings->strict_owner && opened.st_uid != geteuid())
		return "it belongs to another user";
	return NULL;
}

/*
 * A file may lie where its owner can make no lock file, and so can nobody else with those rights: where it is locked in
 * another way, or belongs to an alias or .forward (as in Postfix), it does without.
 */
static bool
does_without(const struct mbox *m, int number)
{
	return (number == EACCES || number == EPERM || number == EROFS) &&
	       (m->settings->shared_file || m->settings->lock_fcntl || m->settings->lock_flock);
}

/* The path is what an administrator looks for first. */
static void
failed(const struct mbox *m, const char *doing, struct mailbox_result *result)
{
	char text[700];
	int number = errno;

	snprintf(text, sizeof(text), "cannot update %s %.600s: %s",
	    m->settings->shared_file ? "file" : "mailbox", m->settings->path, doing);
	mailbox_result_of_error(number, text, result);
}

/* Opens and locks. Returns -1 with result. */
static int
begin(struct mbox *m, struct mailbox_result *result)
{
	const char *path = m->settings->path, *wrong;
	struct stat st;

	if (m->settings->lock_dotlock) {
		if (dotlock_take(path, m->settings) == 0) {
			m->dotlocked = true;
		} else if (!does_without(m, errno)) {
			failed(m, "unable to create its lock file", result);
			return -1;
		}
	}
	m->fd =
	    open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (m->fd < 0) {
		failed(m, errno == ELOOP ? "it is a symbolic link" : "open", result);
		return -1;
	}
	wrong = what_is_wrong(m);
	if (!wrong && lock_file(m) < 0) {
		failed(m, "unable to lock it", result);
		return -1;
	}
	/* Who had the lock may have put another file in its place, or none: what is written to the old one is lost. */
	if (!wrong)
		wrong = what_is_wrong(m);
	if (wrong) {
		mailbox_result_set(result, OUTCOME_DEFERRED, "4.2.0", "cannot update %s %.600s: %s",
		    m->settings->shared_file ? "file" : "mailbox", m->settings->path, wrong);
		return -1;
	}
	if (fstat(m->fd, &st) < 0) {
		failed(m, "examine", result);
		return -1;
	}
	m->length_before = m->length = st.st_size;
	return 0;
}

/* A file that was made just now is only there for good once its directory is synced. */
static int
sync_directory(const char *path)
{
	char directory[DIRECTORY_SIZE];
	int fd, rc;

	directory_of(path, directory);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES
			   ? 0
			   : -1; /* that of the file has to do where the directory is not ours to read */
	rc = fsync(fd);
	io_close(&fd);
	return rc;
}

/* A mailbox whose last line has no end would swallow the separator. */
static bool
needs_newline(const struct mbox *m)
{
	char last;

	return m->length > 0 && pread(m->fd, &last, 1, m->length - 1) == 1 && last != '\n';
}

static int
write_letter(struct mbox *m, const struct letter *l, uint64_t *written, struct error *err)
{
	struct buf head;
	int rc;

	buf_init(&head, HEADER_MAX);
	if (needs_newline(m))
		buf_append_text(&head, "\n");
	letter_separator(l, clock_wall_us(), &head);
	letter_header(l, &head);
	rc = io_write_all(m->fd, buf_ptr(&head), head.len);
	*written += head.len;
	buf_free(&head);
	if (rc < 0)
		return error_errno(err, "write");
	if (letter_write(l, m->fd, LETTER_QUOTE_FROM, written, err) < 0)
		return -1;
	*written += 1;
	return io_write_all(m->fd, "\n", 1) < 0 ? error_errno(err, "write") : 0;
}

/*
 * On btrfs a file whose quota is used up cannot even be made shorter: what was written of a letter for which there was no
 * room would stay. So its room is taken first, all or nothing; what is left of it is the next one's.
 */
static int
reserve(const struct mbox *m, const struct letter *l, struct error *err)
{
	off_t len = (off_t)l->content_len + HEADER_MAX;
	struct statfs fs;

	if (fstatfs(m->fd, &fs) < 0 || fs.f_type != BTRFS_SUPER_MAGIC)
		return 0;
	if (fallocate(m->fd, FALLOC_FL_KEEP_SIZE, m->length, len) == 0 ||
	    (errno != EDQUOT && errno != ENOSPC && errno != EFBIG))
		return 0;
	return error_errno(err, "write");
}

/*
 * What was written behind length goes. Where blocks are never written in place (btrfs), the one that is cut through takes
 * room itself, which there may be none of: the whole ones behind it go first, and what they held is free a moment later.
 */
static int
cut(const struct mbox *m, off_t length)
{
	off_t end = (length / BLOCK + 1) * BLOCK;
	struct stat st;

	for (unsigned tries = 0; ftruncate(m->fd, length) < 0; tries++) {
		if ((errno != EDQUOT && errno != ENOSPC) || tries == CUT_TRIES || fstat(m->fd, &st) < 0)
			return -1;
		if (st.st_size <= end || ftruncate(m->fd, end) < 0)
			usleep(CUT_PAUSE_US);
	}
	return 0;
}

int
mbox_put(struct mbox *m, const struct letter *l, struct mailbox_result *result)
{
	uint64_t written = 0;
	struct error err;

	if (m->fd < 0 && begin(m, result) < 0) {
		unlock(m);
		return -1;
	}
	if (m->settings->size_limit > 0 &&
	    (uint64_t)m->length + l->content_len > (uint64_t)m->settings->size_limit) {
		mailbox_result_set(result, OUTCOME_BOUNCED, "5.2.2",
		    "mailbox is full: it may have %lld octets", (long long)m->settings->size_limit);
	} else if (reserve(m, l, &err) == 0 && write_letter(m, l, &written, &err) == 0) {
		m->length += (off_t)written;
		m->pending++;
		return 0;
	} else {
		mailbox_result_of_error(
		    err.number ? err.number : EIO, "mailbox delivery failed: write", result);
		if (cut(m, m->length) < 0)
			mailbox_result_of_error(
			    errno, "mailbox delivery failed: restore the former length", result);
	}
	if (m->pending == 0)
		unlock(m);
	return -1;
}

void
mbox_commit(struct mbox *m, struct mailbox_result *results)
{
	int failed = 0;

	if (m->pending == 0)
		return;
	if (fsync(m->fd) < 0 || (m->length_before == 0 && sync_directory(m->settings->path) < 0)) {
		failed = errno;
		if (cut(m, m->length_before) < 0)
			failed = errno;
	}
	for (size_t i = 0; i < m->pending; i++) {
		if (failed)
			mailbox_result_of_error(failed, "mailbox delivery failed: sync", &results[i]);
		else if (m->settings->shared_file)
			mailbox_result_set(&results[i], OUTCOME_DELIVERED, "2.0.0", "delivered to file: %s",
			    m->settings->path);
		else
			mailbox_result_set(&results[i], OUTCOME_DELIVERED, "2.0.0", "delivered to mailbox");
	}
	m->pending = 0;
	unlock(m);
}
