#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "services/lookup/workers_inside.h"

enum { ANSWER_OCTETS_MAX = 8 << 20, STACK_BYTES = 1 << 20, THREADS_MAX = 256 };

static void
job_free(struct workers *w, struct job *job)
{
	struct job **from_newer = job->newer != NULL ? &job->newer->older : &w->newest;
	struct job **from_older = job->older != NULL ? &job->older->newer : &w->oldest;

	*from_newer = job->older;
	*from_older = job->newer;
	w->jobs--;
	if (job->mergeable)
		(void)table_take(w->by_question, buf_span(&job->question));
	while (job->waiters != NULL) {
		struct waiter *gone = job->waiters;
		job->waiters = gone->next;
		free(gone);
	}
	buf_free(&job->question);
	/* It may be a login. */
	if (job->answer.mem != NULL)
		explicit_bzero(job->answer.mem, job->answer.cap);
	buf_free(&job->answer);
	free(job);
}

static void
send_failure(struct ipc_channel *channel, enum ipc_type question, uint32_t call, uint64_t generation)
{
	const struct span reason = SPAN_LIT("4.3.0 Temporary lookup failure");
	const struct msg_map_answer map = {.status = LOOKUP_TEMPORARY, .reason = reason};
	const struct msg_resolve_done resolve = {
	    .status = LOOKUP_TEMPORARY, .reason = reason, .generation = generation};
	const struct msg_rewrite_done rewrite = {.status = LOOKUP_TEMPORARY, .reason = reason};
	const struct msg_permit_done permit = {.status = LOOKUP_TEMPORARY, .reason = reason};

	if (question == IPC_MAP_ASK)
		(void)ipc_send(channel, IPC_MAP_ANSWER, call, &map);
	else if (question == IPC_RESOLVE_ASK)
		(void)ipc_send(channel, IPC_RESOLVE_DONE, call, &resolve);
	else if (question == IPC_REWRITE_ASK)
		(void)ipc_send(channel, IPC_REWRITE_DONE, call, &rewrite);
	else
		(void)ipc_send(channel, IPC_PERMIT_DONE, call, &permit);
}

/* The thread may still be at it: its answer is for nobody then. */
static void
fail_waiters(struct workers *w, struct job *job)
{
	if (job->mergeable)
		(void)table_take(w->by_question, buf_span(&job->question));
	job->mergeable = false;
	while (job->waiters != NULL) {
		struct waiter *one = job->waiters;
		job->waiters = one->next;
		send_failure(one->channel, job->type, one->call, job->generation);
		free(one);
	}
}

/* All frames of the answer to each who waits. An answer too long for the job's buf is none. */
static void
send_answers(struct workers *w, struct job *job)
{
	struct ipc_frame frame;
	struct error err;
	bool has_fd;

	if (job->answer.full || job->answer.len == 0) {
		fail_waiters(w, job);
		return;
	}
	for (struct waiter *one = job->waiters; one != NULL; one = one->next) {
		struct span rest = buf_span(&job->answer);
		ptrdiff_t used;
		while (rest.len > 0 && (used = ipc_decode(rest, &frame, &has_fd, &err)) > 0) {
			(void)ipc_send(one->channel, frame.type, one->call, &frame.map_ask);
			rest = span_from(rest, (size_t)used);
		}
	}
	w->answered++;
}

static void
tell_notes(struct workers *w, struct note *n)
{
	while (n != NULL) {
		struct note *next = n->next;
		if (n->kind == NOTE_COMPLAINT)
			w->tell.complain(n->name, n->line, n->text, w->tell.context);
		else if (n->kind == NOTE_STATE)
			w->tell.state(n->name, n->text, w->tell.context);
		else
			w->tell.trouble(w->tell.context, n->name, span_of(n->text));
		free(n->name);
		free(n->text);
		free(n);
		n = next;
	}
}

static void
on_wake(evutil_socket_t fd, short what, void *context)
{
	struct workers *w = context;
	uint64_t ignored;

	(void)what;
	while (read(fd, &ignored, sizeof(ignored)) > 0)
		;
	(void)pthread_mutex_lock(&w->lock);
	struct job *done = w->done;
	struct note *notes = w->notes;
	w->done = NULL;
	w->notes = NULL;
	w->notes_end = &w->notes;
	w->note_count = 0;
	(void)pthread_mutex_unlock(&w->lock);
	tell_notes(w, notes);
	while (done != NULL) {
		struct job *job = done;
		done = job->next;
		send_answers(w, job);
		job_free(w, job);
	}
}

