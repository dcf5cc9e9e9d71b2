#include "services/lookup/checks.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/octets.h"
#include "common/mail/content_checks.h"
#include "common/map/maplist.h"

enum {
	THREADS = 2,
	LINES_OCTETS_MAX = 4 << 20, /* of one question */
	QUESTIONS_MAX = 1000, /* with all that they hold, so many times some tens of kilobytes */
	TIME_LIMIT_US = 20 * 1000000,
	HEAD_OCTETS = 5 /* in front of each line */
};

struct hit {
	uint32_t line;
	char *value;
	size_t len;
};

struct question {
	TAILQ_ENTRY(question) link; /* loop: all of them */
	STAILQ_ENTRY(question) next; /* waiting, or done */
	struct ipc_channel *channel; /* NULL: nobody waits for it */
	uint32_t call;
	bool whole; /* all lines have come */
	char *tables[CHECK_CLASS_COUNT];
	struct buf lines;
	struct hit *hits;
	size_t hit_count;
	bool temporary;
	struct error trouble;
};

TAILQ_HEAD(question_list, question);
STAILQ_HEAD(question_queue, question);

struct checks {
	struct question_list all; /* the loop's */
	size_t count;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct question_queue waiting, done; /* under the lock */
	uint64_t generation; /* under the lock: of the configuration */
	int wake_fd;
	struct event *woken;
	pthread_t threads[THREADS];
};

static void
question_free(struct checks *c, struct question *q)
{
	TAILQ_REMOVE(&c->all, q, link);
	c->count--;
	for (size_t i = 0; i < CHECK_CLASS_COUNT; i++)
		free(q->tables[i]);
	for (size_t i = 0; i < q->hit_count; i++)
		free(q->hits[i].value);
	free(q->hits);
	buf_free(&q->lines);
	free(q);
}

/* ---- in a thread ---- */

/* What a table's text has wrong is told by "postern check"; here only what stands in the way. */
static void
no_complaint(const char *file, unsigned line, const char *text, void *context)
{
	(void)file;
	(void)line;
	(void)text;
	(void)context;
}

static void
add_hit(struct question *q, uint32_t line, struct span value)
{
	q->hits = mem_resize(q->hits, (q->hit_count + 1) * sizeof(q->hits[0]));
	q->hits[q->hit_count++] = (struct hit){line, mem_strndup(value.ptr, value.len), value.len};
}

/* Takes the next line of *rest: its class and text. False at the end, or where it makes no sense. */
static bool
next_line(struct span *rest, uint8_t *class, struct span *text)
{
	const unsigned char *p = (const unsigned char *)rest->ptr;

	if (rest->len < HEAD_OCTETS || p[0] >= CHECK_CLASS_COUNT)
		return false;
	size_t len = (size_t)octets_load(p + 1, 4);
	if (len > rest->len - HEAD_OCTETS)
		return false;
	*class = p[0];
	*text = span_sub(*rest, HEAD_OCTETS, len);
	*rest = span_from(*rest, HEAD_OCTETS + len);
	return true;
}

static void
work(struct question *q, struct map_set *maps, struct map_found *found)
{
	struct maplist *lists[CHECK_CLASS_COUNT];
	struct span rest = buf_span(&q->lines), text;
	int64_t begun = clock_mono_us();
	uint8_t class;

	for (size_t i = 0; i < CHECK_CLASS_COUNT; i++)
		lists[i] = map_set_list(maps, span_of(q->tables[i]), NULL);
	for (uint32_t line = 0; next_line(&rest, &class, &text) && !q->temporary; line++) {
		enum lookup_status status = maplist_lookup(lists[class], text, false, found);
		if (status == LOOKUP_FOUND)
			add_hit(q, line, buf_span(&found->value));
		q->temporary = status == LOOKUP_TEMPORARY;
		if (q->temporary)
			q->trouble = found->err;
		else if (clock_mono_us() - begun > TIME_LIMIT_US)
			q->temporary = error_set(&q->trouble, "checks of a message take too long") < 0;
	}
}

static void *
run(void *context)
{
	const struct map_options options = {.complain = no_complaint, .octets = true};
	struct checks *c = context;
	struct map_set *maps = map_set_new(&options);
	struct map_found found;
	uint64_t generation = 0;
	static const uint64_t one = 1;

	map_found_init(&found);
	(void)pthread_mutex_lock(&c->lock);
	for (;;) {
		struct question *q;
		while ((q = STAILQ_FIRST(&c->waiting)) == NULL)
			(void)pthread_cond_wait(&c->more, &c->lock);
		STAILQ_REMOVE_HEAD(&c->waiting, next);
		bool renew = generation != c->generation;
		generation = c->generation;
		(void)pthread_mutex_unlock(&c->lock);
		if (renew) {
			map_set_free(&maps);
			maps = map_set_new(&options);
		}
		work(q, maps, &found);
		(void)pthread_mutex_lock(&c->lock);
		STAILQ_INSERT_TAIL(&c->done, q, next);
		if (write(c->wake_fd, &one, sizeof(one)) < 0)
			continue; /* full: the loop is awake already */
	}
	return NULL;
}

