#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "delivery/local/mailbox.h"
#include "delivery/local/sync_many.h"

enum { FILE_NAME_SIZE = 320, HEADER_MAX = 8192 };

_Static_assert((int)MAILBOX_BATCH_MAX <= (int)SYNC_MANY_MAX, "a batch is synced at once");

/* A letter in tmp/, not yet synced. */
struct entry {
	int fd;
	char name[FILE_NAME_SIZE];
};

struct maildir {
	int tmp_fd;
	int new_fd;
	const char *path;
	char host[256];
	unsigned count; /* names given by this process */
	size_t pending;
	struct entry entries[MAILBOX_BATCH_MAX];
};

/* Makes each missing directory of the path, all but the last component readable as umask says. */
static int
make_path(const char *path)
{
	char copy[4096];

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *p = copy + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST && errno != EACCES && errno != EPERM)
			return -1;
		*p = '/';
	}
	return mkdir(copy, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

/* The Maildir itself. Only the user may have put it there, and no symbolic link leads elsewhere from its name. */
static int
open_top(const char *path)
{
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make_path(path) == 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

static int
open_part(int top, const char *name)
{
	if (mkdirat(top, name, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What was made just now is only there for good once it is synced, and so is the directory that holds it. */
static void
sync_tree(int top)
{
	int parent = openat(top, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent >= 0)
		fsync(parent);
	fsync(top);
	io_close(&parent);
}

struct maildir *
maildir_open(const char *given, const char *host, struct mailbox_result *result)
{
	struct maildir *d = mem_alloc(sizeof(*d));
	char path[4096], doing[700];
	int top, cur = -1;
	size_t len = strlen(given);
	struct stat st;

	while (len > 1 && given[len - 1] == '/')
		len--;
	snprintf(path, sizeof(path), "%.*s", (int)len, given);
	d->tmp_fd = d->new_fd = -1;
	d->path = given;
	snprintf(d->host, sizeof(d->host), "%s", host);
	for (char *p = d->host; *p; p++) /* as Maildir's inventor has it */
		if (*p == '/' || *p == ':')
			*p = '_';
	top = open_top(path);
	if (top < 0 || fstat(top, &st) < 0) {
		int number = errno;
		bool link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);

		snprintf(doing, sizeof(doing), "maildir delivery failed: open %.600s%s", path,
		    link ? ", a symbolic link" : "");
		mailbox_result_of_error(number, doing, result);
	} else if (st.st_uid != geteuid()) {
		mailbox_result_set(result, OUTCOME_DEFERRED, "4.2.0",
		    "maildir delivery failed: %.600s belongs to another user", path);
	} else if ((d->tmp_fd = open_part(top, "tmp")) < 0 || (d->new_fd = open_part(top, "new")) < 0 ||
		   (cur = open_part(top, "cur")) < 0) {
		mailbox_result_of_error(errno, "maildir delivery failed: make its directories", result);
		io_close(&d->new_fd);
	}
	if (d->new_fd >= 0)
		sync_tree(top);
	io_close(&cur);
	io_close(&top);
	if (d->new_fd < 0)
		maildir_close(&d);
	return d;
}

static bool
names_another(const struct maildir *d, const char *part, int fd)
{
	struct stat named, opened;
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", d->path, part);
	if (stat(path, &named) < 0)
		return errno == ENOENT || errno == ENOTDIR;
	return fstat(fd, &opened) == 0 && (named.st_dev != opened.st_dev || named.st_ino != opened.st_ino);
}

bool
maildir_has_moved(const struct maildir *d)
{
	return names_another(d, "tmp", d->tmp_fd) || names_another(d, "new", d->new_fd);
}

static void
entry_drop(struct maildir *d, struct entry *e)
{
	io_close(&e->fd);
	unlinkat(d->tmp_fd, e->name, 0);
}

void
maildir_close(struct maildir **d)
{
	if (!*d)
		return;
	for (size_t i = 0; i < (*d)->pending; i++)
		entry_drop(*d, &(*d)->entries[i]);
	io_close(&(*d)->tmp_fd);
	io_close(&(*d)->new_fd);
	free(*d);
	*d = NULL;
}

/* Time, process and count make it unique on this host, the host's name among hosts. */
static int
entry_create(struct maildir *d, struct entry *e)
{
	int64_t now = clock_wall_us();

	snprintf(e->name, sizeof(e->name), "%lld.M%lldP%ldQ%u.%s", (long long)(now / US_PER_SECOND),
	    (long long)(now % US_PER_SECOND), (long)getpid(), ++d->count, d->host);
	e->fd = openat(d->tmp_fd, e->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return e->fd;
}

int
maildir_put(struct maildir *d, const struct letter *l, struct mailbox_result *result)
{
	struct entry *e = &d->entries[d->pending];
	uint64_t written = 0;
	struct buf header;
	struct error err;
	int rc;

	if (entry_create(d, e) < 0) {
		mailbox_result_of_error(errno, "maildir delivery failed: create", result);
		return -1;
	}
	buf_init(&header, HEADER_MAX);
	letter_header(l, &header);
	rc = io_write_all(e->fd, buf_ptr(&header), header.len);
	if (rc < 0)
		error_errno(&err, "write");
	else
		rc = letter_write(l, e->fd, 0, &written, &err);
	buf_free(&header);
	if (rc < 0) {
		entry_drop(d, e);
		mailbox_result_of_error(
		    err.number ? err.number : EIO, "maildir delivery failed: write", result);
		return -1;
	}
	d->pending++;
	return 0;
}

/* NFS and older file systems know no RENAME_NOREPLACE. */
static int
move_to_new(struct maildir *d, const char *name)
{
	if (renameat2(d->tmp_fd, name, d->new_fd, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(d->tmp_fd, name, d->new_fd, name, 0) < 0)
		return -1;
	unlinkat(d->tmp_fd, name, 0);
	return 0;
}

/*
 * The order that makes it safe: (1) every file is synced, (2) then it gets its name in new/, (3) then new/ is
 * synced, and only then has anything been delivered.
 */
void
maildir_commit(struct maildir *d, struct mailbox_result *results)
{
	int fds[MAILBOX_BATCH_MAX], synced[MAILBOX_BATCH_MAX];

	for (size_t i = 0; i < d->pending; i++)
		fds[i] = d->entries[i].fd;
	sync_many(fds, d->pending, synced);
	for (size_t i = 0; i < d->pending; i++) {
		struct entry *e = &d->entries[i];
		int failed = synced[i];

		if (io_close(&e->fd) < 0 && failed == 0)
			failed = errno;
		if (failed == 0 && move_to_new(d, e->name) < 0)
			failed = errno;
		if (failed != 0) {
			entry_drop(d, e);
			mailbox_result_of_error(failed, "maildir delivery failed: write", &results[i]);
		} else {
			mailbox_result_set(&results[i], OUTCOME_DELIVERED, "2.0.0", "delivered to maildir");
		}
	}
	if (d->pending > 0 && fsync(d->new_fd) < 0) {
		int failed = errno;

		for (size_t i = 0; i < d->pending; i++)
			mailbox_result_of_error(failed, "maildir delivery failed: sync", &results[i]);
	}
	d->pending = 0;
}