/* Takes a job that no thread has begun out of the queue. False if one has. */
static bool
queue_remove(struct workers *w, struct job *job)
{
	(void)pthread_mutex_lock(&w->lock);
	bool waits = !job->taken;
	for (struct job **at = &w->queue; waits && *at != NULL; at = &(*at)->next) {
		if (*at != job)
			continue;
		*at = job->next;
		if (*at == NULL)
			w->queue_end = at;
		w->queued--;
		break;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return waits;
}

static void
on_tick(evutil_socket_t fd, short what, void *context)
{
	struct workers *w = context;
	int64_t now = clock_mono_us();

	(void)fd;
	(void)what;
	for (struct job *job = w->oldest; job != NULL && job->deadline_us <= now;) {
		struct job *newer = job->newer;
		if (job->waiters != NULL) {
			w->tell.trouble(w->tell.context, "table lookup problem",
			    SPAN_LIT("no answer in time: the servers of tables are too slow"));
			fail_waiters(w, job);
		}
		if (queue_remove(w, job))
			job_free(w, job);
		job = newer;
	}
}

struct workers *
workers_new(struct event_base *base, const struct route_interfaces *interfaces, const struct desk_sink *tell,
    struct error *err)
{
	struct workers *w = mem_alloc(sizeof(*w));
	const struct timeval second = {.tv_sec = 1};
	pthread_condattr_t monotonic;

	w->base = base;
	w->interfaces = interfaces;
	w->tell = *tell;
	w->by_question = table_new(WORKERS_QUESTIONS_MAX, NULL);
	w->queue_end = &w->queue;
	w->notes_end = &w->notes;
	w->threads_max = 1;
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0 || pthread_mutex_init(&w->lock, NULL) != 0 ||
	    pthread_condattr_init(&monotonic) != 0 ||
	    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) != 0 ||
	    pthread_cond_init(&w->work, &monotonic) != 0) {
		(void)error_errno(err, "workers");
		return NULL;
	}
	w->wake = event_new(base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w);
	w->tick = event_new(base, -1, EV_PERSIST, on_tick, w);
	if (w->wake == NULL || w->tick == NULL || event_add(w->wake, NULL) < 0 ||
	    event_add(w->tick, &second) < 0) {
		(void)error_set(err, "workers: no event");
		return NULL;
	}
	return w;
}

void
workers_configure(struct workers *w, const struct conf *conf, unsigned threads)
{
	(void)pthread_mutex_lock(&w->lock);
	if (w->conf != NULL)
		conf_unref(&w->conf);
	w->conf = conf_ref(conf);
	w->conf_number++;
	w->threads_max = threads < THREADS_MAX ? threads : THREADS_MAX;
	(void)pthread_mutex_unlock(&w->lock);
}

void
workers_generation(struct workers *w, uint64_t generation)
{
	struct span question;
	size_t position = 0;
	struct job *job;

	w->generation = generation;
	/* What is under way may have seen the old tables: nobody joins it any more. */
	while ((job = table_next(w->by_question, &position, &question)) != NULL)
		job->mergeable = false;
	table_free(&w->by_question);
	w->by_question = table_new(WORKERS_QUESTIONS_MAX, NULL);
}

void
workers_troubled(struct workers *w, bool any)
{
	atomic_store(&w->troubled, any);
}

static void
waiter_add(struct job *job, struct ipc_channel *channel, uint32_t call)
{
	struct waiter *one = mem_alloc(sizeof(*one));

	*one = (struct waiter){job->waiters, channel, call};
	job->waiters = one;
}

static bool
encode(struct buf *out, enum role asker, const struct ipc_frame *ask)
{
	char role = (char)asker;

	return buf_append(out, &role, 1) == 0 && ipc_encode(out, ask->type, ANY_CALL, &ask->map_ask) == 0;
}

/* False if there is no thread at all. */
static bool
job_queue(struct workers *w, struct job *job)
{
	pthread_attr_t attributes;
	pthread_t thread;

	(void)pthread_mutex_lock(&w->lock);
	bool more = w->queued >= w->idle && w->threads < w->threads_max;
	if (more && pthread_attr_init(&attributes) == 0) {
		(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
		if (pthread_create(&thread, &attributes, worker_run, w) == 0)
			w->threads++;
		(void)pthread_attr_destroy(&attributes);
	}
	bool any = w->threads > 0;
	if (any) {
		*w->queue_end = job;
		w->queue_end = &job->next;
		w->queued++;
		(void)pthread_cond_signal(&w->work);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return any;
}

void
workers_ask(struct workers *w, struct ipc_channel *channel, const struct ipc_frame *ask)
{
	enum role asker = ipc_peer_role(channel);
	struct buf question;

	buf_init(&question, IPC_FRAME_MAX + 1);
	if (w->jobs >= WORKERS_QUESTIONS_MAX || !encode(&question, asker, ask)) {
		buf_free(&question);
		w->tell.trouble(w->tell.context, "table lookup problem",
		    SPAN_LIT("too many questions wait for the servers of tables"));
		send_failure(channel, ask->type, ask->call, w->generation);
		return;
	}
	struct job *job = table_get(w->by_question, buf_span(&question));
	if (job != NULL) {
		buf_free(&question);
		waiter_add(job, channel, ask->call);
		return;
	}
	job = mem_alloc(sizeof(*job));
	job->type = ask->type;
	job->question = question;
	buf_init(&job->answer, ANSWER_OCTETS_MAX);
	job->generation = w->generation;
	job->deadline_us = clock_mono_us() + WORKERS_SECONDS * US_PER_SECOND;
	job->older = w->newest;
	*(w->newest != NULL ? &w->newest->newer : &w->oldest) = job;
	w->newest = job;
	w->jobs++;
	job->mergeable = table_put(w->by_question, buf_span(&job->question), job) == 0;
	waiter_add(job, channel, ask->call);
	if (job_queue(w, job))
		return;
	fail_waiters(w, job);
	job_free(w, job);
}

void
workers_forget(struct workers *w, const struct ipc_channel *channel)
{
	for (struct job *job = w->oldest; job != NULL; job = job->newer) {
		for (struct waiter **at = &job->waiters; *at != NULL;) {
			struct waiter *one = *at;
			if (one->channel != channel) {
				at = &one->next;
				continue;
			}
			*at = one->next;
			free(one);
		}
	}
}

bool
workers_idle(const struct workers *w)
{
	return w->jobs == 0;
}

uint64_t
workers_answered(const struct workers *w)
{
	return w->answered;
}
