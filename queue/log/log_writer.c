#include "queue/log/log_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/log/disk.h"
#include "queue/spool_clock.h"

enum {
	BATCH_MAX = 4 << 20,
	COMMIT_ROOM = 128,
	LOOK_US = 50000,
	IN_PLACE_MIN = 32 << 10 /* a record of which a copy costs more than one more write; at least a page */
};

static void
out(struct log_writer *w, struct work_list *done)
{
	mailbox_put_list(&w->out, done);
}

static void
tell(struct work_list *done, enum log_kind kind, const struct segment *s, uint64_t position, const char *text)
{
	struct log_work *e = mem_alloc(sizeof(*e));

	e->kind = kind;
	e->segment = *s;
	e->position = position;
	e->text = text ? mem_strdup(text) : NULL;
	work_append(done, &e->work);
}

static void
batch_room(struct log_writer *w, size_t len)
{
	void *p;

	if (len <= w->batch_cap)
		return;
	len = (len + (1 << 20)) / SEGMENT_PAGE * SEGMENT_PAGE;
	if (posix_memalign(&p, SEGMENT_PAGE, len) != 0)
		panic("out of memory for the log's batch");
	if (w->batch)
		memcpy(p, w->batch, w->tail_len);
	free(w->batch);
	w->batch = p;
	w->batch_cap = len;
}

static size_t
append_commit(struct log_writer *w, uint8_t *at, uint64_t begin, uint64_t position)
{
	struct part_commit commit = {.begin = begin, .id_high = w->id_high, .spool_us = w->spool_now()};
	struct buf b;
	size_t len;

	buf_init(&b, COMMIT_ROOM);
	if (record_begin(&b, RECORD_COMMIT, 0) < 0 || part_encode_commit(&b, &commit) < 0 ||
	    record_end(&b, 0) < 0)
		panic("a commit mark does not fit");
	len = b.len;
	memcpy(at, buf_ptr(&b), len);
	buf_free(&b);
	record_seal(at, len, position, w->current.salt);
	return len;
}

/* What is gathered goes to the segment; the page that is partly written stays. */
static int
write_gathered(struct log_writer *w)
{
	size_t tail_len = w->tail_len % SEGMENT_PAGE;

	if (w->tail_len == 0)
		return 0;
	if (disk_write_all(w->current.fd, w->batch, w->tail_len, (off_t)(w->offset - w->tail_len)) < 0)
		return -1;
	memmove(w->batch, w->batch + (w->tail_len - tail_len), tail_len);
	w->tail_len = tail_len;
	return 0;
}

/* A large record is written from where it lies, behind what was gathered so far. */
static int
write_in_place(struct log_writer *w, struct log_work *e)
{
	if (write_gathered(w) < 0)
		return -1;
	disk_step("commit-between-writes");
	record_seal(e->bytes, e->len, e->position, w->current.salt);
	if (disk_write_all(w->current.fd, e->bytes, e->len, (off_t)w->offset) < 0)
		return -1;
	w->offset += e->len;
	w->tail_len = w->offset % SEGMENT_PAGE;
	memcpy(w->batch, e->bytes + e->len - w->tail_len, w->tail_len);
	return 0;
}

static void
copy_record(struct log_writer *w, struct log_work *e)
{
	batch_room(w, w->tail_len + e->len + COMMIT_ROOM + SEGMENT_PAGE);
	memcpy(w->batch + w->tail_len, e->bytes, e->len);
	record_seal(w->batch + w->tail_len, e->len, e->position, w->current.salt);
	w->tail_len += e->len;
	w->offset += e->len;
}

/* Puts as many works into the batch as fit; returns them in 'batch'. -1 if one could not be written, with it. */
static int
gather(struct log_writer *w, struct work_list *from, struct work_list *batch)
{
	size_t total = 0;

	while (from->head) {
		struct log_work *e = (struct log_work *)from->head;

		if (e->len + COMMIT_ROOM > w->current.size - w->offset ||
		    (total > 0 && total + e->len > BATCH_MAX))
			break;
		work_take(from);
		work_append(batch, &e->work);
		e->position = w->current.first + w->offset;
		if (e->id > w->id_high)
			w->id_high = e->id;
		total += e->len;
		if (e->len < IN_PLACE_MIN)
			copy_record(w, e);
		else if (write_in_place(w, e) < 0)
			return -1;
	}
	return 0;
}

