/*
 * backup: a copy of the spool's segments and message files, made while mail flows.
 *
 * Segments are copied oldest first, the one in use last. What a segment that was freed meanwhile held lies further on,
 * in one that is copied later; so the copies are the log up to the point at which the last one was read, and every
 * recipient is in them as of then. Message files come before the segments and after them, for a record may name a new one;
 * whether none is missing is looked up in the copy, by the same replay that a start on it would do. No index: it is
 * made anew. Nothing counts until the file "complete" is there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/queue_id.h"
#include "queue/care/care.h"
#include "queue/log/disk.h"

enum { PIECE = 1 << 20, TRIES = 10, PAUSE_US = 1000 };

struct copied {
	unsigned slot;
	uint64_t number;
};

struct backup {
	int to_segments, to_files;
	struct copied *done;
	size_t done_count;
	uint64_t missing;
	uint64_t messages;
};

static int
copy_bytes(int from, int to)
{
	char *piece = mem_alloc(PIECE);
	off_t at = 0;
	ssize_t n;
	int status = 0;

	while (status == 0 && (n = disk_read_all(from, piece, PIECE, at)) != 0) {
		status = n < 0 ? -1 : disk_write_all(to, piece, (size_t)n, at);
		at += n;
		usleep(PAUSE_US);
	}
	free(piece);
	return status < 0 ? -1 : disk.fsync(to);
}

/* 1: there is no such file any more. */
static int
copy_file(int from_dir, int to_dir, const char *name)
{
	int from = disk.openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0), to, status;

	if (from < 0)
		return errno == ENOENT ? 1 : -1;
	to = disk.openat(to_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	status = to < 0 ? -1 : copy_bytes(from, to);
	disk.close(from);
	if (to >= 0 && disk.close(to) < 0)
		status = -1;
	return status;
}

/* Those that are not there yet: a message file never changes once its record exists. */
static int
copy_files(const struct care *c, const struct backup *b, bool again)
{
	DIR *d = fdopendir(dup(c->q.files_dir));
	struct dirent *e;
	uint64_t id;
	int status = 0;

	if (!d)
		return -1;
	rewinddir(d);
	while (status >= 0 && (e = readdir(d)))
		if (queue_id_parse(span_of(e->d_name), &id) == 0 &&
		    (again || faccessat(b->to_files, e->d_name, F_OK, 0) < 0))
			status = copy_file(c->q.files_dir, b->to_files, e->d_name);
	closedir(d);
	return status < 0 ? -1 : 0;
}

static bool
is_done(const struct backup *b, const struct segment *s)
{
	for (size_t i = 0; i < b->done_count; i++)
		if (b->done[i].slot == s->slot && b->done[i].number == s->number)
			return true;
	return false;
}

static int
copy_segments(const struct care *c, struct backup *b)
{
	for (size_t i = 0; i < c->q.segment_count; i++) {
		const struct segment *s = &c->q.segments[i].s;
		struct segment now;
		struct error err;
		char name[16];
		int got;

		if (is_done(b, s))
			continue;
		segment_name(s->slot, name);
		got = copy_file(c->q.segments_dir, b->to_segments, name);
		if (got < 0)
			return -1;
		/* Freed, and perhaps in use again, while it was read: what lived in it is further on. */
		if (got > 0 || segment_open(b->to_segments, s->slot, &now, &err) != SEGMENT_USED ||
		    now.number != s->number) {
			disk.unlinkat(b->to_segments, name, 0);
			continue;
		}
		disk.close(now.fd);
		errno = now.sync_error;
		if (errno != 0)
			return -1;
		if (i + 1 == c->q.segment_count)
			continue; /* it may have been written to */
		b->done = mem_resize(b->done, (b->done_count + 1) * sizeof(*b->done));
		b->done[b->done_count++] = (struct copied){s->slot, s->number};
	}
	return 0;
}

static void
on_row(struct care *c, const struct index_change *row, void *context)
{
	struct backup *b = context;

	b->messages++;
	if (!care_file_is_whole(c->q.files_dir, row))
		b->missing++;
}

/* Is every file that the copied log names there? */
static int
check(int to, struct backup *b, struct error *err)
{
	static struct care copy;
	struct replay *r;

	memset(&copy, 0, sizeof(copy));
	b->missing = b->messages = 0;
	if (care_open(&copy, to, err) < 0)
		return -1;
	r = care_replay(&copy, on_row, b);
	replay_free(&r);
	care_close(&copy);
	return 0;
}

static int
one_try(struct care *c, struct backup *b, int spool, int to, unsigned number, struct error *err)
{
	memset(c, 0, sizeof(*c));
	if (care_open(c, spool, err) < 0)
		return -1;
	if (copy_files(c, b, number > 0 && b->missing > 0) < 0 || copy_segments(c, b) < 0 ||
	    copy_files(c, b, false) < 0)
		return error_errno(err, "copying the spool");
	care_close(c);
	return check(to, b, err);
}

static int
finish(int to, const struct backup *b)
{
	int fd = disk.openat(to, "complete", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	char text[100];
	int len = snprintf(
	    text, sizeof(text), "postern spool backup 1\nmessages %llu\n", (unsigned long long)b->messages);

	if (disk.fsync(b->to_segments) < 0 || disk.fsync(b->to_files) < 0 || fd < 0 ||
	    disk_write_all(fd, text, (size_t)len, 0) < 0 || disk.fsync(fd) < 0 || disk.fsync(to) < 0)
		return -1;
	return disk.close(fd);
}

static int
make_dir(int to, const char *name)
{
	if (mkdirat(to, name, 0700) < 0)
		return -1; /* a backup goes into a directory of its own: two are never mixed */
	return disk.openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

int
care_backup(struct care *c, int spool, int to)
{
	struct backup b = {.missing = 0};
	struct error err;

	b.to_segments = make_dir(to, "segments");
	b.to_files = b.to_segments < 0 ? -1 : make_dir(to, "messages");
	if (b.to_files < 0) {
		fprintf(stderr, "postern: making a backup in that directory: %s\n", strerror(errno));
		return EX_CANTCREAT;
	}
	for (unsigned i = 0; i < TRIES; i++) {
		if (one_try(c, &b, spool, to, i, &err) < 0) {
			fprintf(stderr, "postern: %s\n", err.text);
			return EX_IOERR;
		}
		if (b.missing == 0)
			break;
	}
	if (b.missing > 0)
		fprintf(stderr, "postern: %llu message files are missing in the spool\n",
		    (unsigned long long)b.missing);
	if (finish(to, &b) < 0) {
		fprintf(stderr, "postern: syncing the backup: %s\n", strerror(errno));
		return EX_IOERR;
	}
	printf("%llu messages\n", (unsigned long long)b.messages);
	free(b.done);
	return b.missing > 0;
}
