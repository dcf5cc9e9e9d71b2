/*
 * log_open: what must be known of the log before mail is accepted: its segments, and where the newest one ended.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "queue/log/damage.h"
#include "queue/log/disk.h"
#include "queue/log/replay.h"
#include "queue/queue.h"
#include "queue/spool_clock.h"

static int
compare_segments(const void *a, const void *b)
{
	const struct segment_info *x = a, *y = b;

	return x->s.first < y->s.first ? -1 : x->s.first > y->s.first;
}

/*
 * Its records cannot be told from anything else without the header, but somebody may know better. Where it cannot be moved
 * nothing may be appended: that could come to have its place in the log.
 */
static int
set_aside(struct queue *q, struct segment *s, const char *why, struct error *err)
{
	char name[16], new_name[64];

	segment_name(s->slot, name);
	snprintf(new_name, sizeof(new_name), "segment-%s-%lld", name, (long long)clock_wall_us());
	disk.close(s->fd);
	if (!damage_move(q->segments_dir, name, q->damaged_dir, new_name))
		return error_errno(err, "segment %s %s, and cannot be set aside", name, why);
	log_error(&queue_log, "segment %s %s; set aside as damaged/%s", name, why, new_name);
	return 0;
}

static bool
is_file(const struct queue *q, const char *name)
{
	struct stat st;

	return fstatat(q->segments_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(st.st_mode);
}

static void
keep_free(struct queue *q, const struct segment *s, const char *name)
{
	if (s->read_only) {
		disk.close(s->fd);
		return;
	}
	if (s->size == q->segment_size &&
	    q->free_slot_count < sizeof(q->free_slots) / sizeof(q->free_slots[0])) {
		q->free_slots[q->free_slot_count++] = *s;
		return;
	}
	disk.close(s->fd);
	disk.unlinkat(q->segments_dir, name, 0);
}

static int
open_slot(struct queue *q, unsigned slot, const char *name, struct error *err)
{
	struct segment s;
	int got;

	if (slot >= q->next_slot)
		q->next_slot = slot + 1;
	got = segment_open(q->segments_dir, slot, &s, err);
	/* A newer format; or an error that may pass: without it mail would be missing, and its place in the log be taken. */
	if (got < 0 && is_file(q, name))
		return err->number == 0
			   ? -1
			   : error_while(err, "a segment that stays unreadable has to be moved away by hand, "
					      "and its mail is missing then");
	if (got < 0)
		log_error(&queue_log, "%s", err->text);
	else if (got == SEGMENT_USED)
		space_segment_add(q, &s, s.first + s.size, true);
	else if (got == SEGMENT_FREE)
		keep_free(q, &s, name);
	else
		return set_aside(q, &s, "has a damaged header", err);
	if (got > 0 && s.sync_error != 0)
		log_error(&queue_log, "syncing segment %s: %s", name, strerror(s.sync_error));
	return 0;
}

static int
find_segments(struct queue *q, struct error *err)
{
	int fd = dup(q->segments_dir);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int status = 0;

	if (!d)
		return error_errno(err, "reading the segments' directory");
	while (status == 0 && (e = readdir(d))) {
		unsigned slot;

		if (segment_name_parse(e->d_name, &slot))
			status = open_slot(q, slot, e->d_name, err);
	}
	closedir(d);
	if (q->segment_count > 1)
		qsort(q->segments, q->segment_count, sizeof(*q->segments), compare_segments);
	return status;
}

/* Two segments at one place of the log: a copy that somebody put there, or a header that lies. The first one counts. */
static int
drop_doubles(struct queue *q, struct error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < q->segment_count; i++) {
		struct segment_info *last = kept > 0 ? &q->segments[kept - 1] : NULL;

		if (!last || q->segments[i].s.first >= last->s.first + last->s.size)
			q->segments[kept++] = q->segments[i];
		else if (set_aside(
			     q, &q->segments[i].s, "claims a place of the log that another one has", err) < 0)
			return -1;
	}
	q->segment_count = kept;
	return 0;
}

static int
ignore_record(const struct segment *s, const struct record *record, void *context, struct error *err)
{
	uint64_t *high = context;

	(void)s;
	(void)err;
	if (record->id > *high && scan_id_is_sane(record->id))
		*high = record->id;
	return 0;
}

static void
ignore_damage(const struct segment *s, uint64_t position, uint64_t len, void *context)
{
	(void)s;
	(void)position;
	(void)len;
	(void)context;
}

int
replay_open(struct queue *q, uint64_t *next_number, uint64_t *next_first, struct error *err)
{
	int64_t spool_us = 0;
	bool found = false;

	*next_number = 1;
	*next_first = 0;
	if (find_segments(q, err) < 0 || drop_doubles(q, err) < 0)
		return -1;
	for (size_t i = q->segment_count; i-- > 0;) {
		const struct segment *s = &q->segments[i].s;
		struct segment_scan scan = {.id_high = 0};

		if (s->number >= *next_number)
			*next_number = s->number + 1;
		if (s->first + s->size > *next_first)
			*next_first = s->first + s->size;
		/* Usually one: marks of commits carry what is wanted, and every segment's header what was known then. */
		if (found)
			continue;
		segment_each(s, 0, ignore_record, ignore_damage, &q->id_high, &scan, err);
		q->segments[i].end = scan.end;
		found = scan.end > s->first + SEGMENT_HEADER_SIZE;
		if (scan.id_high > q->id_high)
			q->id_high = scan.id_high;
		if (scan.spool_us > spool_us)
			spool_us = scan.spool_us;
	}
	spool_clock_start(spool_us, clock_wall_us());
	return 0;
}