static void
removal_for(struct work_list *must, struct log_work *refused)
{
	struct part_removal removal = {.why = REMOVAL_REFUSED};
	struct log_work *e = mem_alloc(sizeof(*e) + COMMIT_ROOM);
	struct buf b;

	buf_init(&b, COMMIT_ROOM);
	if (record_begin(&b, RECORD_REMOVAL, refused->id) < 0 || part_encode_removal(&b, &removal) < 0 ||
	    record_end(&b, 0) < 0)
		panic("a removal does not fit");
	e->kind = LOG_RECORD;
	e->type = RECORD_REMOVAL;
	e->must = true;
	e->id = refused->id;
	e->refused = refused;
	e->len = b.len;
	e->bytes = (uint8_t *)(e + 1);
	memcpy(e->bytes, buf_ptr(&b), b.len);
	buf_free(&b);
	work_append(must, &e->work);
}

/* Invariant 7. */
static void
batch_failed(struct log_writer *w, struct work_list *batch, struct work_list *done, struct work_list *again)
{
	struct work_list must = {NULL, NULL}, all;
	struct error err;
	struct work *node;

	error_errno(&err, "segment %06u is sealed: writing to it failed", w->current.slot);
	all = w->unsynced;
	w->unsynced.head = w->unsynced.tail = NULL;
	work_append_list(&all, batch);
	while ((node = work_take(&all))) {
		struct log_work *e = (struct log_work *)node;

		if (e->must) {
			e->bytes[5] |= RECORD_AGAIN;
			work_append(&must, node);
			continue;
		}
		e->status = LOG_NO_SPACE;
		if (e->type == RECORD_MESSAGE)
			removal_for(&must, e);
		else
			work_append(done, node);
	}
	work_append_list(&must, again);
	*again = must;
	tell(done, LOG_SEALED, &w->current, w->current.first + w->offset, err.text);
	w->current.fd = -1;
}

static void
all_durable(struct work_list *list, struct work_list *done)
{
	struct work *node;

	while ((node = work_take(list))) {
		struct log_work *e = (struct log_work *)node;

		e->status = LOG_DURABLE;
		work_append(done, node);
		if (e->refused)
			work_append(done, &e->refused->work);
	}
}

/* What was only written is durable, or in 'again' to be appended anew. False in the latter case. */
static bool
sync_current(struct log_writer *w, struct work_list *done, struct work_list *again)
{
	struct work_list none = {NULL, NULL};

	if (!w->unsynced.head)
		return true;
	if (w->sync && disk.fdatasync(w->current.fd) < 0) {
		batch_failed(w, &none, done, again);
		return false;
	}
	all_durable(&w->unsynced, done);
	return true;
}

/* Begins the spare. Its header travels with the first batch: before that is durable, nothing counts. */
static bool
rotate(struct log_writer *w, struct work_list *done, struct work_list *again)
{
	bool from_reserve;

	if (w->current.fd >= 0) {
		if (!sync_current(w, done, again))
			return false;
		tell(done, LOG_SEALED, &w->current, w->current.first + w->offset, NULL);
		w->current.fd = -1;
	}
	from_reserve = w->spare.fd < 0;
	w->current = from_reserve ? w->reserve : w->spare;
	(from_reserve ? &w->reserve : &w->spare)->fd = -1;
	w->current.number = w->next_number++;
	w->current.first = w->next_first;
	w->next_first += w->current.size;
	w->current.id_high = w->id_high;
	w->current.spool_us = w->spool_now();
	if (getrandom(w->current.salt, sizeof(w->current.salt), 0) != sizeof(w->current.salt))
		panic("getrandom");
	w->offset = w->tail_len = SEGMENT_HEADER_SIZE;
	batch_room(w, SEGMENT_HEADER_SIZE);
	segment_header(&w->current, w->batch);
	tell(done, LOG_BEGUN, &w->current, w->current.first, NULL);
	return true;
}

/* Those that somebody waits for. */
static unsigned
count_messages(const struct work_list *list)
{
	unsigned count = 0;

	for (const struct work *n = list->head; n; n = n->next)
		count += ((const struct log_work *)n)->type == RECORD_MESSAGE;
	return count;
}

