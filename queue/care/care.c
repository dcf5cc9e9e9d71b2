#include "queue/care/care.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/text.h"
#include "queue/log/disk.h"

enum { PAUSE_US = 1000 }; /* after each piece, while mail flows */

static int
compare(const void *a, const void *b)
{
	const struct segment_info *x = a, *y = b;

	return x->s.first < y->s.first ? -1 : x->s.first > y->s.first;
}

int
care_open(struct care *c, int spool, struct error *err)
{
	struct queue *q = &c->q;
	struct dirent *e;
	int status = 0;
	DIR *d;

	q->damaged_dir = -1; /* nothing is set aside */
	q->segments_dir = disk.openat(spool, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	q->files_dir = disk.openat(spool, "messages", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (q->segments_dir < 0 || q->files_dir < 0)
		return error_errno(err, "opening the spool");
	d = fdopendir(dup(q->segments_dir));
	if (!d)
		return error_errno(err, "reading the segments' directory");
	rewinddir(d);
	while (status == 0 && (e = readdir(d))) {
		struct segment s;
		unsigned slot;
		int got;

		if (!segment_name_parse(e->d_name, &slot))
			continue;
		got = segment_open(q->segments_dir, slot, &s, err);
		if (got == SEGMENT_USED)
			space_segment_add(q, &s, s.first + s.size, true);
		else if (got >= 0)
			disk.close(s.fd);
		if (got == SEGMENT_DAMAGED)
			care_finding(c, "segment %s has a damaged header", e->d_name);
		else if (got < 0 && err->number != ENOENT)
			status = -1;
	}
	closedir(d);
	if (q->segment_count > 1)
		qsort(q->segments, q->segment_count, sizeof(*q->segments), compare);
	return status;
}

void
care_close(struct care *c)
{
	for (size_t i = 0; i < c->q.segment_count; i++)
		disk.close(c->q.segments[i].s.fd);
	free(c->q.segments);
	disk.close(c->q.segments_dir);
	disk.close(c->q.files_dir);
	c->q.segments = NULL;
	c->q.segment_count = 0;
}

static void
report(struct care *c, struct replay *r)
{
	struct buf lines;
	struct span rest;

	buf_init(&lines, 1 << 20);
	replay_take_report(r, &lines);
	for (rest = buf_span(&lines); rest.len > 0;) {
		ptrdiff_t end = span_find(rest, '\n');
		size_t len = end < 0 ? rest.len : (size_t)end;
		struct span line = span_sub(rest, 0, len);
		ptrdiff_t cut = span_find(line, ';');

		/* "; set aside as": not by us. */
		line = cut > 0 ? span_sub(line, 0, (size_t)cut) : line;
		if (!c->quiet)
			care_finding(c, "%.*s", SPAN_ARG(line));
		rest = span_from(rest, end < 0 ? len : len + 1);
	}
	buf_free(&lines);
}

struct replay *
care_replay(struct care *c, care_row *row, void *context)
{
	struct id_set none = {NULL, 0, 0};
	struct replay *r = replay_new(&c->q, 0, UINT64_MAX, false, &none);
	bool more = true;

	while (more) {
		struct row_batch *b = row_batch_new();

		while (!row_batch_is_full(b) && (more = replay_step(r, b) > 0))
			if (c->gently)
				usleep(PAUSE_US);
		row_batch_ready(b);
		for (size_t i = 0; i < b->count; i++)
			row(c, &b->changes[i], context);
		row_batch_free(&b);
		report(c, r);
		care_progress("%llu records, %llu messages in the queue",
		    (unsigned long long)replay_counts(r)->records,
		    (unsigned long long)replay_counts(r)->messages);
	}
	return r;
}

bool
care_file_is_whole(int files_dir, const struct index_change *row)
{
	struct span rest = row->row;
	struct part_envelope e;
	char name[32];
	struct stat st;

	if (part_decode_envelope(&rest, &e) < 0 || !e.in_file)
		return true;
	content_file_name(row->id, name);
	return fstatat(files_dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size >= e.file_offset + e.content_len;
}