/* ---- in the loop ---- */

static void
answer(const struct question *q)
{
	struct msg_check_done done = {.status = q->temporary ? LOOKUP_TEMPORARY : LOOKUP_FOUND,
	    .reason = span_sub(span_of(q->trouble.text), 0, 500)};

	for (size_t i = 0; i < q->hit_count && !q->temporary; i++) {
		struct msg_check_hit hit = {
		    .line = q->hits[i].line, .value = span_make(q->hits[i].value, q->hits[i].len)};
		(void)ipc_send(q->channel, IPC_CHECK_HIT, q->call, &hit);
	}
	(void)ipc_send(q->channel, IPC_CHECK_DONE, q->call, &done);
}

static void
on_woken(evutil_socket_t fd, short what, void *context)
{
	struct checks *c = context;
	struct question_queue done;
	struct question *q;
	uint64_t count;

	(void)what;
	if (read((int)fd, &count, sizeof(count)) < 0)
		return;
	STAILQ_INIT(&done);
	(void)pthread_mutex_lock(&c->lock);
	STAILQ_CONCAT(&done, &c->done);
	(void)pthread_mutex_unlock(&c->lock);
	while ((q = STAILQ_FIRST(&done)) != NULL) {
		STAILQ_REMOVE_HEAD(&done, next);
		if (q->temporary)
			log_warning(NULL, "header or body checks: %s", q->trouble.text);
		if (q->channel != NULL)
			answer(q);
		question_free(c, q);
	}
}

static void
hand_over(struct checks *c, struct question *q)
{
	q->whole = true;
	(void)pthread_mutex_lock(&c->lock);
	STAILQ_INSERT_TAIL(&c->waiting, q, next);
	(void)pthread_cond_signal(&c->more);
	(void)pthread_mutex_unlock(&c->lock);
}

static int
take_lines(struct checks *c, struct question *q, struct span lines, bool more, struct error *err)
{
	if (buf_append_span(&q->lines, lines) < 0)
		return error_set(err, "more lines than a question may have");
	if (!more)
		hand_over(c, q);
	return 0;
}

int
checks_ask(struct checks *c, struct ipc_channel *channel, const struct ipc_frame *frame, struct error *err)
{
	const struct msg_check_ask *m = &frame->check_ask;
	const struct span tables[CHECK_CLASS_COUNT] = {m->header, m->mime_header, m->nested_header, m->body};

	if (c->count >= QUESTIONS_MAX) {
		struct msg_check_done done = {
		    .status = LOOKUP_TEMPORARY, .reason = SPAN_LIT("too many checks at once")};
		if (m->more)
			return error_set(err, "too many checks at once");
		return ipc_send(channel, IPC_CHECK_DONE, frame->call, &done);
	}
	struct question *q = mem_alloc(sizeof(*q));
	q->channel = channel;
	q->call = frame->call;
	for (size_t i = 0; i < CHECK_CLASS_COUNT; i++)
		q->tables[i] = mem_strndup(tables[i].ptr, tables[i].len);
	buf_init(&q->lines, LINES_OCTETS_MAX);
	TAILQ_INSERT_TAIL(&c->all, q, link);
	c->count++;
	return take_lines(c, q, m->lines, m->more != 0, err);
}

int
checks_lines(struct checks *c, struct ipc_channel *channel, const struct ipc_frame *frame, struct error *err)
{
	struct question *q;

	TAILQ_FOREACH (q, &c->all, link)
		if (!q->whole && q->channel == channel && q->call == frame->call)
			return take_lines(c, q, frame->check_lines.lines, frame->check_lines.more != 0, err);
	return error_set(err, "lines for a question that is not open");
}

void
checks_peer_gone(struct checks *c, const struct ipc_channel *peer)
{
	struct question *q, *next;

	for (q = TAILQ_FIRST(&c->all); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->channel != peer)
			continue;
		q->channel = NULL;
		if (!q->whole)
			question_free(c, q);
	}
}

void
checks_configured(struct checks *c)
{
	(void)pthread_mutex_lock(&c->lock);
	c->generation++;
	(void)pthread_mutex_unlock(&c->lock);
}

struct checks *
checks_new(struct event_base *base, struct error *err)
{
	struct checks *c = mem_alloc(sizeof(*c));

	TAILQ_INIT(&c->all);
	STAILQ_INIT(&c->waiting);
	STAILQ_INIT(&c->done);
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_cond_init(&c->more, NULL);
	c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	c->woken = event_new(base, c->wake_fd, EV_READ | EV_PERSIST, on_woken, c);
	if (c->wake_fd < 0 || c->woken == NULL || event_add(c->woken, NULL) < 0) {
		error_errno(err, "no event for checks");
		return NULL;
	}
	for (size_t i = 0; i < THREADS; i++)
		if ((errno = pthread_create(&c->threads[i], NULL, run, c)) != 0) {
			error_errno(err, "starting a thread for checks");
			return NULL;
		}
	return c;
}