/* Puts the mark behind what was gathered from start on and writes up to the page's end. */
static int
write_mark(struct log_writer *w, uint64_t start)
{
	size_t end = w->tail_len, len;

	batch_room(w, end + COMMIT_ROOM + SEGMENT_PAGE);
	end += append_commit(w, w->batch + end, w->current.first + start, w->current.first + w->offset);
	len = (end + SEGMENT_PAGE - 1) / SEGMENT_PAGE * SEGMENT_PAGE;
	memset(w->batch + end, 0, len - end);
	if (disk_write_all(w->current.fd, w->batch, len, (off_t)(w->offset - w->tail_len)) < 0)
		return -1;
	w->offset += end - w->tail_len;
	w->tail_len = end % SEGMENT_PAGE;
	memmove(w->batch, w->batch + (end - w->tail_len), w->tail_len);
	return 0;
}

/*
 * A sync of a file without a name promises nothing. Looked at now and then: what went to such a file in between is moved out of it by the loop
 * (reclaim_look()), and with one message at a time a look costs a twentieth of its rate.
 */
static bool
lost_its_name(struct log_writer *w, int64_t now_us)
{
	if (now_us - w->looked_us < LOOK_US)
		return false;
	w->looked_us = now_us;
	return segment_is_gone(&w->current);
}

/* One commit: everything of 'from' that fits into the current segment. */
static void
commit(struct log_writer *w, struct work_list *from, struct work_list *done)
{
	struct work_list batch = {NULL, NULL};
	uint64_t start = w->offset;
	int64_t begun_us = clock_mono_us();
	bool lazy = true;

	atomic_store_explicit(&w->busy_since_us, begun_us, memory_order_relaxed);
	disk_step("commit-before-write");
	if (gather(w, from, &batch) < 0) {
		batch_failed(w, &batch, done, from);
		return;
	}
	if (!batch.head)
		return;
	for (struct work *node = batch.head; node; node = node->next)
		lazy = lazy && ((struct log_work *)node)->lazy;
	if (write_mark(w, start) < 0 ||
	    (disk_step("commit-before-sync"), !lazy && w->sync && disk.fdatasync(w->current.fd) < 0)) {
		batch_failed(w, &batch, done, from);
		return;
	}
	if (!lazy && lost_its_name(w, begun_us)) {
		errno = ENOENT;
		batch_failed(w, &batch, done, from);
		return;
	}
	disk_step("commit-after-sync");
	if (!lazy)
		commit_group_flushed(&w->group, count_messages(&batch), begun_us, clock_mono_us());
	if (!w->unsynced.head)
		w->unsynced_since_us = clock_mono_us();
	work_append_list(&w->unsynced, &batch);
	if (!lazy || !w->sync)
		all_durable(&w->unsynced, done);
}

/* No room and no spare: what may be refused is, the rest waits for the next spare. */
static void
refuse(struct log_writer *w, struct work_list *from, struct work_list *done)
{
	struct work *node;

	while ((node = work_take(from))) {
		struct log_work *e = (struct log_work *)node;

		if (e->must || !w->refuse) {
			work_append(&w->waiting, node);
			continue;
		}
		e->status = LOG_NO_SPACE;
		work_append(done, node);
	}
}

static bool
fits(const struct log_writer *w, const struct log_work *e)
{
	uint64_t room = w->current.size - w->offset;

	/* The last quarter of the last segment is kept for what must be recorded. */
	if (w->refuse && w->spare.fd < 0 && !e->must && room < w->current.size / 4)
		return false;
	return e->len + COMMIT_ROOM <= room;
}

/* No segment is begun for it: one for each such record would take the disk. */
static bool
is_longer_than_next(const struct log_writer *w, const struct log_work *e)
{
	const struct segment *next = w->spare.fd >= 0 ? &w->spare : &w->reserve;

	return e->len + COMMIT_ROOM > next->size - SEGMENT_HEADER_SIZE;
}

static void
note_stuck(struct log_writer *w)
{
	uint64_t stuck = 0;

	for (const struct work *n = w->waiting.head; n; n = n->next) {
		const struct log_work *e = (const struct log_work *)n;

		if (e->must && e->len > stuck)
			stuck = e->len;
	}
	atomic_store_explicit(&w->stuck, stuck, memory_order_relaxed);
}

static void
append_all(struct log_writer *w, struct work_list *from)
{
	struct work_list done = {NULL, NULL};

	while (from->head) {
		struct log_work *e = (struct log_work *)from->head;

		if (w->current.fd < 0 || !fits(w, e)) {
			if (w->spare.fd < 0 && (!e->must || w->reserve.fd < 0)) {
				/* Small records may still fit where a large one did not. */
				if (w->refuse && !e->must) {
					work_take(from);
					e->status = LOG_NO_SPACE;
					work_append(&done, &e->work);
					continue;
				}
				refuse(w, from, &done);
				break;
			}
			if (is_longer_than_next(w, e)) {
				work_take(from);
				e->status = LOG_FAILED;
				work_append(&done, &e->work);
			} else {
				(void)rotate(w, &done, from);
			}
			continue;
		}
		commit(w, from, &done);
	}
	note_stuck(w); /* before the loop hears of a segment begun */
	out(w, &done);
}

void
log_writer_process(struct log_writer *w, struct work_list *list)
{
	struct work_list records = w->waiting;
	struct work *node;

	w->waiting.head = w->waiting.tail = NULL;
	while ((node = work_take(list))) {
		struct log_work *e = (struct log_work *)node;

		switch (e->kind) {
		case LOG_RECORD:
			work_append(&records, node);
			break;
		case LOG_SPARE:
			*(e->flag ? &w->reserve : &w->spare) = e->segment;
			free(e);
			break;
		case LOG_REFUSE:
			w->refuse = e->flag;
			free(e);
			break;
		default:
			free(e);
			break;
		}
	}
	append_all(w, &records);
	atomic_store_explicit(&w->busy_since_us, 0, memory_order_relaxed);
}

void
log_writer_sync(struct log_writer *w)
{
	struct work_list done = {NULL, NULL}, again = {NULL, NULL};

	atomic_store_explicit(&w->busy_since_us, clock_mono_us(), memory_order_relaxed);
	sync_current(w, &done, &again);
	out(w, &done);
	append_all(w, &again);
	atomic_store_explicit(&w->busy_since_us, 0, memory_order_relaxed);
}

static bool
ends(const struct work_list *list)
{
	for (const struct work *n = list->head; n; n = n->next)
		if (((const struct log_work *)n)->kind == LOG_STOP)
			return true;
	return false;
}

/* Takes what has come, and what comes while a commit of it had better wait. */
static struct work_list
take(struct log_writer *w)
{
	int64_t left = w->unsynced_since_us + w->lazy_us - clock_mono_us();
	struct work_list list = mailbox_wait(&w->in, !w->unsynced.head ? -1 : left > 0 ? left : 0), more;

	while (!ends(&list) &&
	       (left = commit_group_wait(&w->group, count_messages(&list), clock_mono_us())) > 0) {
		more = mailbox_wait(&w->in, left);
		work_append_list(&list, &more);
	}
	return list;
}

static void *
run(void *context)
{
	struct log_writer *w = context;

	for (bool stop = false; !stop;) {
		struct work_list list;

		if (w->unsynced.head && clock_mono_us() - w->unsynced_since_us >= w->lazy_us)
			log_writer_sync(w);
		list = take(w);
		stop = ends(&list);
		log_writer_process(w, &list);
	}
	log_writer_sync(w);
	return NULL;
}

int
log_writer_init(struct log_writer *w, uint64_t number, uint64_t first, uint64_t id_high, struct error *err)
{
	memset(w, 0, sizeof(*w));
	w->current.fd = w->spare.fd = w->reserve.fd = -1;
	w->next_number = number;
	w->next_first = first;
	w->id_high = id_high;
	w->sync = true;
	w->lazy_us = 100 * US_PER_MS;
	w->spool_now = spool_clock_now;
	return mailbox_init(&w->in, false, err) < 0 ? -1 : mailbox_init(&w->out, true, err);
}

int
log_writer_start(struct log_writer *w, struct error *err)
{
	int status = pthread_create(&w->thread, NULL, run, w);

	if (status != 0) {
		errno = status;
		return error_errno(err, "starting the log writer");
	}
	w->started = true;
	return 0;
}

void
log_writer_stop(struct log_writer *w)
{
	struct log_work *e;

	if (!w->started)
		return;
	e = mem_alloc(sizeof(*e));
	e->kind = LOG_STOP;
	mailbox_put(&w->in, &e->work);
	pthread_join(w->thread, NULL);
	w->started = false;
	free(w->batch);
	w->batch = NULL;
}
